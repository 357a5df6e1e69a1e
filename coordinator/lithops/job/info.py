"""What the futures of one job have in common, once instead of in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Protocol
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from lithops.future import ResponseFuture
    from lithops.job.model import Session


class Queue(Protocol):
    """Holds back calls whose inputs are not there yet."""

    def withdraw(self, future: ResponseFuture) -> None:
        """End a call as cancelled if it is held back."""

    def about_to_leave(self, future: ResponseFuture) -> None:
        """The future of a call is being pickled."""


class JobInfo:
    """The part of a future that is the same for all calls of its job.

    ``session`` is None for a future that came from elsewhere and was not adopted. ``created_at`` is
    in seconds since the epoch, as is what ``clock`` gives. ``stats`` are numbers of the job by their
    Lithops names. ``total_calls`` and ``seen`` tell whether the program has been told how all calls
    ended: then nobody else will ask for the results of the job.
    """

    __slots__ = (
        "clock",
        "created_at",
        "digests",
        "execution_timeout",
        "executor_id",
        "function_name",
        "job_id",
        "queue",
        "runtime_memory",
        "runtime_name",
        "seen",
        "session",
        "stats",
        "total_calls",
    )

    def __init__(
        self,
        *,
        executor_id: str,
        job_id: str,
        function_name: str,
        runtime_name: str = "",
        runtime_memory: Optional[int] = None,
        execution_timeout: Optional[float] = None,
        created_at: float = 0.0,
        total_calls: int = 0,
        stats: Optional[Mapping[str, float]] = None,
        digests: Optional[Mapping[str, str]] = None,
        session: Optional[Session] = None,
        queue: Optional[Queue] = None,
        clock: Optional[Callable[[], float]] = None,
    ) -> None:
        self.executor_id = executor_id
        self.job_id = job_id
        self.function_name = function_name
        self.runtime_name = runtime_name
        self.runtime_memory = runtime_memory
        self.execution_timeout = execution_timeout
        self.created_at = created_at
        self.total_calls = total_calls
        self.seen = 0
        self.stats = dict(stats or {})
        self.digests = dict(digests or {})
        self.session = session
        self.queue = queue
        self.clock = clock or _wall_clock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, ({name: getattr(self, name) for name in self.__slots__ if name not in _LOCAL},)


_LOCAL = ("clock", "queue", "seen", "session")
"""What belongs to one process."""


def _rebuild(fields: dict[str, Any]) -> JobInfo:
    return JobInfo(**fields)


def _wall_clock() -> Callable[[], float]:
    import time

    return time.time


class Owner(Protocol):
    """An executor, seen from the futures that it made."""

    def find_future(self, job_id: str, number: int) -> Optional[ResponseFuture]:
        """The future that this executor made under these ids, if it still knows it."""

    def job_futures(self, job_id: str) -> Sequence[ResponseFuture]:
        """The futures of all calls of a job, if this executor still knows it."""


owners: WeakValueDictionary[str, Owner] = WeakValueDictionary()
"""The executors of this process by their ids: a future that is unpickled where it was made is found."""
