"""What a future knows of its call: told by the session, and unpickled when somebody asks.

The rules. The session tells, from any thread: ``_on_submitted``, ``_on_running``, ``_on_outcome``; the
first outcome counts. What a worker sent is unpickled by the thread that asks for it, once, and the
bytes are dropped. What the calls of a job share is in its `JobInfo`.
"""

from __future__ import annotations

import struct
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Optional, Union

from lithops.errors import LithopsError
from lithops.futures_list import FuturesList
from lithops.job import results
from lithops.job.info import JobInfo
from lithops.job.waiting import Watcher, decoded, lock

if TYPE_CHECKING:
    from lithops.job.model import Outcome
    from lithops.job.printed import Output

# What `_payload` holds; everything but 0 means that the call has ended.
NOTHING, BODY, READING, VALUE, FAILURE, ERROR = range(6)

_MARK = b"lithops.future"
_MARK_WITHIN = 160
"""The pickle of a future, or of a list of them, names this package's modules this early."""


class State:
    """The names of the states of a call."""

    New = "New"
    Invoked = "Invoked"
    Running = "Running"
    Ready = "Ready"
    Success = "Success"
    Futures = "Futures"
    Error = "Error"
    Done = "Done"
    Unknown = "Unknown"


class CallRecord:
    """The state of one call, in some 350 bytes besides its result: statistics stay packed."""

    __slots__ = (
        "__weakref__",
        "_children",
        "_ended_at",
        "_form",
        "_host",
        "_info",
        "_number",
        "_original",
        "_payload",
        "_printed",
        "_produce_output",
        "_read",
        "_read_at",
        "_seen",
        "_state",
        "_stats",
        "_submitted_at",
        "_watchers",
    )

    def __init__(self, info: JobInfo, number: int) -> None:
        self._info = info
        self._number = number
        self._state = State.New
        self._form = NOTHING
        self._payload: Any = None
        self._children: Union[FuturesList, EllipsisType, None] = None  # An ellipsis: not known yet.
        self._host = ""
        self._stats = b""
        self._printed: Optional[Output] = None
        self._submitted_at: Optional[float] = None
        self._ended_at: Optional[float] = None
        self._read_at: Optional[float] = None
        self._watchers: Optional[tuple[Watcher, ...]] = None
        self._produce_output = True
        self._read = False
        self._seen = False
        self._original: Optional[CallRecord] = None  # Of this process, when this one came by pickle.

    # ---- who it is ----------------------------------------------------------------------------------

    @property
    def executor_id(self) -> str:
        """The executor that made the call."""
        return self._info.executor_id

    @property
    def job_id(self) -> str:
        """The job of the call, unique within its executor."""
        return self._info.job_id

    @property
    def job_key(self) -> str:
        """The job of the call, unique everywhere."""
        return f"{self._info.executor_id}-{self._info.job_id}"

    @property
    def call_id(self) -> str:
        """The number of the call within its job, in five digits or more."""
        return f"{self._number:05d}"

    @property
    def activation_id(self) -> str:
        """Names the call everywhere."""
        return f"{self.job_key}-{self.call_id}"

    @property
    def function_name(self) -> str:
        """The name of the function."""
        return self._info.function_name

    @property
    def runtime_name(self) -> str:
        """The runtime that was asked for."""
        return self._info.runtime_name

    @property
    def runtime_memory(self) -> Optional[int]:
        """The memory that was asked for, MB."""
        return self._info.runtime_memory

    @property
    def execution_timeout(self) -> Optional[float]:
        """After how many seconds the call is killed."""
        return self._info.execution_timeout

    @property
    def _failed(self) -> bool:
        return self._form >= FAILURE

    @property
    def _may_have_children(self) -> bool:
        return self._children is ...

    def _see(self) -> None:
        """The program has been told how the call ended; with the last one, its hosts may forget the job."""
        if self._seen:
            return
        if self._original is not None:
            self._original._see()
        info = self._info
        with lock:
            if self._seen:
                return
            self._seen = True
            info.seen += 1
            all_seen = info.seen == info.total_calls
        if all_seen and info.session is not None:
            info.session.job_seen(self.job_key)

    # ---- what it was told ---------------------------------------------------------------------------

    def _on_submitted(self, at: float) -> None:
        with lock:
            if self._submitted_at is None:
                self._submitted_at = at
            if self._state == State.New:
                self._state = State.Invoked

    def _on_running(self, at: float) -> None:
        with lock:
            if not self._form:
                self._state = State.Running

    def _on_outcome(self, outcome: Outcome) -> None:
        with lock:
            if self._form:
                return
            self._take(outcome)
            self._ended_at = self._info.clock()
            self._tell_watchers()

    def _tell_watchers(self) -> None:
        watchers, self._watchers = self._watchers, None
        if watchers is not None:
            for watcher in watchers:
                watcher.future_ended(self)  # type: ignore[arg-type]  # Always a ResponseFuture.

    def _mirror(self, original: CallRecord) -> None:
        """End as ``original`` does, which is of the same call."""
        with lock:
            if self._form or self._original is not None:
                return
            self._original = original
            if original._form:
                self._copy_end()
            else:
                original._watchers = (*(original._watchers or ()), _Mirror(self))

    def _copy_end(self) -> None:
        original = self._original
        assert original is not None
        self._form = BODY if original._form == READING else original._form
        self._payload, self._children = original._payload, original._children
        self._host, self._stats, self._state = original._host, original._stats, original._state
        self._printed = original._printed
        self._ended_at = original._ended_at
        self._tell_watchers()

    def _take(self, outcome: Outcome) -> None:
        body, numbers = outcome.body, outcome.stats
        self._host, self._printed = outcome.host, outcome.printed
        if numbers:
            self._stats = struct.pack(f"{len(numbers)}d", *numbers)
        if outcome.ok:
            self._payload, self._form, self._state = body, BODY, State.Ready
            if _MARK in body[:_MARK_WITHIN]:
                self._children = ...
        elif outcome.error is not None:
            self._payload, self._form, self._state = outcome.error, ERROR, State.Error
        else:
            self._payload, self._form, self._state = body, FAILURE, State.Error

    def _decode(self) -> None:
        """Unpickle what came, once: other threads wait until it is done."""
        if self._form in (VALUE, ERROR):
            return
        with lock:
            while self._form == READING:
                decoded.wait()
            if self._form in (VALUE, ERROR):
                return
            form, body = self._form, self._payload
            if form == BODY:  # A failed call stays known as failed while its account is read.
                self._form = READING
        new_form, payload = form, body
        try:
            new_form, payload = self._open(form, body)
        finally:
            with lock:
                if self._form not in (VALUE, ERROR):
                    self._form, self._payload = new_form, payload
                if new_form == ERROR:
                    self._state, self._children = State.Error, None
                decoded.notify_all()

    def _open(self, form: int, body: bytes) -> tuple[int, Any]:
        who = {"host": self._host, "job_id": self.job_key, "call_id": self.call_id}
        if form == FAILURE:
            return ERROR, results.load_exception(body, who)
        try:
            return VALUE, results.load_value(body, who)
        except LithopsError as error:
            return ERROR, error

    def _failure(self) -> Exception:
        self._decode()
        error: Exception = self._payload
        return error


class _Mirror:
    """A watcher that ends a future as the one that it watches."""

    def __init__(self, record: CallRecord) -> None:
        self._record = record

    def future_ended(self, future: object) -> None:
        """Called under the lock."""
        if not self._record._form:
            self._record._copy_end()
