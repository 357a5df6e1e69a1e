"""The folder of environments and wheels on a host.

::

    environments/
        wheels/<sha256>/<file>.whl
        built/<name>/bin/python     an environment; it appears whole, or not at all
        tools/<sha256>/uv           what builds them, where the host has no uv of its own
        making/                     what is not whole yet
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lithops_agent.environments.keeping import Kept, to_remove
from lithops_agent.environments.request import Wheel

_PIECE = 1024 * 1024
_FETCH_TIMEOUT = 30.0


class Store:
    """Environments and wheels on this host's disk. Raises OSError for what the disk does not take."""

    def __init__(self, folder: Path) -> None:
        self._wheels, self._built = folder / "wheels", folder / "built"
        self._tools, self.making = folder / "tools", folder / "making"

    def open(self) -> None:
        """Make the folders, and remove what an agent that was killed had not finished."""
        shutil.rmtree(self.making, ignore_errors=True)
        for each in (self._wheels, self._built, self._tools, self.making):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)

    # -- environments --

    def folder_of(self, name: str) -> Path:
        """Where an environment is, or would be. It is built in place: its scripts name their interpreter."""
        return self._built / name

    def python_of(self, name: str) -> str | None:
        """The interpreter of an environment; None if that is not whole, or the Python below it is gone."""
        folder = self.folder_of(name)
        python = folder / "bin" / "python"
        if not (folder / "ready").exists() or not os.access(python, os.X_OK):
            return None
        with contextlib.suppress(OSError):
            os.utime(folder / "ready")
        return str(python)

    def clear(self, name: str) -> None:
        """Remove an environment, or what there is of it."""
        shutil.rmtree(self.folder_of(name), ignore_errors=True)

    def is_whole(self, name: str) -> None:
        """Note that an environment was built to its end."""
        (self.folder_of(name) / "ready").touch()

    def environments(self) -> list[dict[str, Any]]:
        """The whole ones: name, size in bytes, when it was used last, and the distributions in it."""
        if not self._built.is_dir():
            return []
        return [
            {
                "name": path.name,
                "size": _size(path),
                "used_at": _used_at(path / "ready"),
                "packages": _distributions(path),
            }
            for path in sorted(self._built.iterdir())
            if (path / "ready").exists()
        ]

    # -- wheels --

    def wheel_path(self, wheel: Wheel) -> Path:
        """Where a wheel is, or would be."""
        return self._wheels / wheel.sha256 / wheel.file

    def has(self, wheel: Wheel) -> bool:
        """Whether a wheel is here; it counts as used now."""
        with contextlib.suppress(OSError):
            os.utime(self.wheel_path(wheel))
            return True
        return False

    def take(self, wheel: Wheel, blob: Path) -> bool:
        """Take a wheel that was sent as a blob; whether it was."""
        path = self.wheel_path(wheel)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(blob, path)
            return True
        return False

    def fetch(self, wheel: Wheel) -> None:
        """Fetch a wheel from its URL. Raises OSError, also when other bytes come than were asked for."""
        temporary = self.making / uuid.uuid4().hex
        digest = hashlib.sha256()
        try:
            with (
                urllib.request.urlopen(wheel.url, timeout=_FETCH_TIMEOUT) as answer,
                temporary.open("wb") as file,
            ):
                while piece := answer.read(_PIECE):
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != wheel.sha256:
                raise OSError(f"{wheel.file} has another SHA-256 than it should")
            path = self.wheel_path(wheel)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    # -- tools --

    def uv(self, wheel: Wheel) -> str:
        """The program uv: the host's own, else the one of this wheel, which must be here."""
        own = shutil.which("uv", path=f"{os.environ.get('PATH', '')}:{os.path.expanduser('~/.local/bin')}")
        return own or self._unpacked(wheel)

    def lacks_uv(self, wheel: Wheel) -> bool:
        """Whether the wheel of uv is needed before anything can be built."""
        own = shutil.which("uv", path=f"{os.environ.get('PATH', '')}:{os.path.expanduser('~/.local/bin')}")
        return own is None and not (self._tools / wheel.sha256 / "uv").exists() and not self.has(wheel)

    def _unpacked(self, wheel: Wheel) -> str:
        path = self._tools / wheel.sha256 / "uv"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary = self.making / uuid.uuid4().hex
            with zipfile.ZipFile(self.wheel_path(wheel)) as archive:
                name = next(each for each in archive.namelist() if each.endswith(".data/scripts/uv"))
                with archive.open(name) as source, temporary.open("wb") as target:
                    shutil.copyfileobj(source, target)
            temporary.chmod(stat.S_IRWXU)
            os.replace(temporary, path)
            # The program is here: its wheel would take the same room once more.
            shutil.rmtree(self.wheel_path(wheel).parent, ignore_errors=True)
        return str(path)

    # -- room --

    def free(self) -> int:
        """Bytes that are free on the disk."""
        return shutil.disk_usage(self._built).free

    def tidy(self, runtimes: Collection[str]) -> None:
        """Remove what has not been used for long; ``runtimes`` are the interpreters of jobs that are here."""
        kept = [Kept(str(path), _size(path), _used_at(path / "ready")) for path in self._built.iterdir()]
        kept += [
            Kept(str(path), _size(path), max((_used_at(file) for file in path.iterdir()), default=0.0))
            for path in self._wheels.iterdir()
        ]
        in_use = {each.path for each in kept if any(name.startswith(f"{each.path}/") for name in runtimes)}
        for path in to_remove(kept, time.time(), in_use):
            # Not whole any more first: a removal that is cut short leaves no environment that looks usable.
            Path(path, "ready").unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)


def _distributions(environment: Path) -> list[str]:
    found = environment.glob("lib/python3.*/site-packages/*.dist-info")
    return sorted("==".join(path.name[: -len(".dist-info")].rsplit("-", 1)) for path in found)


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total
