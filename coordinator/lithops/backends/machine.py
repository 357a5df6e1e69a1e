"""What every backend gives to the dispatcher: machines, and links to the agents on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Optional, Protocol

from lithops.ssh.http import Opener


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """A way to an agent that runs. ``agent_id`` stays the same as long as the agent's journal does.

    ``runtime`` is the interpreter that calls run in, ``cwd`` the folder they run in (None: the home
    folder), ``processes`` how many of them at a time (None: the agent decides). ``opener`` opens a
    connection to the agent's port; ``close`` ends the link.
    """

    host: str
    agent_id: str
    token: str = dataclasses.field(repr=False)
    runtime: str
    opener: Opener
    close: Callable[[], None]
    cwd: Optional[str] = None
    processes: Optional[int] = None


class Machine(Protocol):
    """A host that can be used; ``name`` is what the user calls it."""

    name: str

    def open(self) -> Link:
        """Connect, and make sure that an agent runs there.

        Raises:
            HostError: it can't be used.
        """

    def find(self) -> Optional[Link]:
        """Connect to the agent that runs there; None when none does. Starts nothing.

        Raises:
            HostError: the host can't be reached.
        """

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        """End the agent, with all that it has put there, and wait until it is gone. Starts none.

        ``ask`` tells an agent to end, and how; it may raise HostError, and may be called again.

        Raises:
            HostError: it is not known to be gone.
        """
