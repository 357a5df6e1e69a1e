"""``python -m lithops.bootstrap``: the bundle as files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from lithops.bootstrap.__main__ import main
from lithops.bootstrap.bundle import build_bundle


def made(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main(["--bundle", str(folder)]) == 0
    told: dict[str, str] = json.loads(capsys.readouterr().out)
    return told


def test_it_is_what_a_script_would_send(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = made(tmp_path / "new" / "folder", capsys)
    bundle = build_bundle()
    assert Path(told["bundle"]).name == bundle.name
    assert Path(told["bundle"]).read_bytes() == bundle.path.read_bytes()
    assert told["release"] == bundle.release
    with zipfile.ZipFile(told["bundle"]) as archive:
        assert Path(told["worker"]).read_bytes() == archive.read("worker.zip")
    assert Path(told["worker"]).name == f"{Path(told['bundle']).stem}-worker.zip"


def test_without_a_folder_it_is_in_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["--bundle"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["bundle"]) == build_bundle().path
    assert Path(told["worker"]).exists()


def test_files_that_are_there_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = made(tmp_path, capsys)
    stats = [path.stat() for path in sorted(tmp_path.iterdir())]
    assert made(tmp_path, capsys) == first
    assert [path.stat() for path in sorted(tmp_path.iterdir())] == stats


def test_half_a_file_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = made(tmp_path, capsys)
    whole = [Path(told[key]).read_bytes() for key in ("bundle", "worker")]
    for key in ("bundle", "worker"):
        Path(told[key]).write_bytes(b"PK")
    assert [Path(made(tmp_path, capsys)[key]).read_bytes() for key in ("bundle", "worker")] == whole


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--bundle", str(tmp_path / "file")]) == 1
    assert "name another folder" in capsys.readouterr().err
