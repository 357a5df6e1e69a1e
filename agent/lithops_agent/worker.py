"""What runs users' functions: the zygote, and the workers that it forks.

A zygote is one single-threaded process for each interpreter, started on its own, that imports what
every worker needs and then forks workers on demand; so a worker is ready in a millisecond, and the
threaded agent never forks. A worker serves the calls of one job, one after the other, and is never
used for another job.

The agent and a worker share two sockets. On ``calls`` (SOCK_SEQPACKET, one message a call) the agent
queues calls; a call belongs to the worker from the moment it receives the message, and until then the
agent can take it back by receiving from the other end of the same queue. So after a worker died it is
known which calls it had not begun. On ``results`` (SOCK_STREAM) the worker writes a `RESULT_HEAD` and
the body, or the path of a file with the body. The agent never opens a pickle.

Only the standard library and cloudpickle are imported here: this file runs in the user's interpreter.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lithops_agent.disk import is_disk_full
from lithops_agent.protocol import INLINE_LIMIT, STATS, Status

CALL_HEAD = struct.Struct("<IHB")
"""Call number, attempt, 1 if the message carries the path of the data instead of the data."""
RESULT_HEAD = struct.Struct(f"<IBBQQ{len(STATS)}d")
"""Call number, Status, 1 if the body is the path of a file, length of what follows, up to which byte of
the worker's log the calls so far have printed, STATS."""
MAX_CALL_MESSAGE = INLINE_LIMIT + CALL_HEAD.size
NOTE = struct.Struct("<IHxx")
"""Call number and attempt (0: no entry) of a call that a worker has begun."""
_NOTES = 128
"""So many notes a worker keeps: as many calls may have ended since the agent last recorded results."""

_prctl = ctypes.CDLL(None).prctl
_PR_SET_PDEATHSIG = 1
_ORDER_SIZE = 256 * 1024
_SPARE_DELAY = 0.001
"""Seconds without an order after which a spare worker is forked."""
_FAST_TYPES = frozenset((int, float, str, bytes, bool, type(None), complex, bytearray))


# ---- the zygote -------------------------------------------------------------------------------------


def zygote_main(control_fd: int) -> None:
    """Fork workers when asked to over ``control_fd``; end them all when the agent is gone.

    The closed socket tells that the agent is gone. A signal at the death of the parent would not do: the
    kernel sends it when the *thread* that started this process ends.
    """
    import cloudpickle  # noqa: F401 - imported once here, so that no worker has to

    gc.freeze()
    Zygote(socket.socket(fileno=control_fd)).serve()


