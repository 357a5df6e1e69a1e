"""The agent's bundle."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lithops.bootstrap import bundle
from lithops.bootstrap.bundle import Bundle, SourceFile, build_bundle, bytecode, pack, with_init_files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def source(tmp_path: Path) -> SourceFile:
    path = tmp_path / "module.py"
    path.write_text("def f():\n    return 42\n")
    return SourceFile("package/module.py", path)


def test_it_is_named_by_its_content(built: Bundle) -> None:
    assert built.path.name == built.name == f"agent-{built.release[:16]}-{built.sha256[:16]}.zip"
    assert built.path.stat().st_size == built.size


def test_the_same_sources_give_the_same_bytes(built: Bundle, tmp_path: Path) -> None:
    assert build_bundle(tmp_path).sha256 == built.sha256


def test_a_cached_bundle_is_not_built_again(built: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(files: object) -> bytes:
        raise AssertionError("it was built again")

    monkeypatch.setattr(bundle, "pack", fail)
    assert build_bundle(built.path.parent) == built


def test_a_damaged_cached_bundle_is_built_again(built: Bundle, tmp_path: Path) -> None:
    first = build_bundle(tmp_path)
    first.path.write_bytes(first.path.read_bytes()[:-1])
    assert build_bundle(tmp_path) == first
    assert first.path.stat().st_size == built.size


def test_old_bundles_are_forgotten(tmp_path: Path) -> None:
    for age in range(1, 12):
        for path in (tmp_path / f"agent-{age:016}.zip", tmp_path / f"key-{age:016}"):
            path.write_bytes(b"old")
            os.utime(path, (1e9 - age, 1e9 - age))
    built = build_bundle(tmp_path)
    assert len(list(tmp_path.iterdir())) == 16
    assert built.path.exists()
    assert not (tmp_path / "agent-0000000000000011.zip").exists()


def test_the_bytecode_is_unchecked_and_of_this_python(built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        pyc = archive.read("lithops_agent/version.pyc")
        assert pyc[:4] == importlib.util.MAGIC_NUMBER
        assert pyc[4:8] == (0b01).to_bytes(4, "little")
        assert pyc[8:16] == importlib.util.source_hash(archive.read("lithops_agent/version.py"))


def test_nothing_of_this_machine_is_in_it(built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        here = os.path.dirname(bundle.__file__).encode()
        assert not [name for name in archive.namelist() if here in archive.read(name)]


def test_the_path_of_the_source_is_not_in_the_bytecode(source: SourceFile) -> None:
    data = bytecode(source.name, source.path, source.path.read_bytes())
    assert str(source.path).encode() not in data
    assert b"package/module.py" in data


def test_stale_bytecode_is_not_taken(source: SourceFile) -> None:
    subprocess.run([sys.executable, "-m", "py_compile", str(source.path)], check=True)
    stat = source.path.stat()
    fresh = bytecode(source.name, source.path, source.path.read_bytes())
    source.path.write_text("def f():\n    return 43\n")
    os.utime(source.path, ns=(stat.st_mtime_ns, stat.st_mtime_ns + 2_000_000_000))
    assert bytecode(source.name, source.path, source.path.read_bytes()) != fresh


def test_workers_see_the_three_packages_only(built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        assert archive.getinfo("worker.zip").compress_type == zipfile.ZIP_STORED
        worker = zipfile.ZipFile(io.BytesIO(archive.read("worker.zip")))
    assert {name.split("/")[0] for name in worker.namelist()} == {"cloudpickle", "lithops", "lithops_agent"}


def test_folders_without_init_become_packages() -> None:
    entries = with_init_files({"a/__init__.py": b"x", "a/b/c.py": b"", "a/data/x.sh": b""})
    assert entries == {"a/__init__.py": b"x", "a/b/__init__.py": b"", "a/b/c.py": b"", "a/data/x.sh": b""}


def test_the_order_of_the_files_does_not_matter(source: SourceFile, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("x = 1\n")
    one = {name: [] for name in bundle.AGENT_PACKAGES + bundle.WORKER_PACKAGES}  # type: dict[str, list[SourceFile]]
    two = dict(reversed(list(one.items())))
    one["flask"] = [source, SourceFile("package/other.py", other)]
    two["flask"] = one["flask"][::-1]
    assert pack(one) == pack(two)


def test_the_agents_dependencies_import_from_it(built: Bundle) -> None:
    code = (
        "import flask, gunicorn.app.base, gunicorn.workers.gthread, cloudpickle, lithops_agent.protocol\n"
        "flask.Flask('x')\n"
        "print(flask.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {str(built.path)!r})\n{code}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith(str(built.path)), done.stderr
    assert done.stdout.strip().endswith(".pyc")
