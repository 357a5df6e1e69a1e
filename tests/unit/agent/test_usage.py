"""How busy a machine is, from what Linux counts."""

from __future__ import annotations

import os
from pathlib import Path

from lithops_agent.usage import cpu_seconds, memory_bytes, usage

TICKS = os.sysconf("SC_CLK_TCK")


def test_cpu_time_leaves_out_idle_and_counts_guests_once() -> None:
    stat = f"cpu  {3 * TICKS} 0 {TICKS} {10 * TICKS} {2 * TICKS} 0 0 0 {TICKS} 0\ncpu0 1 2 3\nintr 5\n"
    assert cpu_seconds(stat) == (4.0, 16.0)


def test_memory() -> None:
    text = "MemTotal:        8000 kB\nMemFree:          100 kB\nMemAvailable:    6000 kB\n"
    assert memory_bytes(text) == (8000 * 1024, 6000 * 1024)


def test_a_system_that_does_not_tell() -> None:
    assert cpu_seconds("") == (0.0, 0.0)
    assert memory_bytes("") == (0, 0)


def test_this_machine(tmp_path: Path) -> None:
    found = usage(tmp_path)
    assert 0 < found["cpu_busy"] < found["cpu_total"]
    assert 0 < found["memory_available"] < found["memory"]
    assert found["disk_free"] > 0
    assert found["cpus"] == os.cpu_count()
    assert usage(Path("/nowhere"))["disk_free"] == 0
