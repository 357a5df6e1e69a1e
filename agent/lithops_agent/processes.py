"""A worker process as the pool sees it: how calls are queued there, what it reports, and how it ended."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lithops_agent.disk import is_disk_full
from lithops_agent.leftovers import unlink
from lithops_agent.printed import Printed, WorkerLog
from lithops_agent.protocol import STATS
from lithops_agent.records import CallData, Ended
from lithops_agent.runtimes.zygote import Zygote
from lithops_agent.worker_protocol import CALL_HEAD, MAX_CALL_MESSAGE, RESULT_HEAD

_STATS_SIZE = len(STATS) * 8
_MOST = 1 << 20
"""So many bytes of reports are read at once."""


class Report(NamedTuple):
    """The end of a call as its worker tells it: ``body`` is the path of a file if it ``is_apart``."""

    number: int
    status: int
    is_apart: int
    stats: bytes
    body: bytes
    printed: Printed | None

    def ended(self, job: str, printed: Printed | None) -> Ended:
        """What the journal takes, with what the call ``printed`` in all. Raises OSError."""
        number, status, is_apart, stats, body, _ = self
        if is_apart:
            path = body.decode()
            return Ended(job, number, status, stats, os.path.getsize(path), None, path, printed)
        return Ended(job, number, status, stats, len(body), body, None, printed)


class Process:
    """A worker of a ``job``, with the agent's ends of its sockets. For one thread at a time.

    It has ``pid`` once it was forked, which its zygote may tell later: see `started`. What it reports comes
    on ``results``.
    """

    def __init__(self, worker: int, job: str, log_path: str, note: str) -> None:
        self.worker = worker
        self.job = job
        self.zygote: Zygote | None = None
        self.pid = 0
        self._calls, self._calls_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._calls.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_CALL_MESSAGE)
        self._calls.setblocking(False)
        self.results, self._results_far = socket.socketpair()
        self.log = WorkerLog(log_path)
        self._log_fd = _open_log(log_path)
        self._note = note
        self._kill_when_started = False
        self._buffer = b""

    def start(self, fork: Callable[[Sequence[int]], tuple[Zygote, int]]) -> None:
        """Have it forked, once. ``fork`` is given its ends of the sockets, and its log.

        Raises what that raises.
        """
        try:
            fds = [self._calls_far.fileno(), self._results_far.fileno(), self._log_fd]
            self.zygote, self.pid = fork(fds)
        finally:
            self._results_far.close()
            os.close(self._log_fd)

    def started(self, pid: int) -> None:
        """Its zygote tells that it was forked."""
        self.pid = pid
        if self._kill_when_started:
            _kill_group(pid)

    def queue(self, call: CallData, attempt: int) -> bool:
        """Queue a call; False when the queue is full."""
        if call.file is not None:
            message = CALL_HEAD.pack(call.number, attempt, 1) + call.file.encode()
        else:
            message = CALL_HEAD.pack(call.number, attempt, 0) + (call.data or b"")
        try:
            self._calls.send(message)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            return True  # The worker is gone; the news of it comes, and the call is run elsewhere.
        return True

    def take_back(self) -> list[int]:
        """The calls that it has not received; they are in its queue no more."""
        numbers: list[int] = []
        while True:
            try:
                message = self._calls_far.recv(MAX_CALL_MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return numbers
            if not message:
                return numbers
            numbers.append(CALL_HEAD.unpack_from(message)[0])

    def receive(self) -> list[Report] | None:
        """What it reports now, of which some may still be on the way; None when nothing comes any more."""
        data = self._recv()
        if data is None:
            return []
        return self._parse(data) if data else None

    def drain(self) -> list[Report]:
        """All that it has reported by now and that was not received."""
        reports = []
        while data := self._recv():
            reports += self._parse(data)
        return reports

    def _recv(self) -> bytes | None:
        """What can be read at once; None: nothing, empty: it was closed at the other end."""
        try:
            return self.results.recv(_MOST, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError):
            return None

    def _parse(self, data: bytes) -> list[Report]:
        buffer = self._buffer + data if self._buffer else data
        log, reports, offset = self.log, [], 0
        while len(buffer) - offset >= RESULT_HEAD.size:
            number, status, is_apart, size, log_end = RESULT_HEAD.unpack_from(buffer, offset)[:5]
            body_at = offset + RESULT_HEAD.size
            if len(buffer) - body_at < size:
                break
            stats = buffer[body_at - _STATS_SIZE : body_at]
            printed = log.take(log_end) if log.has_grown(log_end) else None
            body = buffer[body_at : body_at + size]
            reports.append(Report(number, status, is_apart, stats, body, printed))
            offset = body_at + size
        self._buffer = buffer[offset:]
        return reports

    def retire(self) -> None:
        """Let it end once it has run what is in its queue."""
        self._calls.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """Kill it and what it has started, now or once it is forked."""
        if self.pid:
            _kill_group(self.pid)
        else:
            self._kill_when_started = True

    def close(self) -> None:
        """It has ended, and all that it reported was received."""
        unlink(self._note)
        for end in (self._calls, self._calls_far, self.results):
            end.close()


class OomKills:
    """Tells which deaths of workers were for the want of memory, by the kernel's count."""

    def __init__(self, count: Callable[[], int] | None = None) -> None:
        self._count = count or _oom_kills
        self._seen = self._count()

    def explain(self, status: int) -> bool:
        """Whether a process that ended with a status, a moment ago, may have been killed for memory."""
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            return False
        before, self._seen = self._seen, self._count()
        return self._seen > before


def describe_exit(status: int) -> str:
    """How a process ended, in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"  # Most real-time signals have no name.
        return f"the worker was ended by {name} ({signal.strsignal(number)})"
    return f"the worker exited with code {os.WEXITSTATUS(status)}"


def _open_log(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
    except OSError as exc:
        if not is_disk_full(exc):
            raise
        return os.open(os.devnull, os.O_WRONLY)


def _kill_group(pid: int) -> None:
    """Kill a worker and its descendants, which are in its process group."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # It has ended, or has not yet made its group.


def _oom_kills() -> int:
    """How many processes the kernel has killed for memory since it booted."""
    try:
        with open("/proc/vmstat") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
