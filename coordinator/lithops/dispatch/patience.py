"""How long to go on trying to reach a host, and how long to pause in between."""

from __future__ import annotations

_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
"""Seconds before each further try; the last one repeats."""


class Patience:
    """Counts failures in a row; ``now`` is an instant of any clock, in seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._failures = 0

    def worked(self) -> None:
        """The trouble is over."""
        self._since, self._failures = None, 0

    def failed(self, now: float, limit: float) -> float | None:
        """The pause before the next try; None when that would be over ``limit`` after the first failure."""
        if self._since is None:
            self._since = now
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        return pause if now + pause - self._since <= limit else None
