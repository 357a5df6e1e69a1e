"""The ledger: what an executor notes, and that it never fails a call."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lithops.state.ledger import Ledger, logger, spool_path
from lithops.state.records import FailureRecord, Records
from lithops.state.spool import read
from tests.unit.state.test_spool import a_job, info

KEY = "x-0-M000"


def ledger(folder: Path) -> Ledger:
    return Ledger("x-0", "vm", {"vm": {}}, folder=folder, clock=lambda: 100.0)


def test_a_killed_script_leaves_its_jobs(tmp_path: Path) -> None:
    noted = ledger(tmp_path)
    noted.submitted(KEY, a_job(), info(a_job()), [(0, b"a")])
    noted.host_used("h", "agent", 30.0)
    records = Records(tmp_path)
    assert [job.job_key for job in records.jobs_of("x-0")] == [KEY]
    assert records.agents_of("x-0") == {"h": "agent"}
    assert records.overdue(131.0, grace=0.0)[0].host == "h"
    assert read(spool_path("x-0", tmp_path))[KEY].payloads == {0: b"a"}


def test_what_is_released_leaves_no_data(tmp_path: Path) -> None:
    noted = ledger(tmp_path)
    noted.submitted(KEY, a_job(), info(a_job()), [(0, b"a")])
    noted.ended(KEY)
    noted.released([KEY])
    noted.close()
    assert not spool_path("x-0", tmp_path).exists()
    record = Records(tmp_path).job(KEY)
    assert record is not None
    assert (record.ended_at, record.released_at) == (100.0, 100.0)


def test_what_is_not_released_stays_when_the_script_ends(tmp_path: Path) -> None:
    noted = ledger(tmp_path)
    noted.submitted(KEY, a_job(), info(a_job()), [(0, b"a")])
    noted.close()
    assert read(spool_path("x-0", tmp_path))[KEY].payloads == {0: b"a"}


def test_an_executor_without_calls_leaves_nothing(tmp_path: Path) -> None:
    ledger(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cant_be_written_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda text, *words: told.append(text % words))
    (tmp_path / "file").write_text("")
    noted = ledger(tmp_path / "file")
    for number in range(3):
        noted.submitted(KEY, a_job(), info(a_job()), [(number, b"a")])
    noted.ended(KEY)
    noted.released([KEY])
    noted.close()
    (message,) = told
    assert "can't be written" in message


def test_failures_and_progress_are_noted_as_they_come(tmp_path: Path) -> None:
    noted = ledger(tmp_path)
    noted.submitted(KEY, a_job(), info(a_job()), [(0, b"a"), (1, b"b")])
    failure = FailureRecord(job_key=KEY, number=1, host="h", error="ValueError", message="no")
    noted.outcomes({KEY: 2}, [failure])
    records = Records(tmp_path)
    assert records.failures_of(KEY) == [failure]
    assert (records.progress()[KEY].done, records.progress()[KEY].failed) == (2, 1)


def test_who_only_looks_on_does_not_take_the_place_of_a_program_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        monkeypatch.setattr(os, "getpid", lambda: other.pid)
        first = Ledger("x-0", "vm", {}, folder=tmp_path)
        first.submitted(KEY, a_job(), info(a_job()), [(0, b"a")])
        monkeypatch.undo()
        second = Ledger("x-0", "vm", {}, folder=tmp_path)
        second.resumed([KEY])
        assert second.agents() == {}
        second.close()
        found = Records(tmp_path).executor("x-0")
        assert found is not None
        assert (found.pid, found.closed_at) == (other.pid, None)
        other.kill()
        other.wait()
    third = Ledger("x-0", "vm", {}, folder=tmp_path)
    third.agents()
    found = Records(tmp_path).executor("x-0")
    assert found is not None
    assert found.pid == os.getpid()
