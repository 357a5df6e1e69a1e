"""Units that systemd runs for this user: of the system (as root, or through sudo) or the user's own."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

UNITS = ("none", "system", "user")
"""Who runs the agent: itself, systemd, or the user's own systemd."""
_PATIENCE = 20.0


class SystemdFailed(Exception):
    """systemd did not do what it was asked to; the message is what it said."""


def agent_unit() -> str:
    """The unit that the agent of this user runs in."""
    return f"lithops-agent-{getpass.getuser()}"


def start_transient(
    unit: str, name: str, command: Sequence[str], properties: Mapping[str, str], *flags: str
) -> None:
    """Have systemd run a command. Raises SystemdFailed."""
    run = ["systemd-run", "--quiet", "--collect", f"--unit={name}", *flags]
    run += ["--user"] if unit == "user" else [f"--uid={os.getuid()}", f"--gid={os.getgid()}"]
    settings = [f"--property={key}={value}" for key, value in properties.items()]
    import subprocess

    try:
        done = _run(unit, [*run, *settings, *command])
    except subprocess.TimeoutExpired as exc:
        raise SystemdFailed(f"systemd-run failed: no answer within {_PATIENCE:g} s") from exc
    if done.returncode != 0:
        raise SystemdFailed(f"systemd-run failed with code {done.returncode}: {done.stderr.strip()}")


def systemctl(unit: str, *arguments: str) -> bool:
    """Ask systemd for something; whether it did it."""
    import subprocess

    flags = ["--user"] if unit == "user" else []
    try:
        return _run(unit, ["systemctl", *flags, *arguments]).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def as_root(command: Sequence[str]) -> list[str]:
    """The command, run as root; without a password where root's rights need sudo."""
    return list(command) if os.getuid() == 0 else ["sudo", "-n", *command]


def _run(unit: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # Imported here because the watchdog, which waits all the time, is to be small.
    import subprocess

    return subprocess.run(
        command if unit == "user" else as_root(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
