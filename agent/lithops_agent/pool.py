"""The workers of a host: carries out what the scheduler decides.

One thread reads what workers and zygotes say. Whoever submits or cancels calls does so in a thread of
its own, under the same lock, so that a call reaches a waiting worker without a change of threads.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lithops_agent.actions import Action, Assign, Fail, Kill, Retire, StartWorker, TakeBack
from lithops_agent.crew import Crew, Exit, Speaker
from lithops_agent.disk import is_disk_full
from lithops_agent.housekeeping import Housekeeper
from lithops_agent.journal import Ended, Journal
from lithops_agent.listener import NEVER, Listener
from lithops_agent.orders import Orders
from lithops_agent.printed import Earlier
from lithops_agent.processes import Process, Report
from lithops_agent.protocol import ContainerOptions, JobSpec, Part, Status
from lithops_agent.recorder import Recorder
from lithops_agent.scheduling import Scheduler
from lithops_agent.surroundings import Surroundings

if TYPE_CHECKING:
    from lithops_agent.runtimes.docker import ContainerZygote

_HOUSEKEEPING = 1.0
_CROWD = 32
"""So many results in one round, and the next round waits a moment for more to come together."""
_MOMENT = 0.001


class Pool:
    """Runs calls that are in the journal, and records there how they ended.

    ``worker_path`` is what workers import lithops_agent and cloudpickle from. ``base_env`` is added
    to the environment of each worker. ``rest`` is called when results were recorded and no call is left.
    While ``is_held``, zygotes and containers stay, though no worker does.
    """

    def __init__(
        self,
        journal: Journal,
        processes: int,
        *,
        worker_path: str,
        folder: Path,
        base_env: dict[str, str],
        rest: Callable[[], None] = lambda: None,
        is_held: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._own_processes = processes
        self._scheduler = Scheduler(processes)
        self._rest = rest
        self._is_held = is_held
        self._clock = clock
        self._lock = threading.RLock()
        self._recorder = Recorder(journal, clock)
        self._housekeeper = Housekeeper(journal, clock)
        self._listener = Listener[Speaker](clock)
        self._orders = Orders(journal, worker_path=worker_path, base_env=base_env)
        self._crew = Crew(
            journal, self._orders, self._listener, worker_path=worker_path, folder=folder,
            on_reports=self._report, on_exit=self._worker_exited, clock=clock,
        )  # fmt: skip
        self._earlier = Earlier()
        self._ended_for = ""
        self._stopping = False
        self._plan_again = False
        self._thread = threading.Thread(target=self._run, name="pool", daemon=True)

    @property
    def processes(self) -> int:
        """How many calls run at the same time."""
        return self._scheduler.processes

    def start(self) -> None:
        """Start, with the calls that an earlier agent left unfinished."""
        self._count_interrupted(is_crash=True)
        interrupted = self._journal.interrupted()
        with self._lock:
            for spec in self._journal.specs():
                self._heed(spec)
            # All of them before any is run: the first job must not have all the slots.
            for spec, numbers in self._journal.unfinished():
                self._carry_out(
                    self._scheduler.calls_resumed(
                        spec.job, numbers, interrupted.get(spec.job, {}),
                        depth=spec.depth, timeout=spec.timeout, retries=spec.retries,
                    )
                )  # fmt: skip
            self._carry_on()
        self._settle()
        self._housekeeper.start()
        self._thread.start()

    def _count_interrupted(self, is_crash: bool) -> None:
        try:
            self._journal.agent_ended(is_crash)
        except OSError as exc:
            # They run again all the same; how often they were begun is not known then.
            if not is_disk_full(exc):
                raise

    def _heed(self, spec: JobSpec) -> None:
        """An agent outlives the configuration that it was started with: the newest job counts."""
        if spec.depth == 0:
            processes = spec.processes or self._own_processes
            self._scheduler.processes = min(processes, spec.most or processes)

    def stop(self) -> None:
        """Kill all workers; the journal keeps their calls."""
        with self._lock:
            self._stopping = True
            self._listener.wake()
        self._recorder.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._crew.zygotes.close()
        self._count_interrupted(is_crash=False)
        self._housekeeper.stop()

    # -- what others ask for, in their threads --

    def submit(self, spec: JobSpec, numbers: Sequence[int]) -> None:
        """Run calls that are in the journal; those of a job that was released meanwhile are not."""
        with self._lock:
            if self._journal.spec(spec.job) is None:
                return
            self._heed(spec)
            self._scheduler.calls_added(
                spec.job, numbers, depth=spec.depth, timeout=spec.timeout, retries=spec.retries
            )
            self._carry_on()
        self._settle()

    def cancel(self, job: str, numbers: Sequence[int] | None, status: Status = Status.CANCELLED) -> None:
        """End calls (all: None), begun or not; their results tell so with ``status``."""
        with self._lock:
            for worker in self._scheduler.queued_at_workers(job, numbers):
                self._take_back(worker)
            self._carry_out(self._scheduler.cancelled(job, numbers, status))
            self._carry_on()
        self._settle()

    def end_all(self, status: Status, why: str) -> None:
        """End all calls of all jobs, for the agent ends; their results tell so, and why."""
        with self._lock:
            self._ended_for = why
            jobs = self._scheduler.busy_jobs()
        for job in jobs:
            self.cancel(job, None, status)

    def revoke(self, job: str, count: int) -> list[int]:
        """Give calls away that have not begun."""
        with self._lock:
            for worker in self._scheduler.queued_at_workers(job):
                self._take_back(worker)
            numbers = self._scheduler.revoked(job, count)
            if numbers:
                self._journal.forget_calls(job, numbers)
            self._carry_on()
        self._settle()
        return numbers

    def release(self, jobs: Sequence[str]) -> None:
        """Forget jobs, whether they run or not."""
        with self._lock:
            for job in jobs:
                self._carry_out(self._scheduler.job_released(job))
            self._earlier.forget(frozenset(jobs))
            self._journal.release(jobs)
            self._carry_on()
        self._housekeeper.wake()

    def printing(self, job: str) -> list[Part]:
        """What the calls of a job that run now have printed so far."""
        found = []
        with self._lock:
            for process in [process for process in self._crew if process.job == job]:
                size = process.log.size()
                # A worker reports the end of a call before it begins the next one: what is in the log and
                # not of a call that was reported by now, is of the one in hand.
                self._report(process, process.drain())
                call = self._scheduler.in_hand(process.worker)
                if call is not None and call[0] == job:
                    printed = self._earlier.with_earlier(call, process.log.peek(size))
                    if printed is not None:
                        found.append(Part(*call, *printed))
            self._carry_on()
        self._settle()
        return found

    def surroundings(self, spec: JobSpec) -> Surroundings:
        """What the workers of a job see."""
        return self._orders.surroundings(spec)

    def prepare(self, options: ContainerOptions) -> ContainerZygote:
        """The zygote of a container, which the next job that wants the same one finds running."""
        with self._lock:
            zygote = self._crew.zygotes.prepare(options, self.processes)
            self._listener.wake()
            return cast("ContainerZygote", zygote)

    def wait_for_results(self, session: str, seen: int, timeout: float) -> int:
        """Wait until more results of a session than ``seen`` were recorded; how many were so far."""
        return self._recorder.wait(session, seen, timeout, lambda: self._stopping)

    def recorded(self, session: str) -> int:
        """How many results of a session were recorded since the start of the agent."""
        return self._recorder.recorded(session)

    def snapshot(self) -> tuple[dict[str, int], list[tuple[str, int]]]:
        """How many calls wait, by job; and the (job, number) of those that run."""
        with self._lock:
            return self._scheduler.waiting(), self._scheduler.running()

    def pending(self, job: str) -> int:
        """How many calls of a job have ended without being in the journal yet."""
        return self._recorder.pending(job)

    def busy_jobs(self) -> set[str]:
        """Jobs with calls that wait or run."""
        with self._lock:
            return self._scheduler.busy_jobs()

    def rested(self) -> float | None:
        """Seconds since a result was recorded; None when none was since the start of the agent."""
        at = self._recorder.recorded_at
        return None if at is None else self._clock() - at

    # -- the thread --

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException:  # noqa: BLE001
            try:
                traceback.print_exc()
            finally:
                # An agent without this thread would accept calls and never run them. It ends at once
                # instead: its supervisor starts it again, and it goes on from its journal.
                os._exit(70)

    def _loop(self) -> None:
        housekeeping_at = self._clock() + _HOUSEKEEPING
        while not self._stopping:
            with self._lock:
                self._listener.set_alarm(self._alarm_at())
            speakers = self._listener.wait()
            with self._lock:
                self._crew.heard(speakers)
                self._carry_on()
                if self._clock() >= housekeeping_at:
                    housekeeping_at = self._clock() + _HOUSEKEEPING
                    self._crew.tidy(self._is_held())
                crowded = len(self._recorder) >= _CROWD and not self._recorder.is_stuck
            self._settle()
            if crowded:
                time.sleep(_MOMENT)

    def _alarm_at(self) -> float:
        """When to look again though nobody says anything."""
        now = self._clock()
        delays = [self._scheduler.next_wakeup(now), self._recorder.retry_in()]
        if self._crew or self._crew.zygotes:
            delays.append(_HOUSEKEEPING)
        return now + min((delay for delay in delays if delay is not None), default=NEVER)

    def _settle(self) -> None:
        """Record what has ended; on a full disk, that is tried again later."""
        with self._lock:
            rests = not self._scheduler.is_busy()
        was_stuck = self._recorder.is_stuck
        try:
            settled = self._recorder.settle()
        except BaseException:
            # Not lost, whoever's thread this is: the pool's own tries again, or ends the agent.
            self._listener.wake()
            raise
        if was_stuck != self._recorder.is_stuck:
            self._listener.wake()
        if settled and rests:
            self._rest()

    # -- what workers and zygotes say --

    def _report(self, process: Process, reports: Sequence[Report]) -> None:
        now = self._clock()
        for report in reports:
            job = self._scheduler.call_ended(process.worker, report.number, now)
            if job is not None:
                printed = self._earlier.pop((job, report.number), report.printed)
                self._recorder.add(report.ended(job, printed))

    def _worker_exited(self, process: Process, exit: Exit) -> None:
        self._carry_out(self._scheduler.taken_back(process.worker, process.take_back()))
        call = self._scheduler.in_hand(process.worker)
        if call is not None:
            self._earlier.keep(call, process.log.peek(process.log.size()))
        actions = self._scheduler.worker_exited(
            process.worker, exit.how + process.log.last_words(),
            out_of_memory=exit.out_of_memory, blameless=exit.blameless,
        )  # fmt: skip
        self._carry_out(actions)

    # -- what the scheduler asks for --

    def _carry_on(self) -> None:
        """Do what the scheduler wants until it wants nothing more."""
        for _ in range(8):
            self._plan_again = False
            if self._scheduler.has_suspects:
                self._recorder.settle()
            # What can't be recorded is kept in memory: nothing more is begun meanwhile.
            self._carry_out(self._scheduler.plan(self._clock(), begins=not self._recorder.is_stuck))
            if not self._plan_again:
                break
        delay = self._scheduler.next_wakeup(self._clock())
        if delay is not None:
            self._listener.wake_by(self._clock() + delay)

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Assign):
                self._assign(action)
            elif isinstance(action, Kill):
                process = self._crew.get(action.worker)
                if process is not None:
                    process.kill()
            else:
                self._plan_again = True
                self._change(action)

    def _change(self, action: StartWorker | Retire | TakeBack | Fail) -> None:
        """What may lead to another plan."""
        if isinstance(action, StartWorker):
            self._start_worker(action)
        elif isinstance(action, TakeBack):
            self._take_back(action.worker)
        elif isinstance(action, Fail):
            self._fail(action)
        else:
            process = self._crew.get(action.worker)
            if process is not None:
                process.retire()

    def _fail(self, action: Fail) -> None:
        printed = self._earlier.pop((action.job, action.number))
        why = self._ended_for or action.why
        self._recorder.add(Ended.without_worker(action.job, action.number, action.status, why, printed))

    def _assign(self, action: Assign) -> None:
        process = self._crew.get(action.worker)
        if process is None:
            return  # It could not be started; its end is on the way.
        attempts = dict(action.calls)
        loaded = self._journal.load_calls(action.job, [number for number, _ in action.calls])
        for position, call in enumerate(loaded):
            if not process.queue(call, attempts[call.number]):
                self._scheduler.not_queued(action.worker, [c.number for c in loaded[position:]])
                self._plan_again = True
                return

    def _start_worker(self, action: StartWorker) -> None:
        spec = self._journal.spec(action.job)
        assert spec is not None
        try:
            self._crew.start(action.worker, spec, self.processes)
        except OSError as exc:
            if self._crew.get(action.worker) is None:
                raise  # It is this process that can't go on: another agent does, from the journal.
            self._scheduler.not_started(action.worker)
            self._crew.has_ended(action.worker, Exit(f"{spec.runtime} can't be started: {exc}"))

    def _take_back(self, worker: int) -> None:
        process = self._crew.get(worker)
        if process is not None:
            self._carry_out(self._scheduler.taken_back(worker, process.take_back()))
