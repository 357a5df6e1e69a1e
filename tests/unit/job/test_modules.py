"""Which modules travel: trees of files are made, found by walking imports, and packed."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Optional

import pytest

from lithops.errors import SerializationError
from lithops.job import locate, modules
from lithops.job.model import Blob
from lithops.job.modules import FRESH_FOR, ModuleShipper

Make = Callable[[dict[str, str]], Path]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shipper(clock: Clock) -> ModuleShipper:
    return ModuleShipper(clock)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    def files(contents: dict[str, str]) -> Path:
        for name, text in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield files
    for name in set(sys.modules) - before:
        del sys.modules[name]


def names(blob: Optional[Blob]) -> list[str]:
    if blob is None:
        return []
    return zipfile.ZipFile(io.BytesIO(blob.data)).namelist()


def test_a_module_and_what_it_imports(make: Make, shipper: ModuleShipper) -> None:
    make(
        {
            "first.py": "import second\ndef f():\n from third.part import x\n import json, numpy, absent",
            "second.py": "",
            "third/__init__.py": "",
            "third/part.py": "from . import other\nfrom .other import y",
            "third/other.py": "import fourth",
            "third/data.csv": "1,2",
            "third/deep/er.py": "",
            "third/__pycache__/part.py": "",
            "third/.hidden/x.py": "",
            "fourth.py": "",
            "unrelated.py": "",
        }
    )
    assert names(shipper.archive(["first"])) == [
        "first.py",
        "fourth.py",
        "second.py",
        "third/__init__.py",
        "third/deep/er.py",
        "third/other.py",
        "third/part.py",
    ]


@pytest.mark.parametrize(
    "name", ["json", "sys", "numpy", "cloudpickle", "lithops", "lithops_agent", "__main__", "absent"]
)
def test_what_does_not_travel(shipper: ModuleShipper, name: str) -> None:
    assert shipper.archive([name]) is None


def test_the_same_files_give_the_same_bytes(make: Make, clock: Clock) -> None:
    folder = make({"one.py": "import two", "two.py": "x = 1"})
    first = ModuleShipper(clock).archive(["one"])
    os.utime(folder / "two.py", (1, 1))
    second = ModuleShipper(clock).archive(["two", "one", "json"])
    assert first is not None
    assert second is not None
    assert first.sha256 == second.sha256


def test_include_and_exclude(make: Make, shipper: ModuleShipper, tmp_path: Path) -> None:
    make({"one.py": "import pack.a", "extra.py": "", "elsewhere/tool.py": ""})
    make({"pack/__init__.py": "", "pack/a.py": "", "pack/b/c.py": ""})
    assert shipper.archive(["one"], include=None) is None
    assert names(shipper.archive(["one"], exclude=["pack"])) == ["one.py"]
    assert names(shipper.archive(["one"], exclude=["one"])) == []
    without = ["one.py", "pack/__init__.py", "pack/a.py"]
    assert names(shipper.archive(["one"], exclude=["pack.b"])) == without
    assert names(shipper.archive([], include=["extra"])) == ["extra.py"]
    assert names(shipper.archive([], include=[str(tmp_path / "elsewhere/tool.py")])) == ["tool.py"]
    assert "cloudpickle/__init__.py" not in names(shipper.archive(["one"]))
    with pytest.raises(SerializationError, match="no module 'absent'"):
        shipper.archive([], include=["absent"])


def test_installed_packages_travel_when_they_are_named(shipper: ModuleShipper) -> None:
    assert "tqdm/__init__.py" in names(shipper.archive([], include=["tqdm"]))


def test_site_packages_in_the_path_are_installed(make: Make, shipper: ModuleShipper) -> None:
    folder = make({"venv/lib/site-packages/dist.py": ""})
    sys.path.insert(0, str(folder / "venv/lib/site-packages"))
    try:
        assert shipper.archive(["dist"]) is None
    finally:
        sys.path.pop(0)


def test_a_folder_that_nobody_imported_is_no_package(make: Make, shipper: ModuleShipper) -> None:
    make({"one.py": "import stuff", "stuff/x.py": ""})
    assert names(shipper.archive(["one"])) == ["one.py"]
    __import__("stuff.x")
    assert names(shipper.archive(["stuff"])) == ["stuff/x.py"]


def test_a_file_that_is_no_python_travels_and_is_not_understood(make: Make, shipper: ModuleShipper) -> None:
    make({"pack/__init__.py": "", "pack/template.py": "{{ no python"})
    assert names(shipper.archive(["pack"])) == ["pack/__init__.py", "pack/template.py"]


def test_changes_are_seen_after_a_moment(make: Make, shipper: ModuleShipper, clock: Clock) -> None:
    folder = make({"pack/__init__.py": "", "more.py": ""})
    first = shipper.archive(["pack"])
    make({"pack/new.py": "import more"})
    assert shipper.archive(["pack"]) is first
    clock.now += FRESH_FOR
    assert names(shipper.archive(["pack"])) == ["more.py", "pack/__init__.py", "pack/new.py"]
    (folder / "pack/new.py").write_text("import more, sys")
    clock.now += FRESH_FOR
    changed = shipper.archive(["pack"])
    clock.now += FRESH_FOR
    assert shipper.archive(["pack"]) is changed
    (folder / "pack/new.py").unlink()
    clock.now += FRESH_FOR
    assert names(shipper.archive(["pack"])) == ["pack/__init__.py"]


def test_only_so_many_archives_are_kept(make: Make, shipper: ModuleShipper) -> None:
    make({"one.py": ""})
    for number in range(100):
        shipper.archive(["one", f"absent{number}"])
    assert len(shipper._kept) == modules._MAX_KEPT


@pytest.mark.parametrize(
    ("limit", "value", "text"), [("MAX_ENTRIES", 2, "2 files"), ("MAX_BYTES", 5, "of code")]
)
def test_a_huge_package_is_a_mistake(
    make: Make, shipper: ModuleShipper, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, text: str
) -> None:
    make({"pack/__init__.py": "x = 12345", "pack/a.py": "", "pack/b.py": ""})
    monkeypatch.setattr(locate, limit, value)
    with pytest.raises(SerializationError, match=f"package 'pack' in .*{text}.*exclude_modules"):
        shipper.archive(["pack"])


def test_the_archive_can_be_imported(make: Make, shipper: ModuleShipper, tmp_path: Path) -> None:
    import subprocess

    make({"one.py": "from pack.a import x", "pack/__init__.py": "", "pack/a.py": "x = 42"})
    blob = shipper.archive(["one"])
    assert blob is not None
    target = tmp_path / "there"
    zipfile.ZipFile(io.BytesIO(blob.data)).extractall(target)
    code = f"import sys; sys.path.insert(0, {str(target)!r}); import one; print(one.x, one.__file__)"
    out = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["42", str(target / "one.py")]
