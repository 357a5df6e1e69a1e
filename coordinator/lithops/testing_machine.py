"""A fake machine, for tests: it leads to a fake agent, and its links break as they do over SSH."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Optional, cast

from lithops.backends.machine import Link
from lithops.ssh.http import SocketLike, open_local
from lithops.testing_agent import FakeAgent


class FakeMachine:
    """A machine whose agent runs in this process; closing a link breaks its connections, as with SSH.

    ``agent`` may be replaced by another one. ``failures`` are raised by the next attempts to open a link, in
    order; ``down`` by all, while it is set. No link is opened before ``gate`` is set. ``opened`` counts them.
    """

    def __init__(self, name: str, agent: FakeAgent) -> None:
        self.name = name
        self.agent = agent
        self.failures: list[Exception] = []
        self.down: Optional[Exception] = None
        self.gate = threading.Event()
        self.gate.set()
        self.opened = 0
        self._connections = _Connections()

    def open(self) -> Link:
        """A link to the agent as it is now."""
        self.gate.wait()
        if self.down is not None:
            raise self.down
        if self.failures:
            raise self.failures.pop(0)
        self.opened += 1
        self._connections = connections = _Connections()

        def opener(timeout: float) -> SocketLike:
            return connections.open(self.agent.port, timeout)

        return Link(
            host=self.name,
            agent_id=self.agent.agent_id,
            token=self.agent.token,
            runtime="python3",
            opener=opener,
            close=connections.close,
        )

    def find(self) -> Optional[Link]:
        """A link to the agent, which always runs."""
        return self.open()

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        """Tell the agent to end; it is believed."""
        link = self.open()
        try:
            ask(link, "remove")
        finally:
            link.close()

    def cut(self) -> None:
        """Break the link."""
        self._connections.close()


class _Connections:
    """The connections of one link."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._closed = False

    def open(self, port: int, timeout: float) -> SocketLike:
        with self._lock:
            if self._closed:
                raise ConnectionResetError("the link is closed")
            sock = open_local(port)(timeout)
            self._open.append(cast(socket.socket, sock))
            return sock

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for sock in self._open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # It was closed already.
