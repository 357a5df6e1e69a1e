"""A worker process as the pool sees it: its sockets and files, how calls are queued, and how it ended."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket

from lithops_agent.disk import is_disk_full
from lithops_agent.journal import CallData
from lithops_agent.printed import WorkerLog
from lithops_agent.runtimes.zygote import Zygote
from lithops_agent.worker_protocol import CALL_HEAD


@dataclasses.dataclass
class Process:
    """A worker as the pool sees it."""

    worker: int
    job: str
    zygote: Zygote | None
    calls: socket.socket
    calls_far: socket.socket
    results: socket.socket
    log: WorkerLog
    note: str
    pid: int = 0
    kill_when_started: bool = False
    buffer: bytes = b""


def send_call(queue: socket.socket, call: CallData, attempt: int) -> bool:
    """Queue a call; False when the queue is full."""
    if call.file is not None:
        message = CALL_HEAD.pack(call.number, attempt, 1) + call.file.encode()
    else:
        message = CALL_HEAD.pack(call.number, attempt, 0) + (call.data or b"")
    try:
        queue.send(message)
    except BlockingIOError:
        return False
    except (BrokenPipeError, ConnectionResetError):
        return True  # The worker is gone; the news of it comes, and the call is run elsewhere.
    return True


def open_log(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
    except OSError as exc:
        if not is_disk_full(exc):
            raise
        return os.open(os.devnull, os.O_WRONLY)


def kill_group(pid: int) -> None:
    """Kill a worker and its descendants, which are in its process group."""
    for kill in (os.killpg, os.kill):
        try:
            if pid:
                kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # It has ended, or has not yet made its group.


def describe_exit(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"the worker was ended by {signal.Signals(number).name} ({signal.strsignal(number)})"
    return f"the worker exited with code {os.WEXITSTATUS(status)}"


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since it booted."""
    try:
        with open("/proc/vmstat") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
