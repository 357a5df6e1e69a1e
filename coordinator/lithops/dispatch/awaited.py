"""The calls of a session that have no result, with their futures and data, and what becomes of them then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Optional

from lithops.dispatch.jobs import JobState
from lithops.dispatch.outcomes import failure_of
from lithops.errors import CallCancelled
from lithops.future import batch
from lithops.job.model import Job, Outcome
from lithops.printing import Printer
from lithops.state.keepsakes import Call
from lithops.state.ledger import Ledger, NoLedger
from lithops_agent.protocol import Part

if TYPE_CHECKING:
    from lithops.future import ResponseFuture


class Awaited:
    """Calls from when they are submitted until their futures are told how they ended.

    A call ends in two steps. `end` takes it off the list, under the session's lock, so that its first result
    counts; `tell` goes to the disk and to the program, which may do anything then, so it needs no lock.

    Args:
        ledger: is told how calls ended, and keeps the data of those that failed.
        printer: forgets jobs that have ended.
    """

    def __init__(self, ledger: Ledger | NoLedger, printer: Optional[Printer] = None) -> None:
        self._ledger = ledger
        self._printer = printer
        self._jobs: dict[str, JobState] = {}
        self._leaving: dict[tuple[str, int], tuple[Job, Optional[bytes]]] = {}
        """The data of calls that have ended, until that is told."""

    # -- under the session's lock --

    def add(self, key: str, job: Job, calls: Iterable[tuple[ResponseFuture, bytes]]) -> None:
        """Calls of a job, at least one, wait for their results: each a future and its data."""
        state = self._jobs.get(key)
        if state is None:
            state = self._jobs[key] = JobState(job, key, {}, {})
        for future, payload in calls:
            state.futures[future._number] = future
            state.payloads[future._number] = payload

    def job(self, key: str) -> Optional[JobState]:
        """A job, while it has calls without a result."""
        return self._jobs.get(key)

    def jobs(self) -> Mapping[str, JobState]:
        """The jobs by key, as they are now."""
        return dict(self._jobs)

    def futures(self, calls: Iterable[tuple[str, int]]) -> list[ResponseFuture]:
        """The futures of those of these calls, by job and number, that have no result."""
        return [
            future
            for key, number in calls
            if (state := self._jobs.get(key)) and (future := state.futures.get(number))
        ]

    def printed(self, parts: Iterable[Part]) -> list[Part]:
        """Keep what calls have printed until their results come; the parts of calls that have none yet."""
        mine = [part for part in parts if self.has(part.job, part.number)]
        for part, output in zip(mine, self._ledger.printed(mine)):
            self._jobs[part.job].printed[part.number] = output
        return mine

    def end(self, key: str, number: int) -> ResponseFuture:
        """A call has a result; its future, which is to be told. KeyError when it had one already."""
        state = self._jobs[key]
        future = state.futures.pop(number)
        self._leaving[key, number] = state.job, state.payloads.pop(number, None)
        if not state.futures:
            del self._jobs[key]
            if self._printer is not None:
                self._printer.forget(key)
            self._ledger.ended(key)
        return future

    # -- without it --

    def has(self, key: str, number: int) -> bool:
        """Whether a call has no result yet."""
        # The printer asks while it holds its own lock, and is told of jobs under the session's.
        state = self._jobs.get(key)
        return state is not None and number in state.futures

    def tell(self, ended: Sequence[tuple[ResponseFuture, Outcome]]) -> None:
        """Tell futures how their calls ended."""
        # Noted before the program is told: it may end then.
        failures = [
            failure_of(future.job_key, future._number, outcome) for future, outcome in ended if not outcome.ok
        ]
        self._ledger.outcomes(Counter(future.job_key for future, _ in ended), failures)
        self._keep_failed(ended)
        with batch():
            for future, outcome in ended:
                future._on_outcome(outcome)

    def _keep_failed(self, ended: Sequence[tuple[ResponseFuture, Outcome]]) -> None:
        """Keep what calls that failed need to run again, unless somebody wanted their end."""
        calls = []
        for future, outcome in ended:
            job, data = self._leaving.pop((future.job_key, future._number), (None, None))
            if not outcome.ok and job and data is not None and not isinstance(outcome.error, CallCancelled):
                calls.append(Call(job, future._info, future._number, data))
        if calls:
            self._ledger.failed(calls)
