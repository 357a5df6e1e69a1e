"""From result records to outcomes."""

from __future__ import annotations

import pickle

import pytest

from lithops.dispatch.outcomes import cancelled, failure_of, outcome_of
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
from lithops.future import ResponseFuture
from lithops.job.info import JobInfo
from lithops.job.model import Outcome
from lithops.state.records import FailureRecord
from lithops_agent.protocol import STATS, ResultRecord, Status

NUMBERS = tuple(float(index) for index in range(len(STATS)))


def record(status: int, body: bytes = b"") -> ResultRecord:
    return ResultRecord(7, "e-M000", 3, status, len(body), body, NUMBERS)


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.EXCEPTION])
def test_what_the_worker_pickled_is_passed_on_unread(status: Status) -> None:
    outcome = outcome_of(record(status, b"not a pickle"), b"not a pickle", "a", "f", None)
    assert outcome.ok is (status == Status.SUCCESS)
    assert outcome.body == b"not a pickle"
    assert outcome.error is None
    assert tuple(outcome.stats) == NUMBERS
    assert outcome.host == "a"


def test_a_body_that_was_fetched_on_its_own_counts() -> None:
    assert outcome_of(record(Status.SUCCESS)._replace(body=None), b"large", "a", "f", None).body == b"large"


@pytest.mark.parametrize(
    ("status", "text", "kind", "told"),
    [
        (Status.WORKER_DIED, "exit code 3", WorkerDied, "the worker of f() died: exit code 3"),
        (Status.OUT_OF_MEMORY, "", WorkerDied, "out of memory"),
        (Status.TIMED_OUT, "", CallTimeout, "time-out of 2.5 s"),
        (Status.CANCELLED, "", CallCancelled, "f() was cancelled"),
        (Status.HARD_DISMANTLE, "", HardDismantleTimeout, "hard_dismantle_timeout"),
        (99, "unheard of", WorkerDied, "unheard of"),
    ],
)
def test_a_call_that_failed_outside_of_its_function(
    status: int, text: str, kind: type[LithopsError], told: str
) -> None:
    outcome = outcome_of(record(status), text.encode(), "a", "f", 2.5)
    error = outcome.error
    assert not outcome.ok
    assert type(error) is kind
    assert told in str(error)
    assert (error.host, error.job_id, error.call_id) == ("a", "e-M000", "00003")  # type: ignore[attr-defined]
    assert tuple(outcome.stats) == NUMBERS


def test_time_outs_are_the_built_in_one_too() -> None:
    for status in (Status.TIMED_OUT, Status.HARD_DISMANTLE):
        assert isinstance(outcome_of(record(status), b"", "a", "f", None).error, TimeoutError)


def test_a_full_disk_is_said_to_be_one() -> None:
    error = outcome_of(record(Status.NO_SPACE), b"result of 9 bytes", "a", "f", None).error
    assert isinstance(error, HostDiskFull)
    assert "result of 9 bytes" in str(error)
    assert error.host == "a"


def test_a_text_that_is_not_utf8_is_shown_as_far_as_it_is() -> None:
    assert "caf\ufffd" in str(outcome_of(record(Status.WORKER_DIED), b"caf\xe9", "a", "f", None).error)


def test_a_result_that_could_not_be_pickled_comes_with_the_traceback() -> None:
    account = {
        "type": "TypeError",
        "message": "cannot pickle",
        "traceback": "Traceback: there",
        "exception": None,
    }
    error = outcome_of(record(Status.BAD_RESULT), pickle.dumps(account), "a", "f", None).error
    assert isinstance(error, ResultError)
    assert "what f() returned can't be sent back: TypeError: cannot pickle" in str(error)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "Traceback: there" in str(error.__cause__)


@pytest.mark.parametrize("body", [b"", b"garbage", pickle.dumps({"type": "only"}), pickle.dumps(7)])
def test_an_account_that_cant_be_read_ends_the_call_all_the_same(body: bytes) -> None:
    error = outcome_of(record(Status.BAD_RESULT), body, "a", "f", None).error
    assert isinstance(error, ResultError)
    assert "can't be sent back" in str(error)


ACCOUNT = {
    "type": "builtins.ValueError",
    "message": "first\nsecond",
    "traceback": "",
    "exception": b"never read",
}


@pytest.mark.parametrize(
    ("outcome", "error", "message"),
    [
        (Outcome(ok=False, host="h", body=pickle.dumps(ACCOUNT)), "ValueError", "first"),
        (Outcome(ok=False, host="h", body=pickle.dumps({**ACCOUNT, "message": ""})), "ValueError", ""),
        (
            Outcome(ok=False, host="h", body=pickle.dumps({**ACCOUNT, "message": "x" * 900})),
            "ValueError",
            "x" * 500,
        ),
        (
            Outcome(ok=False, host="h", body=b"garbage"),
            "ResultError",
            "the account of its exception can't be read",
        ),
        (
            Outcome(ok=False, host="h", error=WorkerDied("exit 3", host="h", job_id="j")),
            "WorkerDied",
            "exit 3",
        ),
        (Outcome(ok=False, host="h", error=KeyError()), "KeyError", ""),
    ],
)
def test_what_is_noted_of_a_failure(outcome: Outcome, error: str, message: str) -> None:
    found = failure_of("j", 4, outcome)
    assert found == FailureRecord(job_key="j", number=4, host="h", error=error, message=found.message)
    assert found.message.startswith(message)
    assert len(found.message) <= 500


@pytest.mark.parametrize(("host", "told"), [("a", "a"), (None, "")])
def test_a_call_that_was_ended_from_this_side(host: str | None, told: str) -> None:
    info = JobInfo(executor_id="e", job_id="M000", function_name="f")
    outcome = cancelled(ResponseFuture(info, 3), host, "was cancelled")
    error = outcome.error
    assert isinstance(error, CallCancelled)
    assert (outcome.ok, outcome.host) == (False, told)
    assert (error.host, error.job_id, error.call_id) == (told, "e-M000", "00003")
    assert "f() was cancelled" in str(error)
