"""Calls that need the results of other calls: held back here, and submitted when those are there.

One thread an executor, alive only while calls are held back. It is told through the lock of
`lithops.job.waiting` when an input has ended, so it neither polls nor needs a thread a call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from lithops.errors import CallCancelled
from lithops.future import ResponseFuture, leaves
from lithops.job.model import Outcome
from lithops.job.waiting import lock, watch

if TYPE_CHECKING:
    from lithops.job.model import Session


class Draft(Protocol):
    """The job that the call belongs to, as far as it is needed here."""

    def payload(self, number: int, item: Any) -> bytes:
        """Pickle the arguments of a call."""

    def submit(self, session: Session, calls: Sequence[tuple[ResponseFuture, bytes]]) -> None:
        """Hand calls of this job to a session."""


class Dependent:
    """One call that is held back. ``item`` gives its data when all calls of ``inputs`` have succeeded."""

    __slots__ = ("_announced", "_chain", "_missing", "draft", "future", "inputs", "item")

    def __init__(
        self,
        draft: Draft,
        future: ResponseFuture,
        inputs: Sequence[ResponseFuture],
        item: Callable[[], Any],
    ) -> None:
        self.draft = draft
        self.future = future
        self.inputs = inputs
        self.item = item
        self._missing = 0
        self._announced = False
        self._chain: Chain | None = None

    def start(self, chain: Chain, futures: Iterable[ResponseFuture]) -> None:
        """Be told when these have ended, or the first of them has failed."""
        with lock:
            self._chain = chain
            self._announced = False
            self._missing = 1  # This call itself, so that nothing is announced before all are watched.
            for future in futures:
                self._missing += 1
                if not watch(future, self):
                    self.future_ended(future)
            self._count_down()

    def future_ended(self, future: ResponseFuture) -> None:
        """Called under the lock."""
        self._missing -= 1
        if future._failed or self._missing == 0:
            self._announce()

    def _count_down(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._announce()

    def _announce(self) -> None:
        if not self._announced and self._chain is not None:
            self._announced = True
            self._chain.announce(self)


class Chain:
    """Holds back the calls of one executor until their inputs are there.

    ``short_lived``: this process may end as soon as it gave its futures away, as a worker does.
    """

    def __init__(self, name: str, *, short_lived: bool = False) -> None:
        self._name = name
        self._short_lived = short_lived
        self._ready: SimpleQueue[Dependent | None] = SimpleQueue()
        self._held: set[ResponseFuture] = set()
        self._being_sent: set[ResponseFuture] = set()
        self._moved_on = threading.Condition(lock)
        self._open = 0
        self._thread: threading.Thread | None = None

    def add(self, dependents: Sequence[Dependent]) -> None:
        """Hold these calls back."""
        if not dependents:
            return
        with lock:
            self._open += len(dependents)
            self._held.update(dependent.future for dependent in dependents)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=f"lithops-{self._name}", daemon=True)
                self._thread.start()
            for dependent in dependents:
                dependent.start(self, dependent.inputs)

    def announce(self, dependent: Dependent) -> None:
        """A call can be looked at: all its inputs have ended, or one has failed."""
        self._ready.put(dependent)

    def withdraw(self, future: ResponseFuture) -> None:
        """End a call as cancelled if it is held back."""
        with lock:
            if future in self._held:
                self._held.discard(future)
                self._moved_on.notify_all()
                _fail(future, CallCancelled("cancelled before it was submitted", **_who(future)))

    def about_to_leave(self, future: ResponseFuture) -> None:
        """A future is being pickled: in a process that may end after it, wait until a host has the call."""
        if self._short_lived:
            with lock:
                self._moved_on.wait_for(lambda: future not in self._held and future not in self._being_sent)

    def close(self) -> None:
        """End the thread; calls that are held back stay so."""
        with lock:
            if self._thread is not None:
                self._ready.put(None)

    def _serve(self) -> None:
        while True:
            batch: list[Dependent | None] = [self._ready.get()]
            while True:
                try:
                    batch.append(self._ready.get_nowait())
                except Empty:
                    break
            finished = self._handle([dependent for dependent in batch if dependent is not None])
            with lock:
                self._open -= finished
                if self._open == 0 or None in batch:
                    self._thread = None
                    return

    def _handle(self, batch: Sequence[Dependent]) -> int:
        """Submit, fail or hold back further; gives the number of those that are done with."""
        groups: dict[int, tuple[Dependent, list[tuple[ResponseFuture, bytes]]]] = {}
        finished = 0
        for dependent in batch:
            later = self._look_at(dependent, groups)
            finished += not later
        for first, calls in groups.values():
            try:
                first.draft.submit(first.future._bound_session(), calls)
            except Exception as exc:  # noqa: BLE001 - the top of a thread: the error goes to the calls
                for future, _ in calls:
                    _fail(future, exc)
        with lock:
            self._being_sent.clear()
            self._moved_on.notify_all()
        return finished

    def _look_at(
        self,
        dependent: Dependent,
        groups: dict[int, tuple[Dependent, list[tuple[ResponseFuture, bytes]]]],
    ) -> bool:
        """Decide about one call; True when it has to wait for futures that its inputs returned."""
        future = dependent.future
        if future.done:
            return False
        try:
            ends = list(leaves(dependent.inputs))
            failed = next((end for end in ends if end._failed), None)
            if failed is None and not all(end.done for end in ends):
                dependent.start(self, [end for end in ends if not end.done])
                return True
            error = None if failed is None else failed._failure()
            payload = b"" if failed else dependent.draft.payload(future._number, dependent.item())
        except Exception as exc:  # noqa: BLE001 - binding and pickling run users' code
            error, payload = exc, b""
        with lock:
            if future not in self._held:
                return False  # Cancelled in the meantime.
            self._held.discard(future)
            self._being_sent.add(future)
        if error is not None:
            _fail(future, error)
        else:
            groups.setdefault(id(dependent.draft), (dependent, []))[1].append((future, payload))
        return False


def _fail(future: ResponseFuture, error: Exception) -> None:
    future._on_outcome(Outcome(ok=False, host="", error=error))


def _who(future: ResponseFuture) -> dict[str, str]:
    return {"job_id": future.job_key, "call_id": future.call_id}
