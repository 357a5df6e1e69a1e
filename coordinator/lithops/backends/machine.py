"""What every backend gives to the dispatcher: machines, and links to the agents on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Optional, Protocol

from lithops.ssh.http import Opener

if TYPE_CHECKING:
    from lithops.shell.access import Access


class Far(Protocol):
    """The part of a socket that a connection from a host to elsewhere has."""

    def recv(self, size: int, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> None: ...

    def settimeout(self, timeout: Optional[float], /) -> None: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


Reach = Callable[[str, int], Far]
"""Connects from a host to a name and a port, as that host sees them. Raises HostError."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """A way to an agent that runs. ``agent_id`` stays the same as long as the agent's journal does.

    ``runtime`` is the interpreter that calls run in, ``cwd`` the folder they run in (None: the home
    folder), ``processes`` how many of them at a time (None: the agent decides). ``opener`` opens a
    connection to the agent's port; ``close`` ends the link; ``reach`` connects from the host to elsewhere
    (None: it is no other machine than this one).
    """

    host: str
    agent_id: str
    token: str = dataclasses.field(repr=False)
    runtime: str
    opener: Opener
    close: Callable[[], None]
    cwd: Optional[str] = None
    processes: Optional[int] = None
    reach: Optional[Reach] = None


class Enterable(Protocol):
    """A machine that a person can enter; not all are."""

    name: str

    def enter(self) -> Access:
        """Connect, whether an agent runs there or not; nothing is started.

        Raises:
            HostError: it can't be reached.
        """

    def equivalent(self, command: Optional[str], *, with_terminal: bool) -> list[str]:
        """The command that does the same as `Access.run`, without this program. Connects to nothing."""


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


class Supply(Protocol):
    """Where an executor's machines come from: they exist, or are made for it. Nothing here takes long."""

    def machines(self, calls: int) -> Sequence[Machine]:
        """The machines to have for so many calls without a result; those given before come first."""

    def named(self, names: Iterable[str]) -> Sequence[Machine]:
        """The machines of these names, which an earlier process used; those that can't exist are left out."""

    def leave(self) -> None:
        """This program needs the machines no longer, and is about to close its links to them."""

    def end(self) -> None:
        """All machines were dismantled: remove what they shared.

        Raises:
            HostError: what is left, and why.
        """


class FixedSupply:
    """Machines that are there whatever is to be run."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._machines = machines

    def machines(self, calls: int) -> Sequence[Machine]:
        """All of them."""
        return self._machines

    def named(self, names: Iterable[str]) -> Sequence[Machine]:
        """Those of these names."""
        wanted = set(names)
        return [machine for machine in self._machines if machine.name in wanted]

    def leave(self) -> None:
        """None of them is kept for another."""

    def end(self) -> None:
        """They share nothing."""
