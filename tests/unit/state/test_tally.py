"""When it is noted how far a job is."""

from __future__ import annotations

from lithops.state.records import FailureRecord, ProgressRecord
from lithops.state.tally import NOTED_EVERY, Tally


def failure(key: str = "j", number: int = 0) -> FailureRecord:
    return FailureRecord(job_key=key, number=number, host="h", error="E", message="")


def noted(done: int, failed: int, at: float, key: str = "j") -> ProgressRecord:
    return ProgressRecord(job_key=key, done=done, failed=failed, at=at)


def test_successes_are_noted_once_a_second() -> None:
    tally = Tally()
    assert tally.count({"j": 1}, [], 10.0) == []
    assert tally.count({"j": 3}, [], 10.0 + NOTED_EVERY - 0.01) == []
    assert tally.count({"j": 1}, [], 10.0 + NOTED_EVERY) == [noted(5, 0, 10.0 + NOTED_EVERY)]
    assert tally.count({"j": 1}, [], 10.5 + NOTED_EVERY) == []


def test_failures_are_noted_at_once_with_all_that_came_before() -> None:
    tally = Tally()
    tally.count({"j": 4}, [], 10.0)
    assert tally.count({"j": 2, "k": 1}, [failure()], 10.1) == [noted(6, 1, 10.1)]
    assert tally.count({"j": 1}, [], 10.2) == []


def test_a_job_that_is_over_is_forgotten() -> None:
    tally = Tally()
    tally.count({"j": 4}, [failure()], 10.0)
    tally.forget(["j", "unheard of"])
    assert tally.count({"j": 1}, [failure()], 11.0) == [noted(1, 1, 11.0)]
