"""The jobs and workers of a host, as the scheduler knows them."""

from __future__ import annotations

import dataclasses
import heapq
from collections import deque

from lithops_agent.attempts import Attempts
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
    attempts: Attempts = dataclasses.field(default_factory=Attempts)
    mean: float | None = None
    barren: int = 0
    barren_until: int = 0
    """The last worker that had been started when a barren one was counted."""
    last_served_at: float = 0.0
    workers: list[Worker] = dataclasses.field(default_factory=list)

    def serving(self) -> int:
        """How many workers can be given its calls."""
        return len([w for w in self.workers if w.usable])


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


class Load:
    """What there is, and who is short of workers.

    Jobs are known from the first of their calls to come until they are forgotten. ``processes`` is the number
    of slots for each nesting depth: a worker has one from its start until it is told to end.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.jobs: dict[str, Job] = {}
        self.workers: dict[int, Worker] = {}
        self.last_worker = 0
        """The number of the worker that was started last."""
        self._last_job = 0
        # By depth, the jobs without any worker, the longest unserved first: a decision must not take longer
        # for each job that waits. An entry may be outdated, which `_first_unserved` notices.
        self._unserved: dict[int, list[tuple[float, int, Job]]] = {}

    # -- what comes and goes --

    def job(self, name: str, depth: int, timeout: float | None, retries: int) -> Job:
        """The job of this name; one that is not known is made."""
        found = self.jobs.get(name)
        if found is None:
            self._last_job += 1
            found = self.jobs[name] = Job(name, self._last_job, depth, timeout, retries)
        return found

    def knows(self, job: Job) -> bool:
        """Whether a job was not forgotten; one that came later under its name is another one."""
        return self.jobs.get(job.job) is job

    def forget(self, name: str) -> None:
        """A job is no longer known; its workers are there until they end."""
        self.jobs.pop(name, None)

    def start(self, job: Job, now: float) -> Worker:
        """A worker is asked for."""
        self.last_worker += 1
        w = Worker(self.last_worker, job, started_at=now, head_at=now)
        self.workers[w.worker] = w
        job.workers.append(w)
        job.last_served_at = now
        return w

    def remove(self, worker: int) -> Worker:
        """A worker has ended."""
        w = self.workers.pop(worker)
        w.job.workers.remove(w)
        return w

    def note_unserved(self, job: Job) -> None:
        """Calls of a job wait, or a worker of it is gone: it is unserved if it has no other."""
        if job.backlog and not job.workers:
            entries = self._unserved.setdefault(job.depth, [])
            heapq.heappush(entries, (job.last_served_at, job.serial, job))

    # -- what is so --

    def of(self, name: str) -> list[Worker]:
        """The workers of a job."""
        found = self.jobs.get(name)
        return list(found.workers) if found is not None else []

    def at(self, depth: int) -> list[Worker]:
        """The workers of all jobs of a depth."""
        return [w for w in self.workers.values() if w.job.depth == depth]

    def depths(self) -> list[int]:
        """The depths at which there may be something to do."""
        return sorted({*self._unserved, *(w.job.depth for w in self.workers.values())})

    def free_slots(self, depth: int) -> int:
        """How many workers can be started; negative when there are too many."""
        held = [w for w in self.at(depth) if not w.retired and w.killed_for is None]
        return self.processes - len(held)

    def any_unserved(self) -> bool:
        """Whether a job has calls that wait, and no worker."""
        return any(map(self._first_unserved, self._unserved))

    def wanting(self, depth: int) -> list[Job]:
        """Jobs that want a worker: those that have some already, and the first of those that have none."""
        served = {w.job.serial: w.job for w in self.at(depth) if self.knows(w.job)}
        wanting = [job for job in served.values() if self._wants_worker(job)]
        first = self._first_unserved(depth)
        return wanting if first is None else [*wanting, first]

    def _wants_worker(self, job: Job) -> bool:
        if not job.backlog:
            return False
        idle = sum(1 for w in job.workers if w.usable and not w.queue)
        return len(job.backlog) > idle and job.serving() < self.processes

    def _first_unserved(self, depth: int) -> Job | None:
        entries = self._unserved.get(depth, [])
        while entries:
            noted_at, _, job = entries[0]
            if self.knows(job) and job.backlog and not job.workers and noted_at == job.last_served_at:
                return job
            heapq.heappop(entries)
        return None
