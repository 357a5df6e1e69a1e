"""The workers of a host: carries out what the scheduler decides.

One thread reads what workers and zygotes say. Whoever submits or cancels calls does so in a thread of
its own, under the same lock, so that a call reaches a waiting worker without a change of threads.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lithops_agent.actions import Action, Assign, Fail, Kill, Retire, StartWorker, TakeBack
from lithops_agent.disk import is_disk_full
from lithops_agent.housekeeping import Housekeeper
from lithops_agent.journal import Ended, Journal
from lithops_agent.leftovers import unlink
from lithops_agent.printed import Printed, WorkerLog, joined
from lithops_agent.processes import (
    Process,
    describe_exit,
    kill_group,
    oom_kills,
    open_log,
    send_call,
)
from lithops_agent.protocol import STATS, ContainerOptions, JobSpec, Part, Status
from lithops_agent.recorder import Recorder
from lithops_agent.runtimes import choice
from lithops_agent.runtimes.zygote import Zygote
from lithops_agent.scheduling import Scheduler
from lithops_agent.surroundings import Surroundings
from lithops_agent.worker_protocol import CALL_HEAD, MAX_CALL_MESSAGE, RESULT_HEAD, Order

if TYPE_CHECKING:
    from lithops_agent.runtimes.docker import ContainerZygote

_STATS_SIZE = len(STATS) * 8
_EMPTY_STATS = bytes(_STATS_SIZE)
_HOUSEKEEPING = 1.0
_ZYGOTE_LINGER = 30.0
"""Seconds without a worker after which zygotes end, for the memory that they hold."""
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
        self._worker_path = worker_path
        self._folder = folder
        self._base_env = base_env
        self._rest = rest
        self._is_held = is_held
        self._clock = clock
        self._lock = threading.RLock()
        self._recorder = Recorder(journal, clock)
        self._housekeeper = Housekeeper(journal, clock)
        self._zygotes: dict[str, Zygote] = {}
        self._processes: dict[int, Process] = {}
        self._oom_kills = oom_kills()
        self._printed_before: dict[tuple[str, int], Printed] = {}
        """What calls have printed in earlier attempts."""
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._wakeup_at = float("inf")
        self._worked_at = clock()
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
            self._wake()
        self._recorder.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for zygote in self._zygotes.values():
            zygote.close()
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
            gone = frozenset(jobs)
            for call in [call for call in self._printed_before if call[0] in gone]:
                del self._printed_before[call]
            self._journal.release(jobs)
            self._carry_on()
        self._housekeeper.wake()

    def printing(self, job: str) -> list[Part]:
        """What the calls of a job that run now have printed so far."""
        found = []
        with self._lock:
            for process in [process for process in self._processes.values() if process.job == job]:
                size = process.log.size()
                # A worker reports the end of a call before it begins the next one: what is in the log and
                # not of a call that was reported by now, is of the one in hand.
                self._drain_results(process)
                call = self._scheduler.in_hand(process.worker)
                if call is not None and call[0] == job:
                    printed = joined(self._printed_before.get(call), process.log.peek(size))
                    if printed is not None:
                        found.append(Part(*call, *printed))
            self._carry_on()
        self._settle()
        return found

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
                now = self._clock()
                delay = self._scheduler.next_wakeup(now)
                if self._processes or self._zygotes:
                    delay = min(delay if delay is not None else _HOUSEKEEPING, _HOUSEKEEPING)
                retry = self._recorder.retry_in()
                if retry is not None:
                    delay = min(delay if delay is not None else retry, retry)
                self._wakeup_at = float("inf") if delay is None else now + delay
            ready = self._selector.select(delay)
            with self._lock:
                self._handle(ready)
                self._carry_on()
                if self._clock() >= housekeeping_at:
                    housekeeping_at = self._clock() + _HOUSEKEEPING
                    self._trim_logs()
                    self._end_idle_zygotes()
                crowded = len(self._recorder) >= _CROWD and not self._recorder.is_stuck
            self._settle()
            if crowded:
                time.sleep(_MOMENT)

    def _handle(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        zygotes = []
        for key, _ in ready:
            if key.data is None:
                os.read(self._wake_read, 4096)
            elif isinstance(key.data, Zygote):
                zygotes.append(key.data)
            elif key.data.worker in self._processes:
                self._read_results(key.data)
        # A worker's reports come before the news of its end. A thread that wanted to start a worker may
        # have noticed the end of a zygote since.
        for zygote in zygotes:
            if self._zygotes.get(zygote.key) is zygote:
                self._hear(zygote)

    def _settle(self) -> None:
        """Record what has ended; on a full disk, that is tried again later."""
        with self._lock:
            rests = not self._scheduler.is_busy()
        was_stuck = self._recorder.is_stuck
        try:
            settled = self._recorder.settle()
        except BaseException:
            # Not lost, whoever's thread this is: the pool's own tries again, or ends the agent.
            self._wake()
            raise
        if was_stuck != self._recorder.is_stuck:
            self._wake()
        if settled and rests:
            self._rest()

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            pass  # It is being woken already.

    # -- what workers and zygotes say --

    def _read_results(self, process: Process) -> None:
        try:
            data = process.results.recv(1 << 20, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError):
            return
        if not data:
            self._unregister(process.results)
            return
        buffer = process.buffer + data if process.buffer else data
        offset, now = 0, self._clock()
        while len(buffer) - offset >= RESULT_HEAD.size:
            number, status, apart, size, log_end = RESULT_HEAD.unpack_from(buffer, offset)[:5]
            body_at = offset + RESULT_HEAD.size
            if len(buffer) - body_at < size:
                break
            stats = buffer[body_at - _STATS_SIZE : body_at]
            printed = process.log.take(log_end) if process.log.has_grown(log_end) else None
            body = buffer[body_at : body_at + size]
            self._report(process, number, status, apart, stats, body, printed, now)
            offset = body_at + size
        process.buffer = buffer[offset:]

    def _report(
        self,
        process: Process,
        number: int,
        status: int,
        apart: int,
        stats: bytes,
        body: bytes,
        printed: Printed | None,
        now: float,
    ) -> None:
        job = self._scheduler.call_ended(process.worker, number, now)
        if job is None:
            return
        if self._printed_before:
            printed = joined(self._printed_before.pop((job, number), None), printed)
        if apart:
            path = body.decode()
            size = os.path.getsize(path)
            self._recorder.add(Ended(job, number, status, stats, size, None, path, printed))
        else:
            self._recorder.add(Ended(job, number, status, stats, len(body), body, None, printed))

    def _hear(self, zygote: Zygote) -> None:
        message = zygote.receive()
        if message is None:
            self._zygote_ended(zygote)
        elif "started" in message:
            process = self._processes.get(message["started"])
            if process is not None:
                process.pid = message["pid"]
                if process.kill_when_started:
                    kill_group(process.pid)
        elif "exited" in message:
            self._worker_exited(message["exited"], describe_exit(message["status"]), message["status"])
        elif "failed" in message:
            self._worker_exited(message["failed"], f"no new process can be made: {message['why']}", 0)

    def _worker_exited(self, worker: int, how: str, status: int, blameless: bool = False) -> None:
        process = self._processes.pop(worker, None)
        if process is None:
            return
        self._drain_results(process)
        self._take_back(worker, process)
        oom = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and self._was_oom_kill()
        self._keep_printed(process)
        how += process.log.last_words()
        unlink(process.note)
        actions = self._scheduler.worker_exited(worker, how, out_of_memory=oom, blameless=blameless)
        self._unregister(process.results)
        for end in (process.calls, process.calls_far, process.results):
            end.close()
        self._carry_out(actions)

    def _keep_printed(self, process: Process) -> None:
        """Of a worker that has ended: what the call printed that it had in hand goes with the call."""
        call = self._scheduler.in_hand(process.worker)
        if call is not None:
            printed = joined(self._printed_before.get(call), process.log.peek(process.log.size()))
            if printed is not None:
                self._printed_before[call] = printed

    def _drain_results(self, process: Process) -> None:
        while True:
            before = len(process.buffer), len(self._recorder)
            self._read_results(process)
            if before == (len(process.buffer), len(self._recorder)):
                return

    def _drain_calls(self, process: Process) -> list[int]:
        numbers: list[int] = []
        while True:
            try:
                message = process.calls_far.recv(MAX_CALL_MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return numbers
            if not message:
                return numbers
            numbers.append(CALL_HEAD.unpack_from(message)[0])

    def _was_oom_kill(self) -> bool:
        count = oom_kills()
        more = count > self._oom_kills
        self._oom_kills = count
        return more

    def _zygote_ended(self, zygote: Zygote) -> None:
        self._unregister(zygote.socket)
        self._zygotes.pop(zygote.key, None)
        words = zygote.last_words()
        zygote.close()
        how = f"{zygote.name} ended" + (f": {words}" if words else "")
        self._plan_again = True
        for process in [p for p in self._processes.values() if p.zygote is zygote]:
            kill_group(process.pid)
            self._worker_exited(process.worker, how, 0, blameless=True)

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
        if delay is not None and self._clock() + delay < self._wakeup_at:
            self._wake()

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Assign):
                self._assign(action)
            elif isinstance(action, StartWorker):
                self._start_worker(action)
                self._plan_again = True
            elif isinstance(action, Retire):
                self._plan_again = True
                process = self._processes.get(action.worker)
                if process is not None:
                    process.calls.shutdown(socket.SHUT_WR)
            elif isinstance(action, TakeBack):
                self._take_back(action.worker)
                self._plan_again = True
            elif isinstance(action, Kill):
                self._kill_worker(action.worker)
            else:
                self._plan_again = True
                self._fail(action)

    def _fail(self, action: Fail) -> None:
        body = (self._ended_for or action.why).encode()
        printed = self._printed_before.pop((action.job, action.number), None)
        status = action.status
        self._recorder.add(
            Ended(action.job, action.number, status, _EMPTY_STATS, len(body), body, None, printed)
        )

    def _assign(self, action: Assign) -> None:
        process = self._processes.get(action.worker)
        if process is None:
            return  # It could not be started; its end is on the way.
        attempts = dict(action.calls)
        loaded = self._journal.load_calls(action.job, [number for number, _ in action.calls])
        for position, call in enumerate(loaded):
            if not send_call(process.calls, call, attempts[call.number]):
                self._scheduler.not_queued(action.worker, [c.number for c in loaded[position:]])
                self._plan_again = True
                return

    def _start_worker(self, action: StartWorker) -> None:
        spec = self._journal.spec(action.job)
        assert spec is not None
        calls, calls_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        calls.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_CALL_MESSAGE)
        calls.setblocking(False)
        results, results_far = socket.socketpair()
        folder = self._journal.job_folder(action.job)
        log = WorkerLog(str(self._journal.log_path(action.worker)))
        log_fd = open_log(log.path)
        note = str(self._journal.note_path(action.worker, action.job))
        process = Process(action.worker, action.job, None, calls, calls_far, results, log, note)
        self._processes[action.worker] = process
        try:
            fds = [calls_far.fileno(), results_far.fileno(), log_fd]
            self._fork(process, spec, self._order(process, spec, folder), fds)
        except OSError as exc:
            self._scheduler.not_started(action.worker)
            self._worker_exited(action.worker, f"{spec.runtime} can't be started: {exc}", 0)
            self._plan_again = True
            return
        finally:
            results_far.close()
            os.close(log_fd)
        self._selector.register(results, selectors.EVENT_READ, process)

    def _fork(self, process: Process, spec: JobSpec, order: Order, fds: Sequence[int]) -> None:
        words = ""
        for _ in range(2):
            zygote = self._zygote(choice.runtime_of(spec))
            try:
                process.pid = zygote.fork(order, fds)
            except (BrokenPipeError, ConnectionResetError):
                # It has ended, and the news of it was not heard yet.
                self._zygote_ended(zygote)
                words = zygote.last_words()
            else:
                process.zygote = zygote
                return
        raise OSError(f"it ended at once: {words}" if words else "it ended at once")

    def _order(self, process: Process, spec: JobSpec, folder: Path) -> Order:
        return {
            "worker": process.worker,
            "note": process.note,
            "folder": str(folder),
            "function": str(self._journal.blob_path(spec.function)),
            "modules": str(self._journal.modules_path(spec.modules)) if spec.modules else None,
            "env": self._environment(spec),
            "cwd": spec.cwd or choice.home_of(spec),
            "home": "/" if spec.container is None else choice.home_of(spec),
        }

    def _environment(self, spec: JobSpec) -> dict[str, str]:
        """What a worker of a job has in its environment."""
        return {
            **self._base_env,
            **choice.environment_of(spec),
            **spec.env,
            "LITHOPS_WORKER_DEPTH": str(spec.depth + 1),
            "LITHOPS_WORKER_SESSION": spec.session,
        }

    def surroundings(self, spec: JobSpec) -> Surroundings:
        """What the workers of a job see."""
        modules = [str(self._journal.modules_path(spec.modules))] if spec.modules else []
        return Surroundings(
            job=spec.job,
            python=spec.runtime if spec.container is None else None,
            env=self._environment(spec),
            path=[*modules, self._worker_path],
            cwd=spec.cwd or choice.home_of(spec),
            home=choice.home_of(spec),
        )

    def prepare(self, options: ContainerOptions) -> ContainerZygote:
        """The zygote of a container, which the next job that wants the same one finds running."""
        with self._lock:
            self._worked_at = self._clock()
            zygote = self._zygote(options)
            self._wake()
            return cast("ContainerZygote", zygote)

    def _zygote(self, runtime: choice.Runtime) -> Zygote:
        zygote = self._zygotes.get(choice.key_of(runtime))
        if zygote is None:
            zygote = choice.start_zygote(
                runtime, worker_path=self._worker_path, folder=self._folder, processes=self.processes
            )
            self._zygotes[zygote.key] = zygote
            self._selector.register(zygote.socket, selectors.EVENT_READ, zygote)
        return zygote

    def _take_back(self, worker: int, process: Process | None = None) -> None:
        process = process or self._processes.get(worker)
        if process is not None:
            self._carry_out(self._scheduler.taken_back(worker, self._drain_calls(process)))

    def _kill_worker(self, worker: int) -> None:
        process = self._processes.get(worker)
        if process is None:
            return
        if process.pid:
            kill_group(process.pid)
        else:
            process.kill_when_started = True

    def _unregister(self, end: socket.socket) -> None:
        try:
            self._selector.unregister(end)
        except (KeyError, ValueError):
            pass  # It was not, or is closed.

    def _end_idle_zygotes(self) -> None:
        now = self._clock()
        if self._processes or self._is_held():
            self._worked_at = now
        elif now - self._worked_at >= _ZYGOTE_LINGER:
            for zygote in self._zygotes.values():
                self._unregister(zygote.socket)
                zygote.close()
            self._zygotes.clear()

    def _trim_logs(self) -> None:
        for process in self._processes.values():
            process.log.trim()
