"""Wheels on this machine: fetched once, built where there are none, kept by their hash for the next time."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lithops.environment import uv
from lithops.environment.lock import Source, Wheel, distribution_of, is_for_any_platform, without_login
from lithops.environment.platforms import HostPlatform, this_platform
from lithops.environment.registry import login_for
from lithops.errors import EnvironmentFailed, RequirementsUnavailable

_PIECE = 1024 * 1024
_TIMEOUT = 60.0
_MAX_AGE = 30 * 24 * 3600.0
_NOT_SOURCE = {".git", ".hg", ".venv", "venv", "__pycache__", "build", "dist", "node_modules", ".tox"}


class Wheelhouse:
    """The folder of wheels below the cache. ``environment`` is that of uv, with the logins of registries."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def path(self, wheel: Wheel) -> Path:
        """A wheel on this disk, fetched if it is not there. Raises EnvironmentFailed."""
        path = self._folder / wheel.sha256 / wheel.file
        if wheel.sha256 and path.exists():
            os.utime(path)
            return path
        fetched, sha256 = self._fetch(wheel.url, wheel.file, wheel.sha256)
        return self._keep(fetched, wheel.file, sha256)

    def complete(self, package: Wheel | Source, platform: HostPlatform) -> Wheel:
        """A wheel whose hash is known. Raises RequirementsUnavailable, EnvironmentFailed."""
        if isinstance(package, Source):
            return self._built(package, platform)
        if package.sha256 and (package.size or not package.url.startswith("file:")):
            return package
        path = self.path(package)
        return replace(package, sha256=path.parent.name, size=path.stat().st_size)

    def _fetch(self, url: str, file: str, sha256: str) -> tuple[Path, str]:
        """What is there, as a file without its name, and its hash."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self._folder)
        digest = hashlib.sha256()
        try:
            with (
                os.fdopen(handle, "wb") as target,
                urllib.request.urlopen(self._request(url), timeout=_TIMEOUT) as answer,
            ):
                while piece := answer.read(_PIECE):
                    digest.update(piece)
                    target.write(piece)
            if sha256 and digest.hexdigest() != sha256:
                raise EnvironmentFailed(
                    f"{without_login(url)} has not the SHA-256 that it should: nothing is installed from it",
                    phase="environment",
                )
        except OSError as exc:
            os.unlink(temporary)
            raise EnvironmentFailed(
                f"{file} can't be fetched from {without_login(url)}: {exc}", phase="environment"
            ) from exc
        except BaseException:
            os.unlink(temporary)
            raise
        return Path(temporary), digest.hexdigest()

    def _request(self, url: str) -> urllib.request.Request:
        request = urllib.request.Request(without_login(url))
        parts = urllib.parse.urlsplit(url)
        own = (parts.username, parts.password or "") if parts.username else None
        login = own or login_for(url, self._environment)
        if login is not None:
            text = ":".join(map(urllib.parse.unquote, login)) if own else ":".join(login)
            request.add_unredirected_header(
                "Authorization", f"Basic {base64.b64encode(text.encode()).decode()}"
            )
        return request

    def _keep(self, path: Path, file: str, sha256: str) -> Path:
        """Put a file that is whole in its place, which its hash names."""
        place = self._folder / sha256 / file
        place.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(path, place)
        return place

    # -- what has no wheel --

    def _built(self, source: Source, platform: HostPlatform) -> Wheel:
        """A wheel that is made of a folder or an archive; the same source is not built again."""
        note = self._folder / f"built-{_fingerprint(source)}-{platform.minor}"
        wheel = self._noted(note)
        if wheel is None:
            path = self._build(source, platform)
            wheel = Wheel(path.name, path.parent.name, path.stat().st_size, path.as_uri())
            note.write_text(f"{wheel.sha256} {wheel.file}")
        if not is_for_any_platform(wheel.file) and not platform.runs_wheels_built_on(this_platform()):
            raise RequirementsUnavailable(
                f"{distribution_of(wheel.file)} has compiled code and no wheel for {platform}; one that is "
                f"built here is for {this_platform()}",
                phase="environment",
            )
        return wheel

    def _noted(self, note: Path) -> Wheel | None:
        try:
            sha256, file = note.read_text().split()
            path = self._folder / sha256 / file
            os.utime(path)
            return Wheel(file, sha256, path.stat().st_size, path.as_uri())
        except (OSError, ValueError):
            return None

    def _build(self, source: Source, platform: HostPlatform) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as work:
            place = source.place
            if not source.is_folder:
                file = urllib.parse.unquote(source.place.rpartition("/")[2])
                url = source.place if "://" in source.place else Path(source.place).as_uri()
                place = str(Path(work, file))
                os.replace(self._fetch(url, file, source.sha256)[0], place)
            command = ["build", "--wheel", "--out-dir", f"{work}/out", *uv.python_option(), place, "--quiet"]
            try:
                uv.run(command, self._environment)
            except uv.UvFailed as exc:
                raise RequirementsUnavailable(
                    f"{source.name} has no wheel for {platform}, and none can be built here of {place}:\n"
                    f"{exc}",
                    phase="environment",
                ) from exc
            path = next(Path(work, "out").glob("*.whl"))
            return self._keep(path, path.name, hashlib.sha256(path.read_bytes()).hexdigest())

    def forget_old(self) -> None:
        """Remove what has not been used for a month."""
        for path in self._folder.glob("*/*.whl"):
            if path.stat().st_mtime < time.time() - _MAX_AGE:
                shutil.rmtree(path.parent, ignore_errors=True)


def _fingerprint(source: Source) -> str:
    if source.is_folder:
        return folder_fingerprint(source.place)
    return hashlib.sha256(f"{source.place} {source.sha256}".encode()).hexdigest()[:32]


def folder_fingerprint(folder: str) -> str:
    """Changes when a source in a folder does: by the sizes and times of its files."""
    digest = hashlib.sha256(folder.encode())
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in _NOT_SOURCE and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            path = os.path.join(root, name)
            stat = os.stat(path, follow_symlinks=False)
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]
