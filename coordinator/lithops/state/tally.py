"""How many calls of each job have ended, and when that is worth noting down. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lithops.state.records import FailureRecord, ProgressRecord

NOTED_EVERY = 1.0
"""Seconds between two notes about a job; another process that looks sees numbers that are as old."""


class Tally:
    """The calls of an executor that have ended.

    A job that is over within a second and has no failures is noted nowhere: it has ended, which says it all.
    """

    def __init__(self) -> None:
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._noted_at: dict[str, float] = {}

    def count(
        self, ended: Mapping[str, int], failures: Sequence[FailureRecord], now: float
    ) -> list[ProgressRecord]:
        """Calls have ended, some of them in failure; what is to be noted of their jobs now."""
        fresh = Counter(failure.job_key for failure in failures)
        self._done.update(ended)
        self._failed.update(fresh)
        due = []
        for key in ended:
            noted_at = self._noted_at.setdefault(key, now)
            if fresh[key] or now - noted_at >= NOTED_EVERY:
                self._noted_at[key] = now
                due.append(
                    ProgressRecord(job_key=key, done=self._done[key], failed=self._failed[key], at=now)
                )
        return due

    def forget(self, keys: Sequence[str]) -> None:
        """These jobs are over."""
        for key in keys:
            for counted in (self._done, self._failed, self._noted_at):
                counted.pop(key, None)
