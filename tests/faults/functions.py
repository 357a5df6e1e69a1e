"""Functions that run on hosts."""

from __future__ import annotations

import pathlib
import time


def hold(seconds: float) -> float:
    """Take so long."""
    time.sleep(seconds)
    return seconds


def hold_after(mark: str, seconds: float) -> float:
    """Leave a mark, then take so long."""
    pathlib.Path(mark).touch()
    return hold(seconds)
