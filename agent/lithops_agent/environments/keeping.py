"""Which environments and wheels go: by age, and by size once there are too many. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

MAX_AGE = 30 * 24 * 3600.0
"""Seconds after its last use that an environment, or a wheel, is kept."""
MAX_BYTES = 20 * 1024**3
"""Bytes that environments and wheels may take together."""
IN_HAND = 3600.0
"""Seconds after its last use in which nothing goes: the job that it was built for may be on its way."""


class Kept(NamedTuple):
    """An environment or a wheel: its path, its size in bytes, and when it was used last."""

    path: str
    size: int
    used_at: float


def to_remove(
    kept: Iterable[Kept], now: float, in_use: Collection[str], *, max_age: float = MAX_AGE,
    max_bytes: int = MAX_BYTES,
) -> list[str]:  # fmt: skip
    """The paths to remove, those that were not used for the longest time first."""
    total, removed = 0, []
    for each in sorted(kept, key=lambda each: each.used_at, reverse=True):
        total += each.size
        held = each.path in in_use or now - each.used_at < IN_HAND
        if not held and (now - each.used_at > max_age or total > max_bytes):
            removed.append(each.path)
            total -= each.size
    return removed[::-1]
