"""The records: one file for several processes."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops.state.records import (
    FAILURES_KEPT,
    ExecutorRecord,
    FailureRecord,
    HostRecord,
    JobRecord,
    ProgressRecord,
    Records,
)

DAY = 24 * 3600.0


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(tmp_path / "state")
    yield made
    made.close()


def executor(executor_id: str = "x-0", created_at: float = 1.0) -> ExecutorRecord:
    return ExecutorRecord(
        executor_id=executor_id,
        backend="vm",
        config={"vm": {"ip_address": "h"}},
        pid=7,
        created_at=created_at,
    )


def job(key: str = "x-0-M000", created_at: float = 1.0) -> JobRecord:
    executor_id, _, job_id = key.rpartition("-")
    return JobRecord(
        job_key=key, executor_id=executor_id, job_id=job_id, function_name="f", total_calls=3,
        created_at=created_at,
    )  # fmt: skip


def host(name: str = "h", agent: str = "a1", deadline_at: float | None = 50.0) -> HostRecord:
    return HostRecord(
        backend="vm", host=name, executor_id="x-0", agent_id=agent, seen_at=10.0, deadline_at=deadline_at
    )


def test_only_the_user_reads_them(records: Records, tmp_path: Path) -> None:
    records.executor_opened(executor())
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    for path in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_what_is_written_is_read_by_another_connection(records: Records, tmp_path: Path) -> None:
    records.executor_opened(executor())
    records.job_submitted(job())
    records.job_submitted(job())
    other = Records(tmp_path / "state")
    assert other.executor("x-0") == executor()
    assert other.jobs() == other.jobs_of("x-0") == [job()]
    other.job_ended("x-0-M000", 5.0)
    other.jobs_released(["x-0-M000"], 6.0)
    other.executor_closed("x-0", 8, 6.5)  # Another process, which had only looked on.
    other.executor_closed("x-0", 7, 7.0)
    other.close()
    found = records.job("x-0-M000")
    assert found is not None
    assert (found.ended_at, found.released_at) == (5.0, 6.0)
    closed = records.executor("x-0")
    assert closed is not None
    assert closed.closed_at == 7.0


def failure(number: int, message: str = "no", key: str = "x-0-M000") -> FailureRecord:
    return FailureRecord(job_key=key, number=number, host="h", error="ValueError", message=message)


def test_failures_are_kept_by_number_and_bounded(records: Records) -> None:
    records.calls_failed([failure(2), failure(0)])
    records.calls_failed([failure(2, "again")])
    assert records.failures_of("x-0-M000") == [failure(0), failure(2, "again")]
    records.calls_failed(failure(number) for number in range(FAILURES_KEPT + 50))
    records.calls_failed([failure(1, key="other")])
    kept = records.failures_of("x-0-M000")
    assert [each.number for each in kept] == list(range(FAILURES_KEPT))
    assert kept[2].message == "no"
    assert records.failures_of("other") == [failure(1, key="other")]


def test_progress_is_what_was_noted_last(records: Records) -> None:
    for done in (1, 2):
        records.progressed(ProgressRecord(job_key="x-0-M000", done=done, failed=1, at=9.0))
    assert records.progress() == {"x-0-M000": ProgressRecord(job_key="x-0-M000", done=2, failed=1, at=9.0)}


def test_failures_and_progress_go_with_their_job(records: Records) -> None:
    for key, created_at in (("x-0-M000", 0.0), ("x-0-M001", 39 * DAY)):
        records.job_submitted(job(key, created_at=created_at))
        records.calls_failed([failure(0, key=key)])
        records.progressed(ProgressRecord(job_key=key, done=1, failed=1, at=9.0))
    records.forget_old(40 * DAY)
    assert records.failures_of("x-0-M000") == []
    assert records.failures_of("x-0-M001") == [failure(0, key="x-0-M001")]
    assert set(records.progress()) == {"x-0-M001"}


def test_what_is_not_there(records: Records) -> None:
    assert records.executor("none") is None
    assert records.job("none") is None
    assert records.agents_of("none") == {}


@pytest.mark.parametrize(("now", "due"), [(59.9, False), (60.0, True), (1000.0, True)])
def test_a_host_is_overdue_a_grace_after_its_deadline(records: Records, now: float, due: bool) -> None:
    records.host_used(host())
    records.host_used(host("never", deadline_at=None))
    assert [found.host for found in records.overdue(now, grace=10.0)] == (["h"] if due else [])
    records.host_ended("vm", "h", now)
    assert records.overdue(now, grace=10.0) == []


def test_a_host_that_is_used_again_has_not_ended(records: Records) -> None:
    records.host_used(host())
    records.host_ended("vm", "h", 20.0)
    records.host_used(host(agent="a2", deadline_at=90.0))
    (found,) = records.hosts()
    assert (found.agent_id, found.deadline_at, found.ended_at) == ("a2", 90.0, None)
    assert records.agents_of("x-0") == {"h": "a2"}


def test_released_jobs_and_their_executors_are_forgotten_after_a_month(records: Records) -> None:
    for name in ("old-0", "new-0", "kept-0"):
        created_at = 20 * DAY if name == "kept-0" else 0.0
        records.executor_opened(executor(name, created_at=created_at))
        records.job_submitted(job(f"{name}-M000", created_at=created_at))
    records.jobs_released(["old-0-M000"], 1 * DAY)
    records.jobs_released(["new-0-M000"], 30 * DAY)
    assert records.forget_old(40 * DAY) == ["old-0"]
    assert records.executor("old-0") is None
    assert {found.job_key for found in records.jobs()} == {"new-0-M000", "kept-0-M000"}
