"""A lock: the very wheels that an environment consists of. Read from what uv writes, kept as JSON. Pure."""

from __future__ import annotations

import hashlib
import re
import sys
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lithops.environment.platforms import HostPlatform

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FORMAT = 1
"""Raised when environments are built in another way, so that old ones are not taken for new ones."""


@dataclass(frozen=True)
class Wheel:
    """A wheel: its file's name, its SHA-256, its size in bytes ('' and 0: not known), and its URL."""

    file: str
    sha256: str
    size: int
    url: str

    def to_json(self) -> dict[str, Any]:
        """As the agent is told of it: it has no use for paths of this machine."""
        on_web = self.url.startswith(("http://", "https://"))
        return {**asdict(self), "url": without_login(self.url) if on_web else ""}


@dataclass(frozen=True)
class Source:
    """A distribution without a wheel: a folder or an archive, by path or URL; a wheel is made of it here."""

    name: str
    place: str
    is_folder: bool
    sha256: str = ""
    unsupported: str = ""
    """Why no wheel can be made of it, where that is known."""


@dataclass(frozen=True)
class Lock:
    """All wheels of an environment, and the wheel of uv for the host.

    ``at`` is when it was resolved (epoch). ``folders`` are those that wheels were built of, with their
    fingerprints.
    """

    wheels: tuple[Wheel, ...]
    uv: Wheel
    at: float
    folders: tuple[tuple[str, str], ...] = ()

    def name(self, platform: HostPlatform, python: str) -> str:
        """The SHA-256 that names the environment: of its wheels, the Python and the platform."""
        text = [
            str(_FORMAT),
            python,
            *platform.to_json().values(),
            *sorted(each.sha256 for each in self.wheels),
        ]
        return hashlib.sha256("\n".join(text).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """For a file on this machine."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Lock:
        """From such a file. Raises KeyError, TypeError."""
        wheels = tuple(Wheel(**each) for each in kept["wheels"])
        folders = tuple((str(folder), str(mark)) for folder, mark in kept["folders"])
        return cls(wheels, Wheel(**kept["uv"]), float(kept["at"]), folders)


def read_pylock(text: str) -> list[Wheel | Source]:
    """The packages of a pylock.toml (PEP 751) that was resolved for one platform. Raises ValueError."""
    packages = tomllib.loads(text).get("packages", [])
    return [_package(package) for package in packages]


def lines_of_pylock(text: str) -> list[str]:
    """The packages of any pylock.toml as requirements. Raises ValueError, KeyError, TypeError."""
    lines = []
    for package in tomllib.loads(text)["packages"]:
        place = _place(package.get("archive") or package.get("directory") or {})
        what = f" @ {place}" if place else f"=={package['version']}"
        marker = f" ; {package['marker']}" if package.get("marker") else ""
        lines.append(f"{package['name']}{what}{marker}")
    return lines


def _package(package: Mapping[str, Any]) -> Wheel | Source:
    name = str(package["name"])
    if wheels := package.get("wheels"):
        return _wheel(wheels[0])
    if archive := package.get("archive"):
        if _place(archive).endswith(".whl"):
            return _wheel(archive)
        return Source(name, _place(archive), False, _sha256(archive))
    if directory := package.get("directory"):
        return Source(name, str(directory["path"]), True)
    if sdist := package.get("sdist"):
        return Source(name, _place(sdist), False, _sha256(sdist))
    why = "it comes from version control: build a wheel of it, and name the path of the wheel"
    return Source(name, "", False, unsupported=why)


def _wheel(entry: Mapping[str, Any]) -> Wheel:
    place = _place(entry)
    file = urllib.parse.unquote(place.partition("#")[0].rpartition("/")[2])
    return Wheel(file, _sha256(entry), int(entry.get("size", 0)), place)


def _place(entry: Mapping[str, Any]) -> str:
    return str(entry.get("url") or entry.get("path") or "")


def _sha256(entry: Mapping[str, Any]) -> str:
    return str(entry.get("hashes", {}).get("sha256", ""))


def without_login(url: str) -> str:
    """A URL without user and password: hosts get no secret that they do not need."""
    return re.sub(r"^(\w+://)[^/@]*@", r"\1", url)


def is_for_any_platform(file: str) -> bool:
    """Whether a wheel has no compiled code, by its name."""
    return file.endswith("-none-any.whl")


def distribution_of(file: str) -> str:
    """The name and version in the name of a wheel's file."""
    return " ".join(file.split("-")[:2])


def sources_of(packages: Iterable[Wheel | Source]) -> Sequence[Source]:
    """Those that have no wheel."""
    return [each for each in packages if isinstance(each, Source)]
