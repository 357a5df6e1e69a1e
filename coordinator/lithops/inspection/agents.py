"""The agent of a host, for a few requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from lithops.backends.machine import Machine
from lithops.dispatch.client import AgentClient


@contextmanager
def agent_of(machine: Machine) -> Iterator[Optional[AgentClient]]:
    """A connection to the agent that runs on a host; None when none does. Starts none. Raises HostError."""
    link = machine.find()
    if link is None:
        yield None
        return
    client = AgentClient(link.opener, link.token, link.host)
    try:
        yield client
    finally:
        client.close()
        link.close()
