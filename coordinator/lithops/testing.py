"""Fakes of this package's parts, for tests: a session that runs calls in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from lithops.errors import CallCancelled
from lithops.future import batch
from lithops.job.model import Activity, Job, Outcome

if TYPE_CHECKING:
    from lithops.future import ResponseFuture
    from lithops.state.spool import SpooledJob

Script = Callable[[Job, int], Optional[Outcome]]
"""Gives the outcome of a call of a job by its number, or None: the function is really run."""

INLINE, THREADS, HELD = "inline", "threads", "held"


class FakeSession:
    """Runs calls in this process: as they are submitted, in threads, or when `run` is called.

    ``how`` may be changed later. What it was asked for is in ``jobs``, ``submitted``, ``cancelled``,
    ``adopted``, ``seen``, ``dismantled`` and ``closed``. What is adopted ends by ``adopted_outcome``,
    where given.
    """

    def __init__(
        self,
        how: str = INLINE,
        script: Optional[Script] = None,
        *,
        host: str = "fake",
        clock: Callable[[], float] = time.time,
        adopted_outcome: Optional[Callable[[ResponseFuture], Outcome]] = None,
    ) -> None:
        self.how = how
        self._script = script
        self._host = host
        self._clock = clock
        self._adopted_outcome = adopted_outcome
        self._waiting: list[tuple[Job, ResponseFuture, bytes]] = []
        self.jobs: list[Job] = []
        self.submitted: list[tuple[Job, ResponseFuture, bytes]] = []
        self.cancelled: list[ResponseFuture] = []
        self.adopted: list[tuple[ResponseFuture, str]] = []
        self.seen: list[str] = []
        self.dismantled = 0
        self.closed = 0

    def submit(self, job: Job, calls: Sequence[tuple[ResponseFuture, bytes]]) -> None:
        """Take calls, and run them as chosen."""
        self.jobs.append(job)
        entries = [(job, future, payload) for future, payload in calls]
        self.submitted.extend(entries)
        at = self._clock()
        for future, _ in calls:
            future._on_submitted(at)
        if self.how == HELD:
            self._waiting.extend(entries)
        elif self.how == THREADS:
            threading.Thread(target=self._run_all, args=(entries,), daemon=True).start()
        else:
            self._run_all(entries)

    def activity(self) -> Activity:
        """One host, which is always ready."""
        return Activity(running=len(self._waiting), ready=1, hosts=1)

    def run(self, count: Optional[int] = None) -> int:
        """Run so many of the held calls, or all, in the order of submission; gives their number."""
        entries = self._waiting[:count]
        self._waiting = self._waiting[len(entries) :]
        self._run_all(entries)
        return len(entries)

    def cancel(self, futures: Sequence[ResponseFuture]) -> None:
        """End these calls as cancelled."""
        self.cancelled.extend(futures)
        with batch():
            for future in futures:
                error = CallCancelled("cancelled", job_id=future.job_key, call_id=future.call_id)
                future._on_outcome(Outcome(ok=False, host=self._host, error=error))

    def adopt(self, futures: Sequence[ResponseFuture], host: str) -> None:
        """Remember these futures, and end them by ``adopted_outcome``."""
        self.adopted.extend((future, host) for future in futures)
        if self._adopted_outcome is not None:
            for future in futures:
                future._on_outcome(self._adopted_outcome(future))

    def attach(self, jobs: Mapping[str, SpooledJob], futures: Mapping[str, Sequence[ResponseFuture]]) -> None:
        """Run their calls as if they were submitted."""
        for key, spooled in jobs.items():
            mine = [future for future in futures[key] if future._number in spooled.payloads]
            self.submit(spooled.job, [(future, spooled.payloads[future._number]) for future in mine])

    def job_seen(self, job_key: str) -> None:
        """Remember."""
        self.seen.append(job_key)

    def dismantle(self) -> None:
        """Count."""
        self.dismantled += 1

    def close(self) -> None:
        """Count."""
        self.closed += 1

    def _run_all(self, entries: Sequence[tuple[Job, ResponseFuture, bytes]]) -> None:
        for job, future, payload in entries:
            if future.done:
                continue
            future._on_running(self._clock())
            outcome = self._script(job, future._number) if self._script else None
            future._on_outcome(outcome or run_call(job.function.data, payload, self._host))


def run_call(function: bytes, payload: bytes, host: str = "fake") -> Outcome:
    """Run a pickled call as a worker does, and tell how it ended."""
    import pickle

    import cloudpickle

    try:
        args, kwargs = pickle.loads(payload)
        result = pickle.loads(function)(*args, **kwargs)
        return Outcome(ok=True, host=host, body=cloudpickle.dumps(result, protocol=5))
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - a user's function was called
        return Outcome(ok=False, host=host, body=account_of(exc))


def account_of(error: BaseException) -> bytes:
    """The pickled account of an exception, as a worker sends it."""
    import pickle
    import traceback

    import cloudpickle

    try:
        pickled = cloudpickle.dumps(error, protocol=5)
        pickle.loads(pickled)
    except Exception:  # noqa: BLE001 - a user's class was pickled
        pickled = None
    account: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
        "exception": pickled,
    }
    return pickle.dumps(account, protocol=5)


def result_of(value: Any, host: str = "fake") -> Outcome:
    """The outcome of a call that returned ``value``."""
    import cloudpickle

    return Outcome(ok=True, host=host, body=cloudpickle.dumps(value, protocol=5))


def failure_of(error: BaseException, host: str = "fake") -> Outcome:
    """The outcome of a call that raised ``error``."""
    return Outcome(ok=False, host=host, body=account_of(error))
