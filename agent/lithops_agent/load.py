"""What the scheduler keeps of jobs and workers."""

from __future__ import annotations

import dataclasses
from collections import deque

from lithops_agent.protocol import Status

AHEAD = 0.02
"""Seconds of work that are queued at a worker ahead of time, so that it never waits for the agent."""
_LONG = 0.1
"""Seconds; calls longer than this are not queued ahead at all."""
_MAX_AHEAD = 64


@dataclasses.dataclass(eq=False)
class Job:
    """A job with calls that wait or run, or with workers."""

    job: str
    serial: int
    depth: int
    timeout: float | None
    retries: int
    backlog: deque[int] = dataclasses.field(default_factory=deque)
    attempts: dict[int, int] = dataclasses.field(default_factory=dict)
    """Of calls that were begun before: the number of the next attempt."""
    excused: dict[int, int] = dataclasses.field(default_factory=dict)
    """Of these: how many attempts ended with the agent."""
    mean: float | None = None
    barren: int = 0
    barren_until: int = 0
    """The last worker that had been started when a barren one was counted."""
    last_served_at: float = 0.0
    workers: list[Worker] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class Worker:
    """A worker, from when it is asked for until its end was noticed."""

    worker: int
    job: Job
    started_at: float
    queue: deque[int] = dataclasses.field(default_factory=deque)
    head_at: float = 0.0
    """When the first call of the queue began; with an empty queue, when the last one ended."""
    leaving: bool = False
    retired: bool = False
    killed_for: Status | None = None
    killed_call: int | None = None
    doomed: dict[int, Status] = dataclasses.field(default_factory=dict)
    """Calls that were cancelled when the worker may have received them already."""
    begun_any: bool = False
    full: bool = False
    """The queue had no room for the next call."""

    @property
    def usable(self) -> bool:
        """Whether it can be given calls."""
        return not (self.leaving or self.retired or self.killed_for is not None)


def queue_length(job: Job) -> int:
    """How many calls a worker may hold: the one it runs, and what is queued behind it."""
    if job.mean is None or job.mean >= _LONG:
        return 1
    return max(2, min(_MAX_AHEAD, int(AHEAD / max(job.mean, 1e-6)) + 1))
