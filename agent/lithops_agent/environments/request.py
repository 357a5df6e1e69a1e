"""What a coordinator asks for when it asks for an environment, read strictly. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from lithops_agent.protocol import ProtocolError

_SHA256 = re.compile("[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9_.+!-]+\.whl")


@dataclasses.dataclass(frozen=True)
class Wheel:
    """A wheel: the name of its file, its SHA-256, its size in bytes, and its URL ('': it has none)."""

    file: str
    sha256: str
    size: int
    url: str


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An environment: its name, the interpreter that it is for, and all that is in it.

    ``uv`` is the wheel of the tool that builds it. ``fetch``: this host may fetch wheels itself.
    """

    name: str
    python: str
    wheels: tuple[Wheel, ...]
    uv: Wheel
    fetch: bool


def read_wanted(sent: Mapping[str, Any]) -> Wanted:
    """Read a request; raises ProtocolError. Names become files' names here, so they are checked."""
    name, python, wheels = sent.get("environment"), sent.get("python"), sent.get("wheels")
    if not isinstance(name, str) or not _SHA256.fullmatch(name):
        raise ProtocolError("an environment without a SHA-256")
    if not isinstance(python, str) or not python:
        raise ProtocolError("an environment without its interpreter")
    if not isinstance(wheels, list):
        raise ProtocolError("an environment without its wheels")
    return Wanted(
        name=name,
        python=python,
        wheels=tuple(_wheel(wheel) for wheel in wheels),
        uv=_wheel(sent.get("uv")),
        fetch=sent.get("fetch") is True,
    )


def _wheel(sent: Any) -> Wheel:
    if not isinstance(sent, dict):
        raise ProtocolError("a wheel that is not an object")
    file, sha256, size, url = (sent.get(key) for key in ("file", "sha256", "size", "url"))
    if not isinstance(file, str) or not _FILE.fullmatch(file):
        raise ProtocolError(f"a wheel can't be named {file!r}")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ProtocolError(f"the wheel {file} has no SHA-256")
    if not isinstance(size, int) or size < 0 or not isinstance(url, str):
        raise ProtocolError(f"the wheel {file} has no size or URL")
    return Wheel(file, sha256, size, url)
