"""How a thread learns that calls have ended: one lock, and a `Waiter` for each wait.

The rules. All state of all futures changes under ``lock``. A future that ends tells those that
watch it, which costs the ended future one list append a watcher. A waiting thread is woken only when
enough futures have ended, or when one has ended that it must look at (it failed, or it returned
futures), so 100,000 calls wake a waiting thread once and not 100,000 times.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional, Protocol

if TYPE_CHECKING:
    from lithops.future import ResponseFuture

lock = threading.RLock()
"""Guards the state of every future of this process. Nothing is waited for while it is held."""

decoded = threading.Condition(lock)
"""Notified when a thread has finished unpickling a result."""


class Watcher(Protocol):
    """What is told, under the lock, that a future has ended."""

    def future_ended(self, future: ResponseFuture) -> None: ...


def watch(future: ResponseFuture, watcher: Watcher) -> bool:
    """Have a watcher told when a future ends; False when it has ended already. Needs the lock."""
    if future._form:
        return False
    present = future._watchers
    future._watchers = (watcher,) if present is None else (*present, watcher)
    return True


class Waiter:
    """Counts the futures that end, for one thread that waits for them.

    ``stop_on_failure``: wake the thread as soon as one has failed.
    """

    __slots__ = ("_condition", "_fresh", "_stop_on_failure", "_target", "_urgent", "ended", "total")

    def __init__(self, *, stop_on_failure: bool = False) -> None:
        self._condition = threading.Condition(lock)
        self._stop_on_failure = stop_on_failure
        self._fresh: list[ResponseFuture] = []
        self._target = 0
        self._urgent = False
        self.ended = 0
        self.total = 0

    def watch(self, futures: Iterable[ResponseFuture]) -> None:
        """Count these futures too, those that have ended already at once."""
        with lock:
            for future in futures:
                self.total += 1
                if not watch(future, self):
                    self.future_ended(future)

    def future_ended(self, future: ResponseFuture) -> None:
        """Count a future. Called under the lock."""
        self._fresh.append(future)
        self.ended += 1
        if future._may_have_children or (self._stop_on_failure and future._failed):
            self._urgent = True
        if self._urgent or self.ended >= self._target:
            self._condition.notify()

    def wait(self, target: int, timeout: Optional[float]) -> list[ResponseFuture]:
        """Wait until ``target`` futures have ended in all, or one needs attention, or time is up.

        Gives the futures that ended since the last call, in the order in which they ended.
        """
        with lock:
            self._target = target
            self._condition.wait_for(self._is_enough, timeout)
            fresh, self._fresh = self._fresh, []
            self._urgent = False
            return fresh

    def _is_enough(self) -> bool:
        return self._urgent or self.ended >= self._target

    def leave(self, futures: Iterable[ResponseFuture]) -> None:
        """Stop counting: futures that have not ended forget this waiter."""
        with lock:
            for future in futures:
                if future._watchers is not None:
                    rest = tuple(watcher for watcher in future._watchers if watcher is not self)
                    future._watchers = rest or None
