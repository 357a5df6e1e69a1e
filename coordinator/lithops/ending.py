"""How executors end: by an interrupt, with their block, or with the program.

Imported when the first executor is made: `import lithops` needs none of it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from lithops.errors import HostError
from lithops.wait import cancel

if TYPE_CHECKING:
    from lithops.future import ResponseFuture
    from lithops.job.model import Session

logger = logging.getLogger("lithops.executors")

_endings: WeakSet[Ending] = WeakSet()
_sessions: WeakSet[Session] = WeakSet()
"""They outlive executors that were variables of a function, and have their last words at the exit."""


class Caller(Protocol):
    """What is used of an executor; a class of the user's may do more when it is dismantled."""

    futures: list[ResponseFuture]

    def dismantle(self) -> None: ...


class Opener(Protocol):
    """What is used of a `Submitter`: it has a session from the first call until it is closed."""

    @property
    def has_session(self) -> bool: ...

    def session(self) -> Session: ...

    def close(self) -> None: ...


class Ending:
    """The end of one executor: what becomes of its calls and its hosts.

    Args:
        caller: the executor; an interrupt cancels all of its calls, and it is dismantled by itself.
        opener: has the session with its hosts.
        dismantles: whether the hosts are to end with the executor's block, and with the program.
    """

    def __init__(self, caller: Caller, opener: Opener, *, dismantles: bool) -> None:
        self.dismantles = dismantles
        self._caller = caller
        self._opener = opener
        self._dismantled = False
        _endings.add(self)

    def begin(self, open_session: Callable[[], Session]) -> Session:
        """Open a session: from now on there is something to end."""
        self._dismantled = False
        session = open_session()
        _sessions.add(session)
        return session

    def interrupt(self) -> None:
        """The program is being interrupted: end what goes on."""
        count = cancel(self._caller.futures)
        if count:
            logger.warning("interrupted: %d calls that had not ended are cancelled", count)

    def close(self) -> None:
        """Leave the hosts; what goes on there goes on."""
        self._opener.close()

    def dismantle(self) -> None:
        """End the hosts; a second time, do nothing. Raises HostError."""
        if self._dismantled and not self._opener.has_session:
            return
        try:
            self._opener.session().dismantle()
        finally:
            self._opener.close()
        self._dismantled = True

    def dismantle_used(self, *, quietly: bool) -> None:
        """End the hosts if they were used; ``quietly``: what fails is only logged. Raises HostError."""
        if not self._opener.has_session:
            return
        try:
            self._caller.dismantle()
        except HostError as exc:
            if not quietly:
                raise
            logger.warning("%s", exc)


def dismantle_all() -> None:
    """The program ends: so do the hosts that were to end with it."""
    for ending in list(_endings):
        if ending.dismantles:
            ending.dismantle_used(quietly=True)


def close_all() -> None:
    """The program ends: hosts are told what they have to be told, and left."""
    if _program_was_interrupted():
        import signal

        # A second Ctrl-C would leave calls running on the hosts; telling those takes a moment at most.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for ending in list(_endings):
            ending.interrupt()
    for ending in list(_endings):
        ending.close()
    for session in list(_sessions):
        session.close()
    attachment = sys.modules.get("lithops.attachment")
    if attachment is not None:
        attachment.close_all()


def _program_was_interrupted() -> bool:
    """Whether this program ends by a KeyboardInterrupt; in an interactive one it may be an old story."""
    return getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1")
