"""What runs users' functions: a worker, which a zygote has forked.

It serves the calls of one job, one after the other, and is never used for another job. What it is told and
what it reports is in `lithops_agent.worker_protocol`.

Only the standard library and cloudpickle are imported here: this file runs in the user's interpreter.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from lithops_agent.disk import is_disk_full
from lithops_agent.lifeline import die_with
from lithops_agent.outcome import BadResult, describe, dump
from lithops_agent.protocol import INLINE_LIMIT, Status
from lithops_agent.worker_protocol import (
    CALL_HEAD,
    MAX_CALL_MESSAGE,
    MAX_ORDER,
    NOTE,
    ORDER_FDS,
    RESULT_HEAD,
    Order,
)

_NOTES = 128
"""So many notes a worker keeps: as many calls may have ended since the agent last recorded results."""


def become_worker(orders: socket.socket, zygote: int) -> NoReturn:
    """Be a worker from now on, in a process that a zygote has just forked; wait for the order to begin."""
    os.setsid()
    die_with(zygote)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _prefer_as_oom_victim()
    null = os.open(os.devnull, os.O_RDONLY)
    _rehearse()
    request, fds, _, _ = socket.recv_fds(orders, MAX_ORDER, ORDER_FDS)
    orders.close()
    if not request:
        os._exit(0)
    order: Order = json.loads(request)
    calls_fd, results_fd, log_fd = fds
    for source, target in ((null, 0), (log_fd, 1), (log_fd, 2)):
        os.dup2(source, target)
    os.close(null)
    # A function may redirect its output; where the log ends is looked up here, and in none of its children.
    os.set_inheritable(log_fd, False)
    # From 3.14 on the stack of C comes after that of Python, and would push it out of the last words.
    faulthandler.enable(2, **({"c_stack": False} if sys.version_info >= (3, 14) else {}))
    os.environ.update(order["env"])
    try:
        os.chdir(order["cwd"])
    except OSError:
        os.chdir(order["home"])
    sys.stdout, sys.stderr = (
        open(fd, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        for fd in (1, 2)
    )
    status = 1
    try:
        Worker(order, socket.socket(fileno=calls_fd), socket.socket(fileno=results_fd), log_fd).serve()
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        pass  # The agent closed the sockets: nobody waits for this worker any more.
    except BaseException:  # noqa: BLE001 - whatever it was, it is told and the process ends
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)


def _rehearse() -> None:
    """Do what a first call does, before there is one: a process that was forked copies each page of memory
    when it first writes there, and nobody waits for that now."""
    calls, queued = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    results, reported = socket.socketpair()
    with calls, queued, results, reported:
        order: Order = {
            "worker": 0, "note": os.devnull, "folder": "", "function": os.devnull, "modules": None,
            "env": {}, "cwd": "/", "home": "/",
        }  # fmt: skip
        worker = Worker(json.loads(json.dumps(order)), calls, results, os.open(os.devnull, os.O_WRONLY))
        worker._function = int
        queued.send(CALL_HEAD.pack(0, 1, 0) + pickle.dumps(((), {})))
        queued.shutdown(socket.SHUT_WR)
        worker.serve()
        worker.close()


def _prefer_as_oom_victim() -> None:
    try:
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        try:
            os.write(file, b"800")
        finally:
            os.close(file)
    except OSError:
        pass  # Not allowed here; the kernel then chooses by size alone.


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # The function closed or replaced the stream.


class Worker:
    """Serves the calls of one job from its queue until the queue is closed."""

    def __init__(self, order: Order, calls: socket.socket, results: socket.socket, log: int) -> None:
        self._folder = order["folder"]
        self._function_path = order["function"]
        if order["modules"]:
            sys.path.insert(0, order["modules"])
        self._calls = calls
        self._results = results
        self._log = log
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._page = resource.getpagesize()
        self._notes = _open_notes(order["note"])
        self._noted = 0
        self._pid = float(os.getpid())
        self._function: Callable[..., Any] | None = None

    def close(self) -> None:
        """Close the files that were opened beside the sockets."""
        for descriptor in (self._statm, self._notes, self._log):
            os.close(descriptor)

    def serve(self) -> None:
        """Run calls until the agent closes the queue."""
        recv = self._calls.recv
        while True:
            message = recv(MAX_CALL_MESSAGE)
            if not message:
                return
            self._run(message)

    def _run(self, message: bytes) -> None:
        started = time.time()
        number, attempt, apart = CALL_HEAD.unpack_from(message)
        self._note(number, attempt)
        before = resource.getrusage(resource.RUSAGE_SELF)
        func_start = time.time()
        try:
            payload = memoryview(message)[CALL_HEAD.size :]
            args, kwargs = _load_file(bytes(payload).decode()) if apart else pickle.loads(payload)
            if self._function is None:
                self._function = _load_file(self._function_path)
            func_start = time.time()
            result = self._function(*args, **kwargs)
            func_end = time.time()
            status, body = Status.SUCCESS, dump(result)
            del result, args, kwargs
        except BadResult as exc:
            func_end = time.time()
            status, body = Status.BAD_RESULT, describe(exc.reason, skip=0)
        except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as exc:  # noqa: BLE001 - the code is the user's
            func_end = time.time()
            status, body = Status.EXCEPTION, describe(exc)
        _flush()
        after = resource.getrusage(resource.RUSAGE_SELF)
        rss = int(os.pread(self._statm, 64, 0).split()[1]) * self._page
        stats = (
            started,
            func_start,
            func_end,
            time.time(),
            after.ru_utime - before.ru_utime,
            after.ru_stime - before.ru_stime,
            rss,
            before.ru_maxrss * 1024.0,
            after.ru_maxrss * 1024.0,
            attempt,
            self._pid,
        )
        self._send(number, status, body, stats)

    def _note(self, number: int, attempt: int) -> None:
        """Leave a note of what is begun, for an agent that finds it after the death of this one."""
        try:
            os.pwrite(self._notes, NOTE.pack(number, attempt), self._noted % _NOTES * NOTE.size)
        except OSError:
            pass  # The disk is full: if the agent dies now, this attempt is not counted.
        self._noted += 1

    def _log_end(self) -> int:
        try:
            return os.lseek(self._log, 0, os.SEEK_END)
        except OSError:
            return 0  # It is no file.

    def _send(self, number: int, status: int, body: bytes, stats: tuple[float, ...]) -> None:
        log_end = self._log_end()
        if len(body) <= INLINE_LIMIT:
            self._results.sendall(RESULT_HEAD.pack(number, status, 0, len(body), log_end, *stats) + body)
            return
        # A worker that an agent has left behind may write at this moment, too.
        path = os.path.join(self._folder, f"result-{number}-{os.getpid()}")
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with open(path, "wb") as file:
                file.write(body)
        except OSError as exc:
            _remove(path)
            full = is_disk_full(exc)
            status = Status.NO_SPACE if full else Status.BAD_RESULT
            body = f"{len(body)} bytes".encode() if full else describe(exc)[:INLINE_LIMIT]
            self._results.sendall(RESULT_HEAD.pack(number, status, 0, len(body), log_end, *stats) + body)
            return
        text = path.encode()
        self._results.sendall(RESULT_HEAD.pack(number, status, 1, len(text), log_end, *stats) + text)


def _open_notes(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # It could not even be made.


def _load_file(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)
