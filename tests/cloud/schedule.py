"""What happens later in the cloud, by a clock that is handed in."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Tells the time in seconds since 1970."""

    def now(self) -> float:
        """The time."""


class SystemClock:
    """The time of this machine."""

    def now(self) -> float:
        """The time."""
        return time.time()


class SetClock:
    """A clock that stands still until it is put forward."""

    def __init__(self, now: float | None = None) -> None:
        # Tokens are judged by the SDK, too, which looks at this machine's clock.
        self._now = time.time() if now is None else now

    def now(self) -> float:
        """The time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        self._now += seconds


class Schedule:
    """Actions that are due at some time; `run_due` carries them out in the order of their times."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do it in so many seconds."""
        heapq.heappush(self._waiting, (self.clock.now() + seconds, next(self._numbers), action))

    def run_due(self) -> None:
        """Do what is due."""
        now = self.clock.now()
        while self._waiting and self._waiting[0][0] <= now:
            heapq.heappop(self._waiting)[2]()
