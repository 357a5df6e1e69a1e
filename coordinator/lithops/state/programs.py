"""Whether the program that the records name still runs, or another one has got its number since."""

from __future__ import annotations

import os
from pathlib import Path

_TOLERANCE = 1.0
"""Seconds by which the start of a process may be off: the kernel counts from the boot, in ticks."""


def is_running(pid: int, since: float) -> bool:
    """Whether process ``pid`` lives and began before ``since``, in seconds since the epoch."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # It is there, and another user's.
    except (OSError, OverflowError):
        return False
    began = _began_at(pid)
    return began is None or began <= since + _TOLERANCE


def _began_at(pid: int) -> float | None:
    """When a process began; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        if fields[0] == "Z":
            return float("inf")
        return float(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
