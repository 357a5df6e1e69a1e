"""The spool: what is written is read again, up to where a kill has cut it off."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lithops.job.info import JobInfo
from lithops.job.model import Blob, Job
from lithops.state import spool
from lithops.state.spool import Spool, read


def a_job(job_id: str = "M000", modules: bool = False) -> Job:
    return Job(
        job_id=job_id, executor_id="x-0", function_name="f", function=Blob(sha256="f" * 64, data=b"function"),
        modules=Blob(sha256="e" * 64, data=b"zip") if modules else None, total_calls=9,
        extra_env={"A": "b"}, timeout=5.0, retries=2, created_at=1.5,
    )  # fmt: skip


def info(job: Job) -> JobInfo:
    return JobInfo(
        executor_id=job.executor_id, job_id=job.job_id, function_name=job.function_name,
        runtime_name="python3", execution_timeout=job.timeout, created_at=1.5, stats={"size": 7},
    )  # fmt: skip


def write(path: Path, *jobs: tuple[Job, list[tuple[int, bytes]]]) -> Spool:
    made = Spool(path)
    for job, calls in jobs:
        made.write(f"{job.executor_id}-{job.job_id}", job, info(job), calls)
    return made


def test_jobs_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "spool" / "x-0"
    first, second = a_job(), a_job("M001", modules=True)
    write(path, (first, [(0, b"zero"), (2, b"")]), (second, [(0, b"x")]), (first, [(1, b"one")]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = read(path)
    assert list(found) == ["x-0-M000", "x-0-M001"]
    assert found["x-0-M000"].job == first
    assert found["x-0-M001"].job == second
    assert found["x-0-M000"].payloads == {0: b"zero", 1: b"one", 2: b""}
    again = found["x-0-M000"].info
    assert (again.runtime_name, again.execution_timeout, again.stats) == ("python3", 5.0, {"size": 7})


def test_the_function_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "x-0"
    write(path, *((a_job(f"M{number:03d}"), [(0, b"")]) for number in range(10)))
    assert path.read_bytes().count(b"function") == 1 + 2 * 10  # Also as keys of each header.


def test_no_file_is_no_jobs(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == {}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2000))
def test_whatever_is_cut_off_what_came_before_is_whole(tmp_path: Path, cut: int) -> None:
    path = tmp_path / f"x-{cut}"
    write(path, (a_job(), [(n, bytes([n]) * 40) for n in range(3)]), (a_job("M001"), [(0, b"later")]))
    whole = read(path)
    data = path.read_bytes()
    path.write_bytes(data[: max(len(data) - cut, 0)])
    for key, job in read(path).items():
        assert job.job == whole[key].job
        assert job.payloads in ({}, whole[key].payloads)
    path.unlink()


def test_many_calls_are_cut_into_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_BATCH", 10)
    path = tmp_path / "x-0"
    write(path, (a_job(), [(n, b"%d" % n) for n in range(95)]))
    assert path.read_bytes().count(b'"calls"') == 10
    assert len(read(path)["x-0-M000"].payloads) == 95


def test_it_is_emptied_when_it_is_large_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x-0"
    made = write(path, (a_job(), [(0, b"data")]))
    made.empty()
    assert read(path)["x-0-M000"].payloads
    monkeypatch.setattr(spool, "_SMALL", 10)
    made.empty()
    assert path.stat().st_size == 0
    made.write("x-0-M001", a_job("M001"), info(a_job("M001")), [(0, b"more")])
    assert read(path)["x-0-M001"].payloads == {0: b"more"}
    made.close(remove=True)
    assert not path.exists()
