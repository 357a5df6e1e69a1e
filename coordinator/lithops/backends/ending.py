"""End the agent of a host and wait until it is gone, however the host is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lithops.bootstrap.end import Look
from lithops.errors import HostError, HostTimeout
from lithops.ssh.deadline import Deadline
from lithops_agent.protocol import HOST_ENDINGS

END_TIMEOUT = 30.0
"""Seconds for all of it; an agent takes one or two."""
_PAUSE = 0.05
_ASK_AGAIN = 2.0


class Ending:
    """The end of the agent of one host."""

    def __init__(self, host: str, how: str, deadline: Deadline) -> None:
        self.asked = False
        """Whether an agent was told to end; what it has not heard of is told again."""
        self._host = host
        self._how = how
        self._deadline = deadline
        self._ask_at = 0.0

    def run(
        self,
        look: Callable[[str], Look],
        ask: Callable[[dict[str, Any]], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Look at the host again and again until nothing is there any more.

        ``look`` is told how to end what is left of an agent that is dead, ``ask`` tells a living one, whose
        state it is given, to end.

        Raises:
            HostError: the host can't be looked at, or the agent is not gone in time.
        """
        trouble: HostError | None = None
        while True:
            # Once it was told, a host that goes off is left to itself.
            found = look("" if self.asked and self._how in HOST_ENDINGS else self._how)
            if found.agent is None and (self._how in HOST_ENDINGS or not found.left):
                return
            if found.agent is not None:
                trouble = self._tell(ask, found.agent)
            if self._deadline.expired:
                what = (
                    "its agent did not end in time" if found.agent else "files of its agent can't be removed"
                )
                raise HostTimeout(what, host=self._host, phase="dismantle") from trouble
            pause(_PAUSE)

    def _tell(self, ask: Callable[[dict[str, Any]], None], agent: dict[str, Any]) -> HostError | None:
        now = self._deadline.clock()
        if self.asked and now < self._ask_at:
            return None
        self._ask_at = now + _ASK_AGAIN
        try:
            ask(agent)
        except HostError as exc:
            # It may be ending already; the next look tells.
            return exc
        self.asked = True
        return None
