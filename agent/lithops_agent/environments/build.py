"""Build an environment with uv, from wheels that are on this host; nothing is fetched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

_BUILD_TIMEOUT = 1800.0
_TAIL = 4000


class BuildFailed(Exception):
    """uv did not build it; the message has what it wrote."""


def build(uv: str, python: str, folder: Path, wheels: Sequence[Path], cache: Path) -> None:
    """Make ``folder`` a virtual environment of ``python`` with these wheels. Raises BuildFailed, OSError."""
    # uv links files from its cache, so that has to be on the same file system.
    environment = {
        **{
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTHON", "UV_", "VIRTUAL_ENV"))
        },
        "UV_CACHE_DIR": str(cache),
        "UV_OFFLINE": "1",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    for command in commands(uv, python, folder, wheels):
        _run(command, environment)


def commands(uv: str, python: str, folder: Path, wheels: Sequence[Path]) -> list[list[str]]:
    """What is run, one after the other."""
    make = [uv, "venv", "--python", python, str(folder)]
    if not wheels:
        return [make]
    target = str(folder / "bin" / "python")
    fill = [uv, "pip", "install", "--python", target, "--no-deps", "--no-index", *map(str, wheels)]
    return [make, fill]


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_BUILD_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise BuildFailed(f"`{_shown(command)}` did not end in {_BUILD_TIMEOUT:g} s") from exc
    if done.returncode:
        said = done.stderr.strip()[-_TAIL:] or "(it wrote nothing)"
        raise BuildFailed(f"`{_shown(command)}` ended with code {done.returncode}: {said}")


def _shown(command: Sequence[str]) -> str:
    return " ".join(["uv", *command[1:4], "..."])
