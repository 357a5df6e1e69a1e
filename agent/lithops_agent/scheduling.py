"""Which call runs in which worker: a state machine without sockets, processes or clocks.

The pool tells what happened, in the past tense, and asks `plan` what to do about it, in the
imperative. Rules:

- A host has ``processes`` slots for each nesting depth, so that a function that waits for calls of
  its own can't keep these from running.
- Slots are shared evenly between the jobs that have calls waiting; a worker is never handed over from
  one job to another, it is retired and a new one started.
- Calls are queued at a worker ahead of time only while they are short (`queue_length`), and what
  waits behind a call that turns out to be long is taken back for an idle worker.
- A call that was running when its worker died is retried while its attempts last; the calls queued
  behind it were never begun, and lose nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from lithops_agent.actions import Action, Assign, Fail, Kill, Retire, StartWorker, TakeBack
from lithops_agent.load import AHEAD, Job, Load, Worker, queue_length
from lithops_agent.protocol import Status
from lithops_agent.suspects import Suspects

_TIME_SLICE = 0.25
"""Seconds that a worker serves its job before it makes room, when there are more jobs than slots."""
_LINGER = 0.5
"""Seconds that a worker without a call waits for more of its job, when nobody else wants its slot."""
_BLAMELESS_RETRIES = 2
_BEFORE = "ended before it began"
_CRASH_LIMIT = 3
"""So many agents that end while they run a call, and it is given up."""
_BARREN_LIMIT = 3
"""So many workers, each started after the one before had died, that began no call: the job is given up."""


class Scheduler:
    """Decides for one host; what it decides about is in a `Load`, which nobody else changes."""

    def __init__(self, processes: int) -> None:
        self._load = Load(processes)
        self._suspects = Suspects()

    @property
    def processes(self) -> int:
        """How many calls run at the same time, at each depth."""
        return self._load.processes

    @processes.setter
    def processes(self, processes: int) -> None:
        self._load.processes = processes

    # -- what happened --

    def calls_added(
        self, job: str, numbers: Iterable[int], *, depth: int, timeout: float | None, retries: int = 0
    ) -> None:
        """Calls of a job wait to be run."""
        j = self._load.job(job, depth, timeout, retries)
        had_none = not j.backlog
        j.backlog.extend(numbers)
        if had_none:
            self._load.note_unserved(j)

    def calls_resumed(
        self,
        job: str,
        numbers: Iterable[int],
        interrupted: Mapping[int, tuple[int, int]],
        *,
        depth: int,
        timeout: float | None,
        retries: int = 0,
    ) -> list[Action]:
        """Calls that an earlier agent left wait again; those that ran when it ended have one attempt more.

        ``interrupted`` are the latter: the number of their next attempt, and in how many of the earlier ones
        the agent ended. It may be they that end it, so there is a limit.
        """
        doomed = {n: crashes for n, (_, crashes) in interrupted.items() if crashes >= _CRASH_LIMIT}
        suspects = [n for n, (_, crashes) in interrupted.items() if crashes == _CRASH_LIMIT - 1]
        apart = {*doomed, *suspects}
        left = [number for number in numbers if number not in apart]
        self.calls_added(job, left, depth=depth, timeout=timeout, retries=retries)
        j = self._load.jobs[job]
        for number, (attempt, crashes) in interrupted.items():
            j.attempts.resumed(number, attempt, crashes)
        for number in suspects:
            self._suspects.add(job, number)
        why = "the agent of the host was killed {} times while this call ran"
        actions: list[Action] = [
            self._fail(j, number, Status.WORKER_DIED, why.format(crashes))
            for number, crashes in doomed.items()
        ]
        self._prune(j)
        return actions

    def job_released(self, job: str) -> list[Action]:
        """A job is forgotten; its workers are killed."""
        actions: list[Action] = [
            self._kill(w, Status.CANCELLED)
            for w in self._load.of(job)
            if w.killed_for is None and not w.retired
        ]
        self._load.forget(job)
        self._suspects.forget(job)
        return actions

    def call_ended(self, worker: int, number: int, now: float) -> str | None:
        """A worker reported the end of a call. The job, or None when the report is not expected."""
        w = self._load.workers.get(worker)
        if w is None or number not in w.queue:
            return None
        w.queue.remove(number)
        w.full = False
        w.doomed.pop(number, None)
        took = max(now - w.head_at, 0.0)
        job = w.job
        job.mean = took if job.mean is None else 0.8 * job.mean + 0.2 * took
        job.barren = 0
        job.attempts.over(number)
        self._suspects.over(job.job, number)
        w.begun_any = True
        w.head_at = now
        return job.job if self._load.knows(job) else None

    def not_queued(self, worker: int, numbers: Iterable[int]) -> None:
        """The queue of a worker had no room for these calls; it is left alone until a call ends there."""
        self.taken_back(worker, numbers)
        w = self._load.workers[worker]
        w.full = bool(w.queue)

    def taken_back(self, worker: int, numbers: Iterable[int]) -> list[Action]:
        """These calls, the last ones of a worker's queue, wait again; those that were cancelled fail."""
        w = self._load.workers[worker]
        w.full = False
        back = list(numbers)
        for number in back:
            w.queue.remove(number)
        doomed = {number: status for number in back if (status := w.doomed.pop(number, None)) is not None}
        w.job.backlog.extendleft(number for number in reversed(back) if number not in doomed)
        if not self._load.knows(w.job):
            return []
        return [self._fail(w.job, number, status, _BEFORE) for number, status in doomed.items()]

    def not_started(self, worker: int) -> None:
        """A worker could not be made: it got none of its calls."""
        self.taken_back(worker, list(self._load.workers[worker].queue))

    def worker_exited(
        self, worker: int, how: str, out_of_memory: bool = False, blameless: bool = False
    ) -> list[Action]:
        """A worker ended, after its reports were read and `taken_back` told what it had not begun.

        ``blameless``: not for anything that its call did, as far as is known.
        """
        w = self._load.remove(worker)
        job = w.job
        if not self._load.knows(job):
            return []
        actions = [self._interrupted(w, number, how, out_of_memory, blameless) for number in w.queue]
        if not w.queue:
            actions = self._barren(w, how)
        self._load.note_unserved(job)
        self._prune(job)
        return [action for action in actions if action is not None]

    def _interrupted(
        self, w: Worker, number: int, how: str, out_of_memory: bool, blameless: bool
    ) -> Fail | None:
        """What becomes of a call that its dead worker had in hand."""
        job = w.job
        if number in w.doomed:
            return self._fail(job, number, w.doomed[number], how)
        if w.killed_for is not None:
            if number == w.killed_call:
                return self._fail(job, number, w.killed_for, how)
            # The worker was killed for the call before, which ended at that moment.
            job.backlog.appendleft(number)
            return None
        if job.attempts.failed(number, max(job.retries, _BLAMELESS_RETRIES if blameless else 0)):
            job.backlog.appendleft(number)
            return None
        status = Status.OUT_OF_MEMORY if out_of_memory else Status.WORKER_DIED
        return self._fail(job, number, status, how)

    def cancelled(
        self, job: str, numbers: Iterable[int] | None, status: Status = Status.CANCELLED
    ) -> list[Action]:
        """Calls (all of the job: None) are to end now; those that wait fail at once."""
        j = self._load.jobs.get(job)
        if j is None:
            return []
        chosen = None if numbers is None else frozenset(numbers)
        waiting = [n for n in j.backlog if chosen is None or n in chosen]
        if waiting:
            gone = frozenset(waiting)
            j.backlog = deque(n for n in j.backlog if n not in gone)
        waiting += self._suspects.drop(job, chosen)
        actions: list[Action] = [self._fail(j, n, status, _BEFORE) for n in waiting]
        for w in self._load.of(job):
            if w.job is not j:
                continue
            for number in w.queue:
                if chosen is None or number in chosen:
                    w.doomed[number] = status
            if w.queue and w.queue[0] in w.doomed:
                actions.append(self._kill(w, status))
        self._prune(j)
        return actions

    def queued_at_workers(self, job: str, numbers: Iterable[int] | None = None) -> list[int]:
        """Workers whose queue holds calls (these calls: numbers) behind the one they may have begun."""
        chosen = None if numbers is None else frozenset(numbers)
        return [
            w.worker
            for w in self._load.of(job)
            if any(chosen is None or number in chosen for number in list(w.queue)[1:])
        ]

    def revoked(self, job: str, count: int) -> list[int]:
        """Give away up to ``count`` of the calls that wait, the last ones first."""
        j = self._load.jobs.get(job)
        if j is None:
            return []
        given = [j.backlog.pop() for _ in range(min(count, len(j.backlog)))]
        for number in given:
            self._suspects.over(job, number)
        self._prune(j)
        return given

    # -- what is so --

    def waiting(self) -> dict[str, int]:
        """How many calls of each job have not begun."""
        counts = {
            job.job: len(job.backlog) + self._suspects.count(job.job) for job in self._load.jobs.values()
        }
        for w in self._load.workers.values():
            if w.job.job in counts:
                counts[w.job.job] += max(len(w.queue) - 1, 0)
        return {job: count for job, count in counts.items() if count}

    def running(self) -> list[tuple[str, int]]:
        """(job, number) of each call that a worker has in hand."""
        return [(w.job.job, w.queue[0]) for w in self._load.workers.values() if w.queue]

    def in_hand(self, worker: int) -> tuple[str, int] | None:
        """(job, number) of the call that a worker has in hand."""
        w = self._load.workers.get(worker)
        return (w.job.job, w.queue[0]) if w is not None and w.queue else None

    def busy_jobs(self) -> set[str]:
        """Jobs with calls that wait or run."""
        return set(self.waiting()) | {job for job, _ in self.running()}

    def is_busy(self) -> bool:
        """Whether any call waits or runs."""
        waits = self.has_suspects or any(job.backlog for job in self._load.jobs.values())
        return waits or any(w.queue for w in self._load.workers.values())

    @property
    def has_suspects(self) -> bool:
        """Whether calls wait that must not run before the end of another one was recorded."""
        return self._suspects.any_wait

    def next_wakeup(self, now: float) -> float | None:
        """Seconds until `plan` must be asked again though nothing happened; None: not needed."""
        workers = self._load.workers.values()
        times = [
            w.head_at + w.job.timeout
            for w in workers
            if w.queue and w.job.timeout is not None and w.killed_for is None
        ]
        times.extend(w.head_at + _LINGER for w in workers if w.usable and not w.queue)
        # What was due before now was done, or waits for something to happen.
        later = [w.head_at + AHEAD for w in workers if len(w.queue) > 1]
        if self._load.any_unserved() or any(w.job.backlog for w in workers):
            later.extend(w.started_at + _TIME_SLICE for w in workers)
        times.extend(at for at in later if at > now)
        return max(min(times) - now, 0.0) if times else None

    # -- what to do --

    def plan(self, now: float, begins: bool = True) -> list[Action]:
        """What to do now; carry out all of it, in order, before telling what happened next.

        ``begins``: whether calls may begin.
        """
        actions: list[Action] = []
        self._time_out(now, actions)
        if begins:
            self._try_suspect()
        for depth in self._load.depths():
            if begins:
                self._feed(depth, now, actions)
            self._retire(depth, now, actions)
            while begins and self._grow(depth, now, actions):
                # The slots that were free are not any more: who has too many of them is to yield now.
                self._retire(depth, now, actions)
        return actions

    def _try_suspect(self) -> None:
        found = self._suspects.next()
        if found is not None:
            name, number = found
            job = self._load.jobs[name]
            job.backlog.appendleft(number)
            self._load.note_unserved(job)

    def _time_out(self, now: float, actions: list[Action]) -> None:
        for w in self._load.workers.values():
            if not w.queue or w.killed_for is not None:
                continue
            limit = w.job.timeout
            if w.queue[0] in w.doomed:
                # It was cancelled while it was, unknown to us, already behind no other call.
                actions.append(self._kill(w, w.doomed[w.queue[0]]))
            elif limit is not None and now >= w.head_at + limit:
                actions.append(self._kill(w, Status.TIMED_OUT))

    def _feed(self, depth: int, now: float, actions: list[Action]) -> None:
        for w in self._load.at(depth):
            job = w.job
            if not w.usable or w.full or not job.backlog:
                continue
            room = queue_length(job) - len(w.queue)
            if room <= 0:
                continue
            # The last calls of a job are dealt out one by one, so that all workers end together;
            # nothing is put behind a call that turned out to be long.
            if w.queue and (len(job.backlog) < self._load.processes * 2 or now >= w.head_at + AHEAD):
                continue
            numbers = [job.backlog.popleft() for _ in range(min(room, len(job.backlog)))]
            if not w.queue:
                w.head_at = now
            w.queue.extend(numbers)
            job.last_served_at = now
            actions.append(Assign(w.worker, job.job, job.attempts.of(numbers)))

    def _retire(self, depth: int, now: float, actions: list[Action]) -> None:
        wanted = self._load.wanting(depth)
        for w in self._load.at(depth):
            if w.retired or w.killed_for is not None:
                continue
            if not w.queue:
                if self._load.free_slots(depth) <= 0 and wanted:
                    w.leaving = True
                if w.leaving or now >= w.head_at + _LINGER or not self._load.knows(w.job):
                    w.retired = True
                    actions.append(Retire(w.worker))
            elif wanted and w.usable and self._must_yield(w, wanted, now):
                w.leaving = True
                if len(w.queue) > 1:
                    actions.append(TakeBack(w.worker))

    def _must_yield(self, w: Worker, wanted: list[Job], now: float) -> bool:
        """Whether a busy worker ends after its call, because other jobs have too few slots."""
        if self._load.free_slots(w.job.depth) > 0 or w.job in wanted:
            return False
        mine = w.job.serving()
        least = min(job.serving() for job in wanted)
        if mine > least + 1:
            return True
        return mine > least and now >= w.started_at + _TIME_SLICE

    def _grow(self, depth: int, now: float, actions: list[Action]) -> bool:
        """Start workers in slots that are free; whether any was."""
        before = self._load.last_worker
        while self._load.free_slots(depth) > 0:
            wanted = self._load.wanting(depth)
            if not wanted:
                break
            job = min(wanted, key=lambda j: (j.serving(), j.last_served_at, j.serial))
            w = self._load.start(job, now)
            actions.append(StartWorker(w.worker, job.job))
            self._feed(depth, now, actions)
        self._unstick(depth, now, actions)
        return self._load.last_worker > before

    def _unstick(self, depth: int, now: float, actions: list[Action]) -> None:
        """Take back what waits behind long calls while a worker of the job, or a slot, is idle."""
        free = self._load.free_slots(depth) > 0
        stuck: dict[str, Worker] = {}
        for w in self._load.at(depth):
            is_long = len(w.queue) > 1 and now >= w.head_at + AHEAD
            if is_long and w.killed_for is None and self._load.knows(w.job):
                longest = stuck.get(w.job.job)
                if longest is None or len(w.queue) > len(longest.queue):
                    stuck[w.job.job] = w
        for longest in stuck.values():
            job = longest.job
            idle = any(w.job is job and w.usable and not w.queue for w in self._load.at(depth))
            if not job.backlog and (idle or (free and job.serving() < self._load.processes)):
                actions.append(TakeBack(longest.worker))

    # -- what becomes of calls and workers --

    def _kill(self, w: Worker, reason: Status) -> Kill:
        w.killed_for = reason
        w.killed_call = w.queue[0] if w.queue else None
        return Kill(w.worker)

    def _fail(self, job: Job, number: int, status: Status, why: str) -> Fail:
        job.attempts.over(number)
        self._suspects.over(job.job, number)
        return Fail(job.job, number, status, why)

    def _prune(self, job: Job) -> None:
        if (
            self._load.knows(job)
            and not job.backlog
            and not job.workers
            and not self._suspects.count(job.job)
        ):
            self._load.forget(job.job)

    def _barren(self, w: Worker, how: str) -> list[Fail | None]:
        if w.begun_any or w.retired or w.killed_for is not None or w.worker <= w.job.barren_until:
            return []
        w.job.barren += 1
        w.job.barren_until = self._load.last_worker
        if w.job.barren < _BARREN_LIMIT:
            return []
        why = f"{w.job.barren} workers in a row ended before they began a call: {how}"
        numbers = list(w.job.backlog)
        w.job.backlog.clear()
        return [self._fail(w.job, number, Status.WORKER_DIED, why) for number in numbers]
