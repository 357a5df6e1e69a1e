"""What forks workers: a zygote, one for each interpreter and container.

A zygote is one single-threaded process, started on its own, that imports what every worker needs and then
forks workers on demand; so a worker is ready in a millisecond, and the threaded agent never forks. How the
agent speaks to it is in `lithops_agent.runtimes.zygote`.

Only the standard library and cloudpickle are imported here: this file runs in the user's interpreter.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
from collections.abc import Sequence
from typing import Any

from lithops_agent.worker import become_worker
from lithops_agent.worker_protocol import MAX_ORDER, ORDER_FDS

_SPARE_DELAY = 0.001
"""Seconds without an order after which a spare worker is forked."""


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
                message, fds = self._hear()
                if not message:
                    self._end_all()
                    return
                self._obey(message, fds)
            if not readable:
                self._make_spare()

    def _hear(self) -> tuple[bytes, list[int]]:
        """An order, with its descriptors; empty when the agent is gone."""
        try:
            message, fds, _, _ = socket.recv_fds(self._control, MAX_ORDER, ORDER_FDS)
        except ConnectionResetError:
            return b"", []  # It had not read all that was said here.
        return message, fds

    def _say(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], list(fds))
        except (BrokenPipeError, ConnectionResetError):
            pass  # The agent is gone: that is heard next, and all workers end.

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
            become_worker(theirs, zygote)
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
