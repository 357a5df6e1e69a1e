"""The future of one call: what a script asks it. What it is told is in `lithops.job.record`.

Results are never compared or tested for truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Optional

from lithops.errors import CallCancelled, JobUnknown, WaitTimeout
from lithops.futures_list import FuturesList
from lithops.job.info import JobInfo, owners
from lithops.job.record import BODY, ERROR, NOTHING, READING, CallRecord, State
from lithops.job.waiting import Waiter, lock

if TYPE_CHECKING:
    from lithops.job.model import Session

__all__ = ["ResponseFuture", "FuturesList", "State", "batch", "leaves", "value_of"]


def batch() -> AbstractContextManager[object]:
    """``with batch():`` around many ``_on_outcome`` calls lets a waiting thread go on only after all.

    Nothing may be waited for inside: no other future can change until the end of the block.
    """
    return lock


class ResponseFuture(CallRecord):
    """The future result of one call. Made by executors; picklable.

    ``ready`` and ``done``: the call has ended, whichever way. ``success``: without an error.
    ``error``: it failed, was cancelled or was lost.
    """

    State = State

    __slots__ = ()

    def __repr__(self) -> str:
        from lithops.display import describe_future

        return describe_future(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from lithops.display import future_html

        return future_html(self)

    # ---- how it stands ------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """One of the names in `State`."""
        return self._state

    @property
    def new(self) -> bool:
        """Nothing has happened to the call yet."""
        return self._state == State.New

    @property
    def invoked(self) -> bool:
        """The call was handed to a host."""
        return self._state == State.Invoked

    @property
    def running(self) -> bool:
        """The function is running."""
        return self._state == State.Running

    @property
    def ready(self) -> bool:
        """The call has ended."""
        return self._form != NOTHING

    @property
    def done(self) -> bool:
        """The call has ended."""
        return self._form != NOTHING

    @property
    def success(self) -> bool:
        """The call has ended without an error."""
        return self._form != NOTHING and not self._failed

    @property
    def error(self) -> bool:
        """The call has ended with an error."""
        return self._failed

    @property
    def cancelled(self) -> bool:
        """The call was cancelled."""
        return self._form == ERROR and isinstance(self._payload, CallCancelled)

    @property
    def futures(self) -> bool:
        """The function returned futures of further calls."""
        return self._form != NOTHING and self._follow() is not None

    @property
    def stats(self) -> dict[str, Any]:
        """The numbers of the call under their Lithops names; times are seconds since the epoch."""
        from lithops.job.stats import call_stats

        return call_stats(self)

    @property
    def logs(self) -> str:
        """What the call printed, its children and C libraries included: the last megabyte of it.

        It is there when the call has ended. Standard output and standard error are one text.
        """
        return "" if self._printed is None else self._printed.read()

    # ---- what the user asks for ---------------------------------------------------------------------

    def cancel(self) -> bool:
        """Withdraw or kill the call; False when it has ended already."""
        if self._form:
            return False
        if self._info.queue is not None:
            self._info.queue.withdraw(self)
        self._bound_session().cancel([self])
        return True

    def wait(self, throw_except: bool = False, timeout: Optional[float] = None) -> None:
        """Wait until the call has ended. ``timeout`` is in seconds.

        Raises:
            WaitTimeout: it has not ended in time.
            Exception: with ``throw_except``, what the call failed with.
        """
        self.status(throw_except=throw_except, timeout=timeout)

    def status(
        self,
        throw_except: bool = True,
        internal_storage: object = None,
        check_only: bool = False,
        wait_dur_sec: Optional[float] = None,
        timeout: Optional[float] = None,
    ) -> Optional[dict[str, Any]]:
        """Wait for the call, and tell how it ended: a dictionary of its ids, its numbers and ``exception``.

        With ``check_only`` None is given at once while the call has not ended. ``internal_storage``
        and ``wait_dur_sec`` are accepted for Lithops' sake and not needed.
        """
        if check_only and not self._form:
            return None
        self._await(timeout)
        self._see()
        if self._failed and throw_except:
            self._throw()
        if self._state == State.Ready:
            self._state = State.Success
        from lithops.job.stats import call_status

        return call_status(self)

    def result(
        self,
        throw_except: bool = True,
        internal_storage: object = None,
        retries: Optional[int] = None,
        wait_dur_sec: Optional[float] = None,
        timeout: Optional[float] = None,
    ) -> Any:
        """Wait for the call and give what its function returned: the same object each time.

        Futures that the function returned are given as a `FuturesList`. ``internal_storage``,
        ``retries`` and ``wait_dur_sec`` are accepted for Lithops' sake and not needed.

        Raises:
            WaitTimeout: it has not ended within ``timeout`` seconds.
            Exception: what the function raised, or a `CallError` or `HostError`; without
                ``throw_except`` the result of a failed call is None.
        """
        self._await(timeout)
        self._decode()
        self._see()
        if self._failed:
            return self._throw() if throw_except else None
        children = self._follow()
        if children is not None:
            self._state = State.Futures
            return children
        self._state = State.Done
        if self._read_at is None:
            self._read_at = self._info.clock()
        return self._payload

    def _throw(self) -> None:
        self._read = True
        raise self._failure().with_traceback(None)

    def _await(self, timeout: Optional[float]) -> None:
        if self._form:
            return
        self._bound_session()
        waiter = Waiter()
        waiter.watch([self])
        try:
            waiter.wait(1, timeout)
        except KeyboardInterrupt:
            self._cancel_job()
            raise
        finally:
            waiter.leave([self])
        if not self._form:
            raise WaitTimeout(f"call {self.activation_id} has not ended within {timeout} s; it goes on")

    def _cancel_job(self) -> None:
        """The program is interrupted: were only this call ended, the next one of its job would begin."""
        from lithops.wait import cancel

        owner = owners.get(self.executor_id)
        cancel([self, *(owner.job_futures(self.job_id) if owner is not None else ())])

    # ---- futures that the function returned ---------------------------------------------------------

    def _follow(self) -> Optional[FuturesList]:
        """The futures that the function returned, collected from the host where it ran; else None."""
        if self._children is not ...:
            return self._children
        self._decode()
        if self._failed:
            return None
        value = self._payload
        children = _as_children(value)
        session = self._info.session
        orphans: list[ResponseFuture] = []
        with lock:
            if self._children is not ...:
                return self._children
            if children is not None and session is not None:
                orphans = [child for child in children if child._info.session is None and not child._form]
                for child in orphans:
                    child._bind(session)
            self._children = children
        if orphans and session is not None:
            session.adopt(orphans, self._host)
        return children

    def _bind(self, session: Session) -> None:
        self._info.session = session

    def _bound_session(self) -> Session:
        session = self._info.session
        if session is None:
            session = self._session_of_original()
        return session

    def _session_of_original(self) -> Session:
        """The session that collects the result of a future that came by pickle from another process."""
        from lithops.attachment import original_of

        try:
            original = original_of(self)
        except JobUnknown as exc:
            raise JobUnknown(
                f"call {self.activation_id} has not ended, and its executor is not in this process: its "
                f"result can't be collected here ({exc})"
            ) from None
        self._mirror(original)
        return original._bound_session()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._info.queue is not None and not self._form:
            self._info.queue.about_to_leave(self)
        with lock:
            end = None
            if self._form:
                ended = BODY if self._form == READING else self._form
                end = (
                    ended, self._payload, self._host, self._stats, self._children, self._ended_at,
                    self._printed,
                )  # fmt: skip
            progress = (self._state, self._submitted_at, self._produce_output, self._read)
        return _restore, (self._info, self._number, progress, end)


def _restore(
    info: JobInfo, number: int, progress: tuple[Any, ...], end: Optional[tuple[Any, ...]]
) -> ResponseFuture:
    owner = owners.get(info.executor_id)
    original = None if owner is None else owner.find_future(info.job_id, number)
    if original is not None:
        return original
    future = ResponseFuture(info, number)
    future._state, future._submitted_at, future._produce_output, future._read = progress
    if end is not None:
        future._form, future._payload, future._host, future._stats, future._children = end[:5]
        future._ended_at, future._printed = end[5:]
    return future


def _as_children(value: Any) -> Optional[FuturesList]:
    if type(value) is ResponseFuture:
        children = FuturesList([value])
        children._is_one = True
        return children
    # The test for type comes first: a user's object is not asked for its truth or length.
    if type(value) is FuturesList or (type(value) is list and value and type(value[0]) is ResponseFuture):
        return FuturesList(value)
    return None


def value_of(future: ResponseFuture) -> Any:
    """What a call, all of which has ended, gave: of futures that its function returned, their values.

    Raises:
        Exception: what it, or one of those, failed with.
    """
    children = future._follow()
    if children is None:
        return future.result()
    values = [value_of(child) for child in children]
    return values[0] if children._is_one else values


def leaves(futures: Iterable[ResponseFuture]) -> Iterator[ResponseFuture]:
    """The futures that give values: those that functions returned stand in place of their calls."""
    for future in futures:
        children = future._follow() if future._form else None
        if children is None:
            yield future
        else:
            yield from leaves(children)
