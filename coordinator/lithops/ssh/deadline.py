"""A point in time that is handed down through every step of an operation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Deadline:
    """The instant ``at``, in seconds of ``clock``, by which something has to be done."""

    at: float
    clock: Clock = time.monotonic

    @classmethod
    def after(cls, timeout: float, clock: Clock = time.monotonic) -> Deadline:
        """The deadline ``timeout`` seconds from now."""
        return cls(clock() + timeout, clock)

    def remaining(self, cap: float | None = None) -> float:
        """Seconds that are left, never below zero and at most ``cap``."""
        left = max(0.0, self.at - self.clock())
        return left if cap is None else min(left, cap)

    @property
    def expired(self) -> bool:
        """Whether the instant has passed."""
        return self.clock() >= self.at
