"""Find out which modules are local: those that have to travel with a job."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

from lithops.errors import SerializationError

NEVER = frozenset(("__main__", "__mp_main__", "builtins", "cloudpickle", "lithops", "lithops_agent"))
"""What the host has anyway, and what goes by value."""

_INSTALLED = ("site-packages", "dist-packages")
_NOT_CODE = ("__pycache__", "node_modules")
MAX_ENTRIES = 50_000
"""So many files and folders are looked at in one package before it is taken for a mistake."""
MAX_BYTES = 64 * 1024 * 1024
"""The code of one package may have this size."""


class Place(NamedTuple):
    """Where a top-level module lies: the folders of a package, or one file."""

    name: str
    folders: tuple[str, ...]
    file: Optional[str] = None


class File(NamedTuple):
    """A file of code: where it is here, its name in the archive, and what tells that it changed."""

    path: str
    name: str
    size: int
    mtime_ns: int


def locate(name: str, *, installed_too: bool = False) -> Optional[Place]:
    """Where a top-level module lies, or None: it is built in, installed, in no file, or unknown.

    ``installed_too``: the user asked for it by name, so site-packages count as well.
    """
    if name in NEVER or (name in sys.stdlib_module_names and not installed_too):
        return None
    imported = sys.modules.get(name)
    if imported is not None:
        path, file = getattr(imported, "__path__", None), getattr(imported, "__file__", None)
    else:
        path, file = _search(name)
    if path is not None:
        # A folder without __init__.py that nobody imported is a folder of that name, not a package.
        if file is None and imported is None:
            return None
        folders = tuple(
            folder for folder in path if os.path.isdir(folder) and (installed_too or is_local(folder))
        )
        return Place(name, folders) if folders else None
    if file is None or not os.path.isfile(file) or not (installed_too or is_local(file)):
        return None
    return Place(name, (), file)


def _search(name: str) -> tuple[Optional[Sequence[str]], Optional[str]]:
    import importlib.util

    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None, None
    if spec is None:
        return None, None
    places = spec.submodule_search_locations
    return (None if places is None else list(places)), (spec.origin if spec.has_location else None)


def is_local(path: str) -> bool:
    """Whether a file is neither of the standard library nor of an installed distribution."""
    path = os.path.abspath(path)
    if any(part in _INSTALLED for part in path.split(os.sep)):
        return False
    return not path.startswith(_standard_library())


def _standard_library() -> tuple[str, ...]:
    import sysconfig

    return tuple(os.path.join(sysconfig.get_path(kind), "") for kind in ("stdlib", "platstdlib"))


def files_of(place: Place) -> tuple[list[File], list[str]]:
    """The files of code of a module, and the folders that were looked at.

    Raises:
        SerializationError: the package is so large that it is taken for a mistake.
    """
    if place.file is not None:
        extension = _extension(place.file) or ".py"
        stat = os.stat(place.file)
        return [File(place.file, place.name + extension, stat.st_size, stat.st_mtime_ns)], []
    files: list[File] = []
    folders: list[str] = []
    for top in place.folders:
        for folder, entries in _walk(top, place):
            folders.append(folder)
            inside = os.path.join(place.name, os.path.relpath(folder, top)) if folder != top else place.name
            for entry in entries:
                stat = entry.stat()
                files.append(File(entry.path, f"{inside}/{entry.name}", stat.st_size, stat.st_mtime_ns))
    if sum(file.size for file in files) > MAX_BYTES:
        raise _too_large(place, f"more than {MAX_BYTES >> 20} MB of code")
    return files, folders


def _walk(top: str, place: Place) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    waiting, seen = [top], 0
    while waiting:
        folder = waiting.pop()
        code: list[os.DirEntry[str]] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                if entry.is_dir(follow_symlinks=False):
                    if _may_hold_code(entry):
                        waiting.append(entry.path)
                elif _extension(entry.name) and entry.is_file():
                    code.append(entry)
        if seen > MAX_ENTRIES:
            raise _too_large(place, f"more than {MAX_ENTRIES} files")
        yield folder, code


def _may_hold_code(folder: os.DirEntry[str]) -> bool:
    if folder.name.startswith(".") or folder.name in _NOT_CODE or folder.name in _INSTALLED:
        return False
    return not os.path.exists(os.path.join(folder.path, "pyvenv.cfg"))


def _extension(name: str) -> str:
    """The ending of a file of Python code (``.py`` or that of an extension module), else nothing."""
    if name.endswith(".py"):
        return ".py"
    if not name.endswith(".so"):
        return ""
    from importlib.machinery import EXTENSION_SUFFIXES

    return next((suffix for suffix in EXTENSION_SUFFIXES if name.endswith(suffix)), "")


def _too_large(place: Place, how: str) -> SerializationError:
    where = ", ".join(place.folders)
    return SerializationError(
        f"the package '{place.name}' in {where} has {how}, so it is not sent with the job. Leave it out with "
        f"exclude_modules=['{place.name}'], or send no modules with include_modules=None"
    )


def imported_by(source: bytes) -> frozenset[str]:
    """The top-level modules that a source file imports anywhere; relative imports are its own."""
    import ast

    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return frozenset()  # A template, or code for another Python: it is sent and not understood.
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def top_level(names: Iterable[str]) -> frozenset[str]:
    """The first parts of dotted names."""
    return frozenset(name.partition(".")[0] for name in names)
