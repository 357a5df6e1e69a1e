"""Who sees to a machine: one thread at a time, which can be told that the machine is not wanted any more."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol

from lithops.at_exit import interruptible
from lithops.errors import HostError

logger = logging.getLogger(__name__)

_GLANCE = 0.1
"""Seconds within which Ctrl-C ends a wait."""


class Turn:
    """Held while a machine is seen to. ``with turn`` waits for it, and holds it."""

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._lock = threading.Lock()
        self._unwanted = threading.Event()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self._lock.release()

    @contextlib.contextmanager
    def instead(self) -> Iterator[None]:
        """Have whoever waits for the machine give up, and hold the turn."""
        self._unwanted.set()
        with self:
            try:
                yield
            finally:
                self._unwanted.clear()

    @property
    def is_unwanted(self) -> bool:
        """Whether whoever holds the turn is to give up."""
        return self._unwanted.is_set()

    def check(self) -> None:
        """Raise HostError when whoever holds the turn is to give up."""
        if self._unwanted.is_set():
            raise HostError("not wanted any more while it came up", host=self._machine, phase="create")

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until the machine is not wanted any more."""
        self._unwanted.wait(seconds)

    def stop(self) -> bool:
        """Have whoever holds the turn give up; whether anybody does."""
        if not self._lock.locked():
            return False
        self._unwanted.set()
        return True

    def settle(self) -> None:
        """Wait until nobody holds the turn. The machine may be wanted again after that."""
        # By glances: a signal that comes just before a wait begins would not end it.
        while not self._lock.acquire(timeout=_GLANCE):
            pass
        try:
            self._unwanted.clear()
        finally:
            self._lock.release()


class ComingUp(Protocol):
    """A machine that may be on its way."""

    def stop_coming_up(self) -> Turn | None:
        """Have whoever waits for it give it back; the turn of who does, None when it is not on its way."""


def give_back(machines: Sequence[ComingUp]) -> None:
    """Wait until what is on its way is as it was before. Ctrl-C ends the wait."""
    turns = [turn for machine in machines if (turn := machine.stop_coming_up()) is not None]
    if not turns:
        return
    try:
        with interruptible():
            logger.warning(
                "%d machine(s) that are not up yet are given back; Ctrl-C leaves them to `lithops clean`",
                len(turns),
            )
            for turn in turns:
                turn.settle()
    except KeyboardInterrupt:
        logger.warning("interrupted: `lithops clean` deletes what is left of them")
