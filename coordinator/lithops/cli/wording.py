"""How sizes, times and numbers are written for people."""

from __future__ import annotations

from typing import Optional

UNKNOWN = "-"


def seconds(value: Optional[float]) -> str:
    """A length of time: 12 s, 3 min, 2 h 5 min, 3 days."""
    if value is None:
        return UNKNOWN
    if value < 100:
        return f"{max(value, 0):.0f} s"
    minutes = round(value / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(value / 86400)} days"


def size(value: Optional[int]) -> str:
    """Bytes, in units of 1000."""
    if value is None:
        return UNKNOWN
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            number = value / factor
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{value} B"


def share(value: Optional[float]) -> str:
    """A part of one, in percent."""
    return UNKNOWN if value is None else f"{value:.0%}"


def count(number: int, what: str) -> str:
    """A number of things; the plural takes an s."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
