"""What a wait shows: a bar on a terminal when it takes longer than a second, else a line in the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Optional

logger = logging.getLogger("lithops.wait")

SHOW_AFTER = 1.0
"""Seconds before a bar appears."""
REFRESH_EVERY = 0.1
"""Seconds between two looks at the numbers while a bar may be shown."""


class Progress:
    """The bar of one wait. ``clock`` gives monotonic seconds."""

    def __init__(self, enabled: bool, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at = clock()
        self._enabled = enabled
        self._has_bar = enabled and _is_terminal() and logger.isEnabledFor(logging.CRITICAL)
        self._bar: Optional[Any] = None
        self._last = (0, 0)

    def next_look(self) -> Optional[float]:
        """In how many seconds `show` wants to be called again; None: never."""
        if not self._has_bar:
            return None
        waited = self._clock() - self._began_at
        return REFRESH_EVERY if waited >= SHOW_AFTER else SHOW_AFTER - waited

    def show(self, done: int, total: int) -> None:
        """Show so many of so many calls as done."""
        self._last = (done, total)
        waited = self._clock() - self._began_at
        if not self._has_bar or waited < SHOW_AFTER:
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            # The delay keeps tqdm from drawing before it knows since when, and how many, calls ended.
            self._bar = tqdm(total=total, unit="call", leave=False, delay=SHOW_AFTER)
            self._bar.start_t -= waited
        self._bar.total = total
        self._bar.n = min(done, total)
        self._bar.refresh()

    def close(self) -> None:
        """Take the bar away, or say in the log how it went."""
        if self._bar is not None:
            self._bar.close()
        waited = self._clock() - self._began_at
        if self._enabled and not self._has_bar and waited >= SHOW_AFTER:
            logger.info("%d of %d calls have ended, after %.1f s", *self._last, waited)


def _is_terminal() -> bool:
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):
        return False  # Some hosts of Python have no such stream, or closed it.
