"""The ledger: what an executor notes, and that it never fails a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from lithops.state.ledger import Ledger, logger, spool_path
from lithops.state.records import Records
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
