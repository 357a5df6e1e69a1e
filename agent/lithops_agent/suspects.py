"""Calls that ran each time when an agent was killed: one of them may be the cause, the others are not.

They are let run one at a time. If the agent is killed once more, only one of them ran, and nothing that
merely ran beside it is blamed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container


class Suspects:
    """Those that wait, and the one that is on trial."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, int]] = deque()
        self._on_trial: tuple[str, int] | None = None

    @property
    def any_wait(self) -> bool:
        """Whether there are any that are not on trial."""
        return bool(self._waiting)

    def add(self, job: str, number: int) -> None:
        """A call is suspected."""
        self._waiting.append((job, number))

    def next(self) -> tuple[str, int] | None:
        """The one to be tried now; None when there is none, or one is on trial."""
        if self._on_trial is not None or not self._waiting:
            return None
        self._on_trial = self._waiting.popleft()
        return self._on_trial

    def over(self, job: str, number: int) -> None:
        """A call has ended, or is not this agent's any more."""
        if self._on_trial == (job, number):
            self._on_trial = None

    def count(self, job: str) -> int:
        """How many calls of a job wait here."""
        return sum(1 for name, _ in self._waiting if name == job)

    def drop(self, job: str, numbers: Container[int] | None) -> list[int]:
        """Take these calls (all of the job: None) out of those that wait; which ones there were."""
        dropped = [n for name, n in self._waiting if name == job and (numbers is None or n in numbers)]
        gone = {(job, number) for number in dropped}
        self._waiting = deque(each for each in self._waiting if each not in gone)
        return dropped

    def forget(self, job: str) -> None:
        """A job is gone."""
        self.drop(job, None)
        if self._on_trial is not None and self._on_trial[0] == job:
            self._on_trial = None
