"""What a job is: values that the API makes and the dispatcher runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Optional, Protocol

if TYPE_CHECKING:
    from lithops.future import ResponseFuture
    from lithops.job.printed import Output
    from lithops.state.spool import SpooledJob


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blob:
    """Bytes that travel once a host, under their SHA-256 (hexadecimal)."""

    sha256: str
    data: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """Calls of one function that were submitted together.

    ``function`` is the pickled callable; ``modules`` a zip archive of the local modules that it
    needs, or None. ``timeout`` is in seconds and counts for each call from its start. A call that
    fails is run again up to ``retries`` times. ``source`` is where the function was defined, as
    ``FILE:NAME``, when that is known.
    """

    job_id: str
    executor_id: str
    function_name: str
    function: Blob
    modules: Optional[Blob]
    total_calls: int
    chunksize: int = 1
    extra_env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    timeout: Optional[float] = None
    runtime_memory: Optional[int] = None
    created_at: float = 0.0
    retries: int = 0
    source: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a call ended.

    Exactly one of three: ``ok`` with the pickled result in ``body``; not ok with ``body`` (the
    worker's pickled account of an exception, see ``lithops_agent.outcome``); not ok with ``error``,
    an exception made on this side (worker died, timed out, host lost, cancelled).
    ``stats`` are the numbers named by ``lithops_agent.protocol.STATS``, in that order; ``printed`` is what
    the call printed, None: nothing.
    """

    ok: bool
    host: str
    body: bytes = dataclasses.field(default=b"", repr=False)
    error: Optional[Exception] = None
    stats: Sequence[float] = ()
    printed: Optional[Output] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Activity:
    """What goes on at the hosts of a session: how many calls run there, as far as is known, and how many of
    the ``hosts`` in use are ready. ``doing`` is what the others are doing meanwhile, in words."""

    running: int = 0
    ready: int = 0
    hosts: int = 0
    doing: str = ""


class Session(Protocol):
    """Runs the jobs of one executor on its hosts. Thread-safe; no method waits for a host, except
    ``submit`` within a worker, which may end when its function returns.

    It calls, from threads of its own and each at most once for a call, except the second:
    ``future._on_submitted(at)``, ``future._on_running(at)`` and ``future._on_outcome(outcome)``.
    """

    def submit(self, job: Job, calls: Sequence[tuple[ResponseFuture, bytes]]) -> None:
        """Run calls of a job: each a future and the pickled ``(args, kwargs)`` of its call.

        May be called several times for one job, with different calls, as their data become known.
        """

    def cancel(self, futures: Sequence[ResponseFuture]) -> None:
        """Withdraw or kill calls; each future that has no outcome yet gets ``CallCancelled``."""

    def adopt(self, futures: Sequence[ResponseFuture], host: str) -> None:
        """Collect the results of futures that a function made, on the host where it ran."""

    def attach(self, jobs: Mapping[str, SpooledJob], futures: Mapping[str, Sequence[ResponseFuture]]) -> None:
        """Go on with jobs, by key, that an earlier process submitted; ``futures`` are all of theirs."""

    def job_seen(self, job_key: str) -> None:
        """The program has been told how all calls of a job ended: hosts may forget it."""

    def activity(self) -> Activity:
        """What goes on now, for those who wait."""

    def dismantle(self) -> None:
        """End the agents (and machines, where the backend says so) of all hosts now."""

    def close(self) -> None:
        """Stop this side's threads and connections; jobs that were submitted go on."""
