"""What a wait shows: a bar on a terminal and in a notebook, elsewhere a line in the log now and then."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from lithops.job.model import Activity

logger = logging.getLogger("lithops.wait")

SHOW_AFTER = 1.0
"""Seconds before a bar appears."""
REFRESH_EVERY = 0.1
"""Seconds between two looks at the numbers while a bar may be shown."""
FIRST_LINE_AFTER = 5.0
"""Seconds before the first line, where there is no bar; each next one comes after twice the time."""
LINE_EVERY = 60.0
"""Seconds between two lines at most."""


class Count(NamedTuple):
    """How many calls have ended, of how many, and how many of those that have ended failed."""

    done: int
    total: int
    failed: int = 0


class Progress:
    """The bar of one wait, or its lines. ``clock`` gives monotonic seconds."""

    def __init__(self, enabled: bool, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at = clock()
        self._enabled = enabled
        self._has_bar = enabled and _takes_bar() and logger.isEnabledFor(logging.CRITICAL)
        self._bar: Optional[Any] = None
        self._last = Count(0, 0)
        self._line_at = FIRST_LINE_AFTER

    def next_look(self) -> Optional[float]:
        """In how many seconds `show` wants to be called again; None: never."""
        waited = self._clock() - self._began_at
        if self._has_bar:
            return REFRESH_EVERY if waited >= SHOW_AFTER else SHOW_AFTER - waited
        if self._enabled and logger.isEnabledFor(logging.INFO):
            return max(self._line_at - waited, 0.0)
        return None

    def show(self, count: Count, activity: Callable[[], Activity]) -> None:
        """Show how far it is; ``activity`` is asked when that is shown."""
        self._last = count
        waited = self._clock() - self._began_at
        if self._has_bar and waited >= SHOW_AFTER:
            self._draw(count, activity(), waited)
        elif self._enabled and not self._has_bar and waited >= self._line_at and count.done < count.total:
            self._line_at = waited + min(waited, LINE_EVERY)
            self._say(count, describe(count, activity()), waited)

    def close(self) -> None:
        """Take the bar away, or say in the log how it went."""
        if self._bar is not None:
            self._bar.close()
        waited = self._clock() - self._began_at
        if self._enabled and not self._has_bar and waited >= SHOW_AFTER:
            failed = f"{self._last.failed} failed" if self._last.failed else ""
            self._say(self._last, failed, waited)

    def _draw(self, count: Count, activity: Activity, waited: float) -> None:
        if self._bar is None:
            from tqdm.auto import tqdm

            # The delay keeps tqdm from drawing before it knows since when, and how many, calls ended.
            self._bar = tqdm(total=count.total, unit="call", leave=False, delay=SHOW_AFTER)
            self._bar.start_t -= waited
        self._bar.total = count.total
        self._bar.n = min(count.done, count.total)
        self._bar.set_postfix_str(describe(count, activity), refresh=False)
        self._bar.refresh()

    def _say(self, count: Count, more: str, waited: float) -> None:
        told = f" ({more})" if more else ""
        logger.info("%d of %d calls have ended%s, after %.1f s", count.done, count.total, told, waited)


def describe(count: Count, activity: Activity) -> str:
    """What is shown beside the numbers of calls."""
    parts = [f"{activity.running} running"] if activity.running else []
    if count.failed:
        parts.append(f"{count.failed} failed")
    if activity.hosts:
        ready = "" if activity.ready == activity.hosts else f"{activity.ready} of "
        parts.append(f"{ready}{activity.hosts} host{'s' * (activity.hosts != 1)}")
    if activity.doing:
        parts.append(activity.doing)
    return ", ".join(parts)


def _takes_bar() -> bool:
    """Whether standard error is a terminal, or this is a notebook, where the bar is a widget."""
    if "ipykernel" in sys.modules and "IPython" in sys.modules:
        return True
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):
        return False  # Some hosts of Python have no such stream, or closed it.
