"""Keeps a host from counting as idle for as long as somebody is in a shell there."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Optional

from lithops.backends.machine import Link
from lithops.dispatch.client import AgentClient
from lithops.errors import HostError
from lithops.shell.access import Access

logger = logging.getLogger(__name__)

LASTS = 60.0
"""Seconds that the host is held for: so long after the death of this process it may count as idle."""
_AGAIN = 20.0


class Hold:
    """Says again and again that somebody is there. Where no agent runs, it waits for one.

    ``held``: whether an agent was told; ``hard_in``: the seconds that the hard time-out left then, None: no
    limit.
    """

    def __init__(self, access: Access, link: Optional[Link] = None) -> None:
        self._access = access
        self._link = link
        self._name = uuid.uuid4().hex
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="hold", daemon=True)
        self.held = False
        self.hard_in: Optional[float] = None

    def __enter__(self) -> Hold:
        self._say(LASTS)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_AGAIN)
        if self.held:
            self._say(0.0)

    def _keep(self) -> None:
        while not self._over.wait(_AGAIN):
            self._say(LASTS)

    def _say(self, seconds: float) -> None:
        try:
            link = self._link or self._access.agent()
            if link is None:
                return
            client = AgentClient(link.opener, link.token, link.host)
            try:
                self.hard_in = client.hold(self._name, seconds)
                self.held = True
            finally:
                client.close()
        except HostError as exc:
            # The agent may be ending, or be a new one by the next time.
            self.held, self._link = False, None
            logger.debug("host %s can't be held: %s", self._access.name, exc)
