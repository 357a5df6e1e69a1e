"""Build the agent's bundle: one zip with everything that the agent needs, named by its content.

A host needs nothing but Python: ``python agent-….zip serve`` runs the agent with its pure-Python
dependencies out of the zip. Beside each source stands its bytecode for the Python that runs here, so
that nothing is compiled on a host with the same Python; another one compiles the sources in memory, as
far as the installed versions of the dependencies allow: setup.cfg keeps to those that run on 3.9.
The same versions give the same bytes, so a host that has a bundle is not sent it again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import marshal
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import SOURCE_SUFFIXES
from pathlib import Path
from types import CodeType

AGENT_PACKAGES = (
    "blinker", "click", "cloudpickle", "flask", "gunicorn", "itsdangerous", "jinja2",
    "lithops_agent", "markupsafe", "werkzeug",
)  # fmt: skip
"""What the agent itself runs with. gunicorn's ``packaging`` is for its gevent workers only."""
WORKER_PACKAGES = ("cloudpickle", "lithops", "lithops_agent")
"""What a user's function sees; the agent's own dependencies stay out of its way."""
WORKER_ARCHIVE = "worker.zip"

_FORMAT = 3
"""Raised when the layout of the bundle changes, so that no cached one is taken for a new one."""
# The fence stays in memory for as long as the agent does, without what only the agent needs.
_MAIN = b"""import sys

if sys.argv[1:2] == ["fence"]:
    from lithops_agent.fence import main

    sys.exit(main(sys.argv[2:]))
from lithops_agent.serve import main

sys.exit(main())
"""
_LEFT_OUT = {"__pycache__", "tests", "geventlet.py", "ggevent.py", "gtornado.py"}
_KEPT = 8
_LEVEL = 1
"""Level 6 makes the bundle 10 % smaller and takes three times as long."""
_DATE = (1980, 1, 1, 0, 0, 0)
_UNCHECKED_HASH = (0b01).to_bytes(4, "little")
"""PEP 552: bytecode that is valid without a look at the source's time, which a zip does not keep."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on this machine."""

    path: Path
    sha256: str
    size: int
    release: str
    """Names the sources of this project in it: agents of the same release take each other's jobs."""

    @property
    def name(self) -> str:
        """The file's name here and on hosts."""
        return bundle_name(self.release, self.sha256)


@dataclass(frozen=True)
class SourceFile:
    """A file that goes into the bundle: its name there, and where it is here."""

    name: str
    path: Path


def bundle_name(release: str, sha256: str) -> str:
    """The name of the bundle with this hash.

    Coordinators with other Pythons or other versions of flask make other bundles of the same release.
    """
    return f"agent-{release[:16]}-{sha256[:16]}.zip"


def build_bundle(cache_dir: Path | None = None) -> Bundle:
    """The bundle for the packages that are installed here, built unless it is in the cache."""
    folder = cache_folder(cache_dir)
    packages = sorted({*AGENT_PACKAGES, *WORKER_PACKAGES})
    files = {package: list(package_files(package)) for package in packages}
    note = folder / f"key-{_cache_key(files)}"
    cached = _cached(folder, note)
    if cached:
        return cached
    data = pack(files)
    sha256, release = hashlib.sha256(data).hexdigest(), _release(files)
    path = folder / bundle_name(release, sha256)
    _write(path, data)
    _write(note, f"{release} {sha256}".encode())
    _forget_old(folder)
    return Bundle(path, sha256, len(data), release)


def unpack_worker(bundle: Path) -> Path:
    """Put what workers import from beside a bundle, where the agent looks for it."""
    path = bundle.with_name(f"{bundle.stem}-{WORKER_ARCHIVE}")
    with zipfile.ZipFile(bundle) as archive:
        data = archive.read(WORKER_ARCHIVE)
    if not path.exists() or path.read_bytes() != data:
        _write(path, data)
    return path


def package_files(package: str) -> Iterator[SourceFile]:
    """The files of an installed package that it needs to run."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package!r}, which the agent needs, is not installed here")
    root = Path(next(iter(spec.submodule_search_locations)))
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(folder, name)
            if name not in _LEFT_OUT and path.suffix in (*SOURCE_SUFFIXES, ".sh"):
                yield SourceFile(f"{package}/{path.relative_to(root).as_posix()}", path)


def pack(files: dict[str, list[SourceFile]]) -> bytes:
    """The bundle's bytes: the same for the same sources, wherever and whenever it is built."""
    entries = {package: with_init_files(dict(_entries(sources))) for package, sources in files.items()}
    worker = {name: data for package in WORKER_PACKAGES for name, data in entries[package].items()}
    everything = {name: data for package in AGENT_PACKAGES for name, data in entries[package].items()}
    everything["__main__.py"] = _MAIN
    return _zip({**everything, WORKER_ARCHIVE: _zip(worker)})


