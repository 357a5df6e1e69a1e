"""From what an agent reports to what a future is told."""

from __future__ import annotations

import pickle
from array import array
from typing import TYPE_CHECKING, Optional

from lithops.errors import (
    CallCancelled,
    CallTimeout,
    HardDismantleTimeout,
    HostDiskFull,
    LithopsError,
    RemoteTraceback,
    ResultError,
    WorkerDied,
)
from lithops.job.model import Outcome
from lithops.job.printed import Output
from lithops.state.records import FailureRecord
from lithops_agent.protocol import ResultRecord, Status

if TYPE_CHECKING:
    from lithops.future import ResponseFuture

_LONGEST = 500
"""Characters of a message that are noted down."""


def outcome_of(
    record: ResultRecord,
    body: bytes,
    host: str,
    function_name: str,
    timeout: Optional[float],
    printed: Optional[Output] = None,
) -> Outcome:
    """The outcome that a result record stands for; ``body`` is its body, however it came."""
    stats = array("d", record.stats)
    if record.status == Status.SUCCESS:
        return Outcome(ok=True, host=host, body=body, stats=stats, printed=printed)
    if record.status == Status.EXCEPTION:
        return Outcome(ok=False, host=host, body=body, stats=stats, printed=printed)
    error = _error(record, body, host, function_name, timeout)
    return Outcome(ok=False, host=host, error=error, stats=stats, printed=printed)


def cancelled(future: ResponseFuture, host: Optional[str], how: str) -> Outcome:
    """The outcome of a call that was ended from this side, on a host or before it was on any."""
    who = {"host": host or "", "job_id": future.job_key, "call_id": future.call_id}
    error = CallCancelled(f"{future.function_name}() {how}", **who)
    return Outcome(ok=False, host=host or "", error=error)


def failure_of(job_key: str, number: int, outcome: Outcome) -> FailureRecord:
    """What is noted down of a call that failed: as much as the last line of a traceback says."""
    if outcome.error is not None:
        error, message = (
            type(outcome.error).__name__,
            str(outcome.error.args[0] if outcome.error.args else ""),
        )
    else:
        error, message = _account_of(outcome.body)
    first = message.strip().partition("\n")[0]
    return FailureRecord(
        job_key=job_key, number=number, host=outcome.host, error=error, message=first[:_LONGEST]
    )


def _account_of(body: bytes) -> tuple[str, str]:
    try:
        account = pickle.loads(body)
        return str(account["type"]).removeprefix("builtins."), str(account["message"])
    except Exception as exc:  # noqa: BLE001 - the body may be anything
        return "ResultError", f"the account of its exception can't be read: {exc}"


def _error(record: ResultRecord, body: bytes, host: str, name: str, timeout: Optional[float]) -> LithopsError:
    who = {"host": host, "job_id": record.job, "call_id": f"{record.number:05d}"}
    if record.status == Status.BAD_RESULT:
        return _result_error(body, name, who)
    text = body.decode("utf-8", "replace")
    if record.status == Status.TIMED_OUT:
        return CallTimeout(
            f"{name}() ran longer than its time-out of {timeout or 0:g} s and was killed; "
            "give it more with timeout= or lithops.execution_timeout",
            **who,
        )
    if record.status == Status.CANCELLED:
        return CallCancelled(f"{name}() was cancelled", **who)
    if record.status == Status.HARD_DISMANTLE:
        why = text or "a job reached standalone.hard_dismantle_timeout"
        return HardDismantleTimeout(
            f"{name}() was ended with its host: {why}; "
            "give jobs more time with it, or set standalone.auto_dismantle to false",
            **who,
        )
    if record.status == Status.OUT_OF_MEMORY:
        return WorkerDied(
            f"the worker of {name}() was killed by the kernel because the host ran out of memory; "
            "use less memory in a call, or fewer calls at a time with worker_processes",
            **who,
        )
    if record.status == Status.NO_SPACE:
        message = f"the disk is full: no room for the {text} that {name}() returned; free some space"
        return HostDiskFull(message, host=host, phase="collect")
    return WorkerDied(f"the worker of {name}() died: {text}", **who)


def _result_error(body: bytes, name: str, who: dict[str, str]) -> ResultError:
    try:
        account = pickle.loads(body)
        what, traceback = f"{account['type']}: {account['message']}", account["traceback"]
    except Exception as exc:  # noqa: BLE001 - unpickling may raise anything, and the call must end
        return ResultError(f"what {name}() returned can't be sent back, nor why ({exc})", **who)
    error = ResultError(f"what {name}() returned can't be sent back: {what}", **who)
    error.__cause__ = RemoteTraceback(traceback)
    return error
