"""Keeps the head from counting as idle for as long as other machines are reached through it."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from typing import Protocol

from lithops.backends.machine import Link
from lithops.errors import HostError

logger = logging.getLogger(__name__)

LASTS = 60.0
"""Seconds that the head is held for: so long after the death of this process it may count as idle."""
_AGAIN = 20.0
_FAREWELL = 2.0
"""Seconds that the head may take to hear that it is needed no longer."""


class Connection(Protocol):
    """What is asked of a connection through the head."""

    @property
    def is_alive(self) -> bool:
        """Whether it is up."""


class Lead:
    """Tells the agent of the head again and again that it is needed, while it is. Thread-safe.

    When this program is done, or dead, the head ends as soon as it has no work, and with it the way to the
    others; the next program gives the public address to another one.
    """

    def __init__(self, say: Callable[[Link, str, float], None] | None = None, again: float = _AGAIN) -> None:
        self._say = say or _hold
        self._again = again
        self._lock = threading.Lock()
        self._head: Link | None = None
        self._leaning: dict[str, Connection] = {}
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def leads(self, link: Link) -> None:
        """This agent is that of the head now."""
        with self._lock:
            self._head = link
            self._leaning.pop(link.host, None)

    def leans(self, name: str, connection: Connection) -> None:
        """A machine is reached through the head, as long as this connection is up."""
        with self._lock:
            self._leaning[name] = connection
            if self._thread is None:
                self._over = threading.Event()
                self._thread = threading.Thread(
                    target=self._keep, args=(self._over,), name="lead", daemon=True
                )
                self._thread.start()

    def release(self) -> None:
        """The head is needed no longer; it is told now, while the connection to it is up."""
        with self._lock:
            thread = self._thread
            self._leaning.clear()
            self._over.set()
        if thread is not None:
            thread.join(_FAREWELL)

    def _keep(self, over: threading.Event) -> None:
        name = uuid.uuid4().hex
        while True:
            with self._lock:
                self._leaning = {n: c for n, c in self._leaning.items() if c.is_alive}
                is_needed, head = bool(self._leaning), self._head
                if not is_needed:
                    self._thread = None
            if head is not None:
                try:
                    self._say(head, name, LASTS if is_needed else 0.0)
                except HostError as exc:
                    logger.debug("the head can't be told whether it is needed: %s", exc)
            if not is_needed:
                return
            over.wait(self._again)


def _hold(link: Link, name: str, seconds: float) -> None:
    from lithops.dispatch.client import AgentClient

    client = AgentClient(link.opener, link.token, link.host)
    try:
        client.hold(name, seconds)
    finally:
        client.close()