def with_init_files(entries: dict[str, bytes]) -> dict[str, bytes]:
    """Make every folder an ordinary package.

    flask and werkzeug have folders without ``__init__.py``, which zipimport does not see before Python 3.13.
    """
    folders = {name.rpartition("/")[0] for name in entries if name.endswith(".py")}
    missing = {f"{folder}/__init__.py": b"" for folder in folders}
    return {**missing, **entries}


def _entries(sources: Iterable[SourceFile]) -> Iterator[tuple[str, bytes]]:
    for file in sources:
        source = file.path.read_bytes()
        yield file.name, source
        if file.name.endswith(".py"):
            yield f"{file.name}c", bytecode(file.name, file.path, source)


def bytecode(name: str, path: Path, source: bytes) -> bytes:
    """The ``.pyc`` of a source as zipimport takes it, without the path that the source has here."""
    code = _compiled_before(path) or compile(source, name, "exec", dont_inherit=True)
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
    return header + marshal.dumps(_renamed(code, name))


def _compiled_before(path: Path) -> CodeType | None:
    """The code in ``__pycache__``, when it belongs to this very source; it saves most of the time."""
    try:
        data = Path(importlib.util.cache_from_source(str(path))).read_bytes()
        stat = path.stat()
    except (OSError, NotImplementedError):
        return None
    stamp = (int(stat.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (stat.st_size & 0xFFFFFFFF).to_bytes(
        4, "little"
    )
    if data[:4] != importlib.util.MAGIC_NUMBER or data[4:16] != b"\0\0\0\0" + stamp:
        return None
    code = marshal.loads(data[16:])
    return code if isinstance(code, CodeType) else None


def _renamed(code: CodeType, name: str) -> CodeType:
    """The code with ``name`` as its file, so that two installations give the same bundle."""
    inner = tuple(_renamed(const, name) if isinstance(const, CodeType) else const for const in code.co_consts)
    return code.replace(co_filename=name, co_consts=inner)


def _zip(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            # An archive in the archive is packed already.
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".zip") else zipfile.ZIP_DEFLATED
            archive.writestr(info, entries[name], compresslevel=_LEVEL)
    return out.getvalue()


def _release(files: dict[str, list[SourceFile]]) -> str:
    digest = hashlib.sha256()
    for package in WORKER_PACKAGES:
        for file in files[package]:
            source = file.path.read_bytes()
            digest.update(f"{file.name} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def _cache_key(files: dict[str, list[SourceFile]]) -> str:
    """Changes when any file of the packages does, or the Python, or the layout."""
    digest = hashlib.sha256(f"{_FORMAT} {sys.version}".encode() + importlib.util.MAGIC_NUMBER)
    for sources in files.values():
        for file in sources:
            stat = file.path.stat()
            digest.update(f"{file.path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _cached(folder: Path, note: Path) -> Bundle | None:
    try:
        release, sha256 = note.read_text().split()
        path = folder / bundle_name(release, sha256)
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    intact = hashlib.sha256(data).hexdigest() == sha256
    return Bundle(path, sha256, len(data), release) if intact else None


def _forget_old(folder: Path) -> None:
    """Keep the newest bundles and notes: each edit of a source makes another one."""
    for pattern in ("agent-*.zip", "key-*"):
        newest_first = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in newest_first[_KEPT:]:
            path.unlink(missing_ok=True)


def cache_folder(wanted: Path | None = None) -> Path:
    """The folder of this package in the cache of the user, or a temporary one where that can't be written."""
    folder = wanted or cache_path()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    except OSError:
        # A home that is read-only or full: a folder of our own for this process will do.
        pass
    return Path(tempfile.mkdtemp(prefix="lithops-standalone-"))


def cache_path() -> Path:
    """Where the folder of this package in the cache of the user is, or would be."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root, "lithops-standalone")


def _write(path: Path, data: bytes) -> None:
    """Write so that no other process ever sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
