"""The link to an agent over an SSH connection, by the state that the agent has left on its host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lithops.backends.machine import Far, Link
from lithops.errors import HostError
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.http import SocketLike

_LOOPBACK = "127.0.0.1"
_REACH_TIMEOUT = 20.0
"""Seconds in which a host must have looked up a name, and connected."""


def link_over(
    connection: SshConnection,
    state: Mapping[str, Any],
    *,
    host: str,
    processes: int | None,
    python: str = "python3",
) -> Link:
    """The link; closing it closes the connection."""
    port = int(state["port"])

    def opener(timeout: float) -> SocketLike:
        try:
            return connection.open_channel(_LOOPBACK, port, Deadline.after(timeout))
        except HostError as exc:
            if connection.is_alive:
                raise
            raise ConnectionError(str(exc)) from exc

    def reach(name: str, port: int) -> Far:
        return connection.open_channel(name, port, Deadline.after(_REACH_TIMEOUT))

    return Link(
        host=host,
        agent_id=str(state["agent_id"]),
        token=str(state["token"]),
        runtime=python,
        opener=opener,
        close=connection.close,
        processes=processes,
        reach=reach,
    )
