"""Run uv on this machine."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from lithops.errors import EnvironmentFailed

_TIMEOUT = 900.0
_LOGIN = re.compile(r"(\w+://)[^/@\s]+@")


class UvFailed(Exception):
    """uv ended with an error; the message is what it wrote."""


@functools.lru_cache(maxsize=1)
def uv_program() -> str:
    """The path of uv. Raises EnvironmentFailed."""
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise EnvironmentFailed(
            "standalone.requirements needs uv on this machine: pip install uv", phase="environment"
        )
    return found


@functools.lru_cache(maxsize=1)
def uv_version() -> str:
    """Its version, so that hosts get the same."""
    try:
        return importlib.metadata.version("uv")
    except importlib.metadata.PackageNotFoundError:
        return run(["--version"], {}).split()[1]


def run(
    arguments: Sequence[str], environment: Mapping[str, str], *, stdin: str = "", folder: str | None = None
) -> str:
    """Run uv; what it wrote to its standard output. Raises UvFailed, EnvironmentFailed."""
    try:
        done = subprocess.run(
            [uv_program(), "--no-progress", *arguments],
            input=stdin,
            env=dict(environment) or None,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise EnvironmentFailed(f"uv can't be run on this machine: {exc}", phase="environment") from exc
    if done.returncode:
        raise UvFailed(_LOGIN.sub(r"\1***@", done.stderr.strip()) or f"uv ended with code {done.returncode}")
    return done.stdout


def python_option() -> list[str]:
    """uv looks for no other interpreter than this one."""
    return ["--python", sys.executable]
