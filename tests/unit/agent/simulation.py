"""A simulated host for a scheduler: carries out what it decides, and sees to what must always hold."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence

from lithops_agent.actions import Action, Assign, Fail, Kill, Retire, StartWorker, TakeBack
from lithops_agent.protocol import Status
from lithops_agent.scheduling import Scheduler


class Process:
    """A worker: the call that it runs, its queue, and reports that were not read yet."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.queue: deque[int] = deque()
        self.running: int | None = None
        self.unread: list[int] = []
        self.killed = False
        self.closed = False

    def receive(self) -> None:
        """Begin the next call, if there is one."""
        if self.running is None and self.queue and not self.killed:
            self.running = self.queue.popleft()


class Host:
    """Carries out what a scheduler decides, as the pool does; time is a number that tests change."""

    def __init__(self, processes: int, queue_room: int = 64) -> None:
        self.scheduler = Scheduler(processes)
        self.now = 100.0
        self.room = queue_room
        self.workers: dict[int, Process] = {}
        self.ended: dict[tuple[str, int], str] = {}
        self.added: set[tuple[str, int]] = set()
        self.depths: dict[str, int] = {}
        self.released: set[str] = set()
        self.revoked: set[tuple[str, int]] = set()
        self.failures: list[Fail] = []
        self.again = False

    # -- as the pool does it --

    def carry_on(self) -> None:
        for _ in range(8):
            self.again = False
            actions = self.scheduler.plan(self.now)
            self.carry_out(actions)
            if not self.again and all(isinstance(action, (Assign, Kill)) for action in actions):
                break
        self.check()

    def carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, StartWorker):
                assert action.worker not in self.workers
                self.workers[action.worker] = Process(action.job)
            elif isinstance(action, Assign):
                self._assign(action)
            elif isinstance(action, TakeBack):
                self._take_back(action.worker)
            elif isinstance(action, Retire):
                self.workers[action.worker].closed = True
            elif isinstance(action, Kill):
                self.workers[action.worker].killed = True
            else:
                self._end(action.job, action.number, action.status.name)
                self.failures.append(action)

    def _assign(self, action: Assign) -> None:
        process = self.workers[action.worker]
        assert process.job == action.job
        assert not process.closed
        numbers = [number for number, _ in action.calls]
        fit = numbers[: max(self.room - len(process.queue), 0)]
        process.queue.extend(fit)
        if len(fit) < len(numbers):
            self.scheduler.not_queued(action.worker, numbers[len(fit) :])
            self.again = True

    def _take_back(self, worker: int) -> None:
        process = self.workers[worker]
        numbers = list(process.queue)
        process.queue.clear()
        self.carry_out(self.scheduler.taken_back(worker, numbers))

    def _end(self, job: str, number: int, how: str) -> None:
        if job in self.released:
            return
        assert (job, number) in self.added
        assert (job, number) not in self.ended, "a call ended twice"
        assert (job, number) not in self.revoked, "a call ended that was given away"
        self.ended[(job, number)] = how

    # -- events --

    def add(
        self,
        job: str,
        numbers: Sequence[int],
        *,
        depth: int = 0,
        timeout: float | None = None,
        retries: int = 0,
    ) -> None:
        self.added.update((job, number) for number in numbers)
        self.depths[job] = depth
        self.scheduler.calls_added(job, numbers, depth=depth, timeout=timeout, retries=retries)
        self.carry_on()

    def report(self, worker: int) -> None:
        """The pool reads what a worker has reported."""
        process = self.workers[worker]
        for number in process.unread:
            job = self.scheduler.call_ended(worker, number, self.now)
            if job is not None:
                self._end(job, number, "SUCCESS")
        process.unread.clear()

    def finish(self, worker: int, read: bool = True) -> None:
        """A worker finishes its call; its report is read at once or later."""
        process = self.workers[worker]
        process.receive()
        assert process.running is not None
        process.unread.append(process.running)
        process.running = None
        process.receive()
        if read:
            self.report(worker)
            self.carry_on()

    def die(self, worker: int, how: str = "died") -> None:
        """A worker ends; the news of it arrives."""
        process = self.workers[worker]
        self.report(worker)
        process = self.workers.pop(worker)
        self.carry_out(self.scheduler.taken_back(worker, list(process.queue)))
        self.carry_out(self.scheduler.worker_exited(worker, how))
        self.carry_on()

    def bury(self) -> None:
        """All workers that were killed or retired end."""
        for worker in [w for w, p in self.workers.items() if p.killed or (p.closed and p.running is None)]:
            self.die(worker)

    def cancel(self, job: str, numbers: Sequence[int] | None, status: Status = Status.CANCELLED) -> None:
        for worker in self.scheduler.queued_at_workers(job, numbers):
            self._take_back(worker)
        self.carry_out(self.scheduler.cancelled(job, numbers, status))
        self.carry_on()

    def revoke(self, job: str, count: int) -> list[int]:
        for worker in self.scheduler.queued_at_workers(job):
            self._take_back(worker)
        numbers = self.scheduler.revoked(job, count)
        self.revoked.update((job, number) for number in numbers)
        self.carry_on()
        return numbers

    def release(self, job: str) -> None:
        self.released.add(job)
        self.carry_out(self.scheduler.job_released(job))
        self.carry_on()

    def begin_all(self) -> None:
        for process in self.workers.values():
            process.receive()

    # -- what must hold --

    def alive(self, depth: int | None = None) -> list[Process]:
        return [
            p
            for p in self.workers.values()
            if not p.killed and not p.closed and (depth is None or self.depths[p.job] == depth)
        ]

    def check(self) -> None:
        for depth in set(self.depths.values()):
            assert len(self.alive(depth)) <= self.scheduler.processes, "too many workers"
        held = [
            (p.job, number)
            for p in self.workers.values()
            for number in [*p.queue, *([p.running] if p.running is not None else []), *p.unread]
            if p.job not in self.released
        ]
        assert len(held) == len(set(held)), "a call is in two workers"
        assert not set(held) & self.revoked

    def missing(self) -> set[tuple[str, int]]:
        """Calls that have to end some time."""
        return {
            call for call in self.added - self.ended.keys() - self.revoked if call[0] not in self.released
        }

    def sleep(self) -> None:
        """Let time pass as the pool does; nothing may be due before the time that was told."""
        delay = self.scheduler.next_wakeup(self.now)
        if delay is None:
            self.now += 1000.0
        else:
            self.now += delay + 1e-6
        self.carry_on()

    def run_down(self, limit: int = 20_000) -> None:
        """Workers go on until everything has ended."""
        for _ in range(limit):
            self.bury()
            self.begin_all()
            busy = [w for w, p in self.workers.items() if p.running is not None and not p.killed]
            for worker in [w for w, p in self.workers.items() if p.unread]:
                self.report(worker)
            if not busy:
                if not self.missing():
                    return
                self.carry_on()
                if not self.workers:
                    self.sleep()
                    assert self.workers or not self.missing(), "calls wait and nothing is done about them"
                continue
            for worker in busy:
                if worker in self.workers and not self.workers[worker].killed:
                    self.now += 0.001
                    self.finish(worker)
        raise AssertionError(f"not run: {self.missing()}")


def one_long(host: Host, job: str = "a", timeout: float | None = None, retries: int = 0) -> int:
    """A job of one call that has begun; the number of its worker."""
    host.add(job, [0], timeout=timeout, retries=retries)
    host.begin_all()
    return next(w for w, p in host.workers.items() if p.job == job)


def warm(host: Host, calls: int) -> int:
    """A worker of job a that is known to run short calls, with a queue; its number."""
    host.add("a", range(calls))
    worker = next(iter(host.workers))
    for _ in range(4):
        host.now += 0.0005
        host.finish(worker)
    host.begin_all()
    assert len(host.workers[worker].queue) > 1
    return worker


def check_sleep(host: Host) -> None:
    """Nothing that matters is due before the time that the scheduler tells."""
    delay = host.scheduler.next_wakeup(host.now)
    if delay is not None and delay <= 0:
        return
    for fraction in (0.5, 0.99):
        moment = host.now + (1000.0 if delay is None else delay) * fraction
        due = copy.deepcopy(host.scheduler).plan(moment)
        assert not due, f"{due} at +{moment - host.now} s, but it sleeps for {delay}"
