"""How busy the machine is, from what Linux counts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


def usage(home: Path) -> dict[str, Any]:
    """CPUs, memory, and the disk of a folder, in bytes.

    ``cpu_busy`` and ``cpu_total`` are seconds of all CPUs together since the boot: whoever asks twice knows
    how busy they were in between.
    """
    busy, total = cpu_seconds(_read("/proc/stat"))
    memory, available = memory_bytes(_read("/proc/meminfo"))
    try:
        disk = os.statvfs(home)
        disk_free = disk.f_bavail * disk.f_frsize
    except OSError:
        disk_free = 0
    return {
        "cpus": os.cpu_count() or 1,
        "cpu_busy": busy,
        "cpu_total": total,
        "memory": memory,
        "memory_available": available,
        "disk_free": disk_free,
    }


def cpu_seconds(stat: str) -> tuple[float, float]:
    """Busy seconds and all seconds, from ``/proc/stat``; zeros when it has none."""
    words = stat.partition("\n")[0].split()
    if not words or words[0] != "cpu":
        return 0.0, 0.0
    # user nice system idle iowait irq softirq steal; the guests that follow are counted as user already.
    ticks = [int(word) for word in words[1:9]]
    idle = sum(ticks[3:5])
    return (sum(ticks) - idle) / _TICKS, sum(ticks) / _TICKS


def memory_bytes(meminfo: str) -> tuple[int, int]:
    """All memory and what could be used now, from ``/proc/meminfo``; zeros when it does not tell."""
    lines = dict(line.partition(":")[::2] for line in meminfo.splitlines())

    def amount(name: str) -> int:
        words = lines.get(name, "").split()
        return int(words[0]) * 1024 if words else 0

    return amount("MemTotal"), amount("MemAvailable")


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
