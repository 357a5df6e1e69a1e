"""The archive of local modules that travels with a job: found by walking imports, kept while unchanged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

from lithops.errors import SerializationError
from lithops.job.locate import NEVER, File, Place, files_of, imported_by, locate, top_level
from lithops.job.model import Blob

FRESH_FOR = 1.0
"""For so many seconds an archive is taken for current without looking at its files."""
_MAX_KEPT = 32
_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Request(NamedTuple):
    """Which modules are wanted: found in pickles, named by the user, and left out by the user."""

    found: frozenset[str]
    named: frozenset[str]
    excluded: frozenset[str]


class _Archive(NamedTuple):
    blob: Optional[Blob]
    files: tuple[File, ...]
    folders: tuple[tuple[str, int], ...]


class ModuleShipper:
    """Builds archives and remembers them. One serves a process; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[_Request, tuple[float, Optional[_Archive]]] = {}
        self._imports: dict[str, tuple[tuple[int, int], frozenset[str]]] = {}

    def archive(
        self,
        found: Iterable[str],
        include: Optional[Iterable[str]] = (),
        exclude: Iterable[str] = (),
    ) -> Optional[Blob]:
        """A zip archive of the local ones of the modules ``found``, and of what they import.

        ``include`` names further modules, files of code among them, installed ones too; None: no
        modules at all. ``exclude`` names modules and packages, dotted or not, to leave out. Gives
        None when there is nothing to send.

        Raises:
            SerializationError: a module of ``include`` does not exist, or a package is too large.
        """
        import sys

        if include is None:
            return None
        wanted = frozenset(found) - NEVER - sys.stdlib_module_names
        request = _Request(wanted, frozenset(include), frozenset(exclude))
        if not request.found and not request.named:
            return None
        now = self._clock()
        checked_at, archive = self._kept.pop(request, (now, None))
        if archive is None or (now - checked_at >= FRESH_FOR and not _is_current(archive)):
            checked_at, archive = now, self._build(request)
        elif now - checked_at >= FRESH_FOR:
            checked_at = now
        self._kept[request] = (checked_at, archive)
        while len(self._kept) > _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return archive.blob

    def _build(self, request: _Request) -> _Archive:
        files: dict[str, File] = {}
        folders: list[str] = []
        waiting = [*_named_places(request.named), *_places(request.found - request.excluded)]
        seen = {place.name for place in waiting}
        while waiting:
            place = waiting.pop()
            its_files, its_folders = files_of(place)
            its_files = [file for file in its_files if not _is_excluded(file.name, request.excluded)]
            files.update((file.name, file) for file in its_files)
            folders.extend(its_folders)
            new = self._imports_of(its_files) - seen - request.excluded
            seen |= new
            waiting.extend(_places(new))
        ordered = tuple(files[name] for name in sorted(files))
        stamps = tuple((folder, os.stat(folder).st_mtime_ns) for folder in folders)
        return _Archive(_zipped(ordered) if ordered else None, ordered, stamps)

    def _imports_of(self, files: Iterable[File]) -> frozenset[str]:
        names: set[str] = set()
        for file in files:
            if not file.path.endswith(".py"):
                continue
            stamp = (file.mtime_ns, file.size)
            known = self._imports.get(file.path)
            if known is None or known[0] != stamp:
                with open(file.path, "rb") as source:
                    known = self._imports[file.path] = (stamp, imported_by(source.read()))
            names |= known[1]
        return frozenset(names)


def _places(names: Iterable[str]) -> list[Place]:
    return [place for place in map(locate, names) if place is not None]


def _named_places(names: Iterable[str]) -> list[Place]:
    places = []
    for name in names:
        if name.endswith((".py", ".so")) and os.path.isfile(name):
            path = os.path.abspath(name)
            places.append(Place(os.path.basename(path).partition(".")[0], (), path))
            continue
        place = locate(name.partition(".")[0], installed_too=True)
        if place is None and not top_level([name]) <= NEVER:
            raise SerializationError(f"include_modules: there is no module '{name}' on this machine in files")
        if place is not None:
            places.append(place)
    return places


def _is_excluded(name: str, excluded: frozenset[str]) -> bool:
    parts = name.split("/")
    parts[-1] = parts[-1].partition(".")[0]
    return any(".".join(parts[:count]) in excluded for count in range(1, len(parts) + 1))


def _is_current(archive: _Archive) -> bool:
    try:
        for file in archive.files:
            stat = os.stat(file.path)
            if stat.st_mtime_ns != file.mtime_ns or stat.st_size != file.size:
                return False
        return all(os.stat(folder).st_mtime_ns == mtime_ns for folder, mtime_ns in archive.folders)
    except FileNotFoundError:
        return False


def _zipped(files: Iterable[File]) -> Blob:
    """The same files give the same bytes: names are sorted, dates are fixed."""
    import hashlib
    import io
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with open(file.path, "rb") as source:
                archive.writestr(entry, source.read())
    content = data.getvalue()
    return Blob(sha256=hashlib.sha256(content).hexdigest(), data=content)
