"""Waits for whoever speaks over a socket, until a time; and can be woken before."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Speaker = TypeVar("Speaker")
NEVER = float("inf")


class Listener(Generic[Speaker]):
    """Sockets, and who speaks there.

    One thread calls `wait`, and before each time `set_alarm` under a lock. All others may `wake` it at any
    time, and call the rest under that lock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._alarm_at = NEVER

    def attend(self, end: socket.socket, speaker: Speaker) -> None:
        """Listen to a socket from now on."""
        self._selector.register(end, selectors.EVENT_READ, speaker)

    def ignore(self, end: socket.socket) -> None:
        """Do not listen to a socket any more."""
        try:
            self._selector.unregister(end)
        except (KeyError, ValueError):
            pass  # It was not, or is closed.

    def set_alarm(self, at: float) -> None:
        """`wait` until then at most, by the clock."""
        self._alarm_at = at

    def wake_by(self, at: float) -> None:
        """Wake who waits, if the alarm is later than that."""
        if at < self._alarm_at:
            self.wake()

    def wake(self) -> None:
        """Wake who waits, or will next."""
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            pass  # It is being woken already.

    def wait(self) -> list[Speaker]:
        """Who has something to say; nobody when it was woken, or it is time."""
        delay = None if self._alarm_at == NEVER else max(self._alarm_at - self._clock(), 0.0)
        speakers = []
        for key, _ in self._selector.select(delay):
            if key.data is None:
                # Before anything is done about it: whoever wakes later means more than that.
                os.read(self._wake_read, 4096)
            else:
                speakers.append(key.data)
        return speakers