class Zygote:
    """Forks workers, and keeps one spare so that the next one needs no fork while a call waits for it.

    A spare has run nothing and belongs to no job until it is given its order, by the agent itself,
    which holds the socket that the spare listens on.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, int] = {}
        self._spare = 0
        self._ended_spares: dict[int, dict[str, Any]] = {}
        self._wakeup_read, self._wakeup_write = os.pipe()
        os.set_blocking(self._wakeup_write, False)

    def serve(self) -> None:
        """Obey until the agent closes the control socket."""
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        control = self._control.fileno()
        while True:
            delay = None if self._spare else _SPARE_DELAY
            readable, _, _ = select.select([control, self._wakeup_read], [], [], delay)
            if self._wakeup_read in readable:
                os.read(self._wakeup_read, 4096)
                self._reap()
            if control in readable:
                message, fds, _, _ = socket.recv_fds(self._control, _ORDER_SIZE, 3)
                if not message:
                    self._end_all()
                    return
                self._obey(message, fds)
            if not readable:
                self._make_spare()

    def _say(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        socket.send_fds(self._control, [json.dumps(message).encode()], list(fds))

    def _obey(self, message: bytes, fds: list[int]) -> None:
        order = json.loads(message)
        worker = order["worker"]
        if "adopted" in order:
            pid = order["adopted"]
            if self._spare == pid:
                self._spare = 0
            self._children[pid] = worker
            if pid in self._ended_spares:
                del self._children[pid]
                self._say({"exited": worker, **self._ended_spares.pop(pid)})
            return
        try:
            pid, orders = self._fork()
            self._children[pid] = worker
            with orders:
                socket.send_fds(orders, [message], fds)
            self._say({"started": worker, "pid": pid})
        except OSError as exc:
            self._say({"failed": worker, "why": str(exc)})
        finally:
            for fd in fds:
                os.close(fd)

    def _make_spare(self) -> None:
        try:
            self._spare, orders = self._fork()
        except OSError:
            return  # No room for a spare; the next order tells if there is none for a worker.
        with orders:
            self._say({"spare": self._spare}, [orders.fileno()])

    def _fork(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            self._control.close()
            os.close(self._wakeup_read)
            os.close(self._wakeup_write)
            _become_worker(theirs, zygote)
        theirs.close()
        return pid, ours

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            how = {"status": status, "peak": usage.ru_maxrss * 1024}
            worker = self._children.pop(pid, None)
            if worker is not None:
                # What the worker left running in its process group ends with it.
                _kill_group(pid)
                self._say({"exited": worker, **how})
            elif pid == self._spare:
                # The agent may have given it an order at this moment, and tells so next.
                self._ended_spares = {pid: how}
                self._spare = 0

    def _end_all(self) -> None:
        for pid in self._children:
            _kill_group(pid)
            # One that was forked a moment ago has no group yet. It was not waited for, so that the number
            # is still its own.
            os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # The group is gone, or is another user's after the number was used again.


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when the thread that made it ends, or end if it has."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


# ---- a worker ---------------------------------------------------------------------------------------


def _become_worker(orders: socket.socket, zygote: int) -> NoReturn:
    os.setsid()
    die_with(zygote)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _prefer_as_oom_victim()
    null = os.open(os.devnull, os.O_RDONLY)
    _rehearse()
    request, fds, _, _ = socket.recv_fds(orders, _ORDER_SIZE, 3)
    orders.close()
    if not request:
        os._exit(0)
    order = json.loads(request)
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
        os.chdir(order.get("home", "/"))
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
        order = {"folder": "", "function": os.devnull, "note": os.devnull}
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

    def __init__(self, order: dict[str, Any], calls: socket.socket, results: socket.socket, log: int) -> None:
        self._folder: str = order["folder"]
        self._function_path: str = order["function"]
        if order.get("modules"):
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
            status, body = Status.SUCCESS, _dump(result)
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


class BadResult(Exception):
    """The function returned something that can't be pickled."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _load_file(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


def _dump(result: Any) -> bytes:
    if type(result) in _FAST_TYPES:
        return pickle.dumps(result, protocol=5)
    import cloudpickle

    try:
        return cloudpickle.dumps(result, protocol=5)  # type: ignore[no-any-return]
    except Exception as exc:
        raise BadResult(exc) from exc


def describe(exc: BaseException, skip: int = 1) -> bytes:
    """A pickled account of an exception: its type, message and traceback as text, and itself.

    ``skip`` frames of this file are left out at the start of the traceback.
    """
    import cloudpickle

    frames = exc.__traceback__
    for _ in range(skip):
        frames = frames.tb_next if frames is not None and frames.tb_next is not None else frames
    text = "".join(_format(exc, frames))
    try:
        message = str(exc)
    except Exception as broken:  # noqa: BLE001 - the code is the user's
        message = f"(its text can't be made: {type(broken).__name__})"
    try:
        pickled = cloudpickle.dumps(exc.with_traceback(None), protocol=5)
        pickle.loads(pickled)
    except Exception:  # noqa: BLE001 - the code is the user's
        pickled = None  # The reader gets the text.
    account = {
        "type": f"{type(exc).__module__}.{type(exc).__qualname__}",
        "message": message,
        "traceback": text,
        "exception": pickled,
    }
    return pickle.dumps(account, protocol=5)


def _format(exc: BaseException, frames: Any) -> list[str]:
    try:
        return traceback.format_exception(type(exc), exc, frames)
    except Exception:  # noqa: BLE001 - the code is the user's
        return [*traceback.format_tb(frames), f"{type(exc).__qualname__}\n"]
