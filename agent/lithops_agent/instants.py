"""Moments that outlive a process, and the one place of the agent that reads the clocks for them.

Time that costs money is counted by CLOCK_BOOTTIME, which goes on while the machine sleeps and does not
care when somebody sets the clock. It begins anew with each boot of the machine; across boots, only the
wall clock can tell how much time has passed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import threading

_LOOK_AGAIN = 1.0
"""Seconds that a wait lasts at most: it does not notice that the machine slept meanwhile."""


class Instant(NamedTuple):
    """A moment, as it is kept on disk. Clocks in seconds."""

    boot_id: str
    boottime: float
    wall: float

    def until(self, later: Instant) -> float:
        """Seconds from this moment to another one; negative when that one was before."""
        if self.boot_id == later.boot_id:
            return later.boottime - self.boottime
        return later.wall - self.wall

    def age(self, now: Instant) -> float:
        """Seconds that have passed since, never negative: a clock that was set back makes nothing younger."""
        return max(self.until(now), 0.0)

    def plus(self, seconds: float) -> Instant:
        """The moment so many seconds later."""
        return Instant(self.boot_id, self.boottime + seconds, self.wall + seconds)

    def to_json(self) -> list[Any]:
        """What `from_json` reads."""
        return [self.boot_id, round(self.boottime, 3), round(self.wall, 3)]

    @classmethod
    def from_json(cls, kept: Any) -> Instant:
        """Read what was kept; raises ValueError when it is no moment."""
        try:
            boot, boottime, wall = kept
            return cls(str(boot), float(boottime), float(wall))
        except (TypeError, ValueError) as exc:
            raise ValueError(f"{kept!r} is no moment") from exc


class Clock(Protocol):
    """Tells the time, and waits; tests have one that jumps."""

    def now(self) -> Instant:
        """This moment."""
        ...

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait until the event is set, for so long at most (None: as long as the clock likes to wait)."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def __init__(self) -> None:
        self._boot_id = boot_id()

    def now(self) -> Instant:
        """This moment."""
        return Instant(self._boot_id, time.clock_gettime(time.CLOCK_BOOTTIME), time.time())

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait until the event is set; returns after a second at most, so that a sleep is noticed."""
        return event.wait(_LOOK_AGAIN if seconds is None else min(max(seconds, 0.0), _LOOK_AGAIN))


def boot_id() -> str:
    """The kernel's name for this boot of the machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
