"""Archives of modules, unpacked."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path

import pytest

from lithops_agent.modules import unpack
from lithops_agent.protocol import ProtocolError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("package/module.py", "NAME = 1\n")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "modules").mkdir()
    return tmp_path / "modules" / "abc"


def test_an_archive_is_unpacked_once(archive: Path, target: Path) -> None:
    unpack(archive, target)
    assert (target / "package" / "module.py").read_text() == "NAME = 1\n"
    archive.unlink()
    unpack(archive, target)
    assert [*target.parent.iterdir()] == [target]


def test_what_is_no_archive_leaves_nothing(archive: Path, target: Path) -> None:
    archive.write_bytes(b"no archive")
    with pytest.raises(ProtocolError, match="the modules abc are no zip archive"):
        unpack(archive, target)
    assert [*target.parent.iterdir()] == []


def test_an_archive_that_can_not_be_read_or_written_is_told(archive: Path, target: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unpack(archive.with_name("none"), target)
    target.parent.rmdir()
    target.parent.touch()
    with pytest.raises(OSError, match="Not a directory"):
        unpack(archive, target)


def test_who_is_slower_takes_what_the_faster_one_made(
    archive: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = zipfile.ZipFile.extractall

    def overtaken(self: zipfile.ZipFile, path: Path) -> None:
        extract(self, path)
        target.mkdir()
        (target / "faster").touch()

    monkeypatch.setattr(zipfile.ZipFile, "extractall", overtaken)
    unpack(archive, target)
    assert [path.name for path in target.parent.iterdir()] == ["abc"]
    assert [path.name for path in target.iterdir()] == ["faster"]


def test_several_at_once(archive: Path, target: Path) -> None:
    threads = [threading.Thread(target=unpack, args=(archive, target)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [*target.parent.iterdir()] == [target]
    assert (target / "package" / "module.py").exists()
