"""What is copied where: as `scp` does it, told in one sentence when it can't be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lithops.errors import CopyError
from lithops.shell.copying import Place, carry_out, place_of, plan
from lithops.shell.files import LocalFiles


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a.txt", Place(None, "a.txt")),
        ("host:", Place("host", "")),
        ("host:a:b", Place("host", "a:b")),
        ("./a:b", Place(None, "./a:b")),
        ("/a:b", Place(None, "/a:b")),
        (":x", Place(None, ":x")),
    ],
)
def test_a_place_is_of_a_host_or_of_this_machine(text: str, place: Place) -> None:
    assert place_of(text) == place


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "inner" / "empty").mkdir(parents=True)
    (root / "run").write_bytes(b"x" * 600_000)
    (root / "run").chmod(0o750)
    (root / "inner" / "data").write_bytes(b"")
    (root / "link").symlink_to("run")
    (root / "nowhere").symlink_to("not there")
    os.mkfifo(root / "pipe")
    return root


def copy(sources: list[str], into: str) -> int:
    files = LocalFiles()
    sizes: list[int] = []
    for step in plan(sources, files, files, into):
        carry_out(step, files, files, sizes.append)
    return sum(sizes)


@pytest.mark.parametrize(("exists", "where"), [(True, "into/tree"), (False, "into")])
def test_a_folder_is_copied_whole(tree: Path, tmp_path: Path, exists: bool, where: str) -> None:
    if exists:
        (tmp_path / "into").mkdir()
    assert copy([f"{tree}/"], str(tmp_path / "into")) == 1_200_000
    copied = tmp_path / where
    assert sorted(str(path.relative_to(copied)) for path in copied.rglob("*")) == [
        "inner", "inner/data", "inner/empty", "link", "run",
    ]  # fmt: skip
    assert (copied / "run").stat().st_mode & 0o777 == 0o750
    # Once more: what is there is overwritten.
    if exists:
        assert copy([str(tree)], str(tmp_path / "into")) == 1_200_000


def test_several_files_go_into_a_folder(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    copy([str(tree / "run"), str(tree / "inner" / "data")], str(tmp_path / "into"))
    assert sorted(os.listdir(tmp_path / "into")) == ["data", "run"]


@pytest.mark.parametrize(
    ("sources", "into", "told"),
    [
        (["none"], "x", "there is no none"),
        (["tree/run", "tree/link"], "x", "x is not a folder"),
        (["tree/run"], "x/", "x/ is not a folder"),
        (["tree/pipe"], "x", "tree/pipe is neither a file nor a folder"),
        (["tree/inner"], "tree/run", "tree/run is a file, and tree/inner is a folder"),
        (["tree/run"], "none/x", "can't write none/x: No such file or directory"),
        (["tree/run/x"], "x", "there is no tree/run/x"),
    ],
)
def test_what_cant_be_copied(
    tree: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], into: str, told: str
) -> None:
    monkeypatch.chdir(tree.parent)
    with pytest.raises(CopyError, match=told):
        copy(sources, into)
