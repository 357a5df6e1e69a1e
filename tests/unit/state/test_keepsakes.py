"""What is kept of jobs that hosts have forgotten: how much, and for how long."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lithops.state import keepsakes
from lithops.state.keepsakes import Call, Keepsakes
from lithops_agent.protocol import Part
from tests.unit.state.test_spool import a_job, info

KEY = "x-0-M000"


def call(number: int, data: bytes = b"data") -> Call:
    job = a_job(modules=True)
    return Call(job, info(job), number, data)


def test_parts_of_several_jobs_come_back_in_their_order(tmp_path: Path) -> None:
    parts = [Part("j", 1, 0, b"one"), Part("k", 0, 5, b"two"), Part("j", 0, 0, b"\xff")]
    kept = Keepsakes(tmp_path)
    assert [output.read() for output in kept.keep_printed(parts)] == [
        "one", "… (5 bytes before this were not kept)\ntwo", "\ufffd",
    ]  # fmt: skip
    kept.keep_printed([Part("j", 2, 0, b"later")])
    assert kept.printed("j") == [parts[0], parts[2], Part("j", 2, 0, b"later")]
    assert kept.printed("unknown") == []
    assert stat.S_IMODE((tmp_path / "printed" / "j").stat().st_mode) == 0o600


def test_a_part_that_was_being_written_is_left_out(tmp_path: Path) -> None:
    kept = Keepsakes(tmp_path)
    kept.keep_printed([Part("j", 0, 0, b"whole")])
    with open(tmp_path / "printed" / "j", "ab") as file:
        file.write(b"\x10\x00\x00\x00half")
    assert [part.text for part in kept.printed("j")] == [b"whole"]


def test_a_file_that_is_full_gets_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepsakes, "_LARGEST", 100)
    kept = Keepsakes(tmp_path)
    kept.keep_printed([Part("j", 0, 0, b"x" * 200)])
    (last,) = kept.keep_printed([Part("j", 1, 0, b"more")])
    assert last.read() == "more"
    assert [part.number for part in kept.printed("j")] == [0]
    kept.keep_failed([call(0)])
    kept.keep_failed([call(1)])
    found = kept.failed(KEY)
    assert found is not None
    assert list(found.payloads) == [0]


def test_failed_calls_come_back_with_their_job(tmp_path: Path) -> None:
    kept = Keepsakes(tmp_path)
    kept.keep_failed([call(3, b"three")])
    kept.keep_failed([call(5, b"five")])
    # Another process that goes on with the job writes it once more.
    Keepsakes(tmp_path).keep_failed([call(7, b"seven")])
    found = kept.failed(KEY)
    assert found is not None
    assert found.job == a_job(modules=True)
    assert found.payloads == {3: b"three", 5: b"five", 7: b"seven"}
    assert kept.failed("unknown") is None


def test_of_very_many_only_the_first_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepsakes, "_CALLS", 3)
    kept = Keepsakes(tmp_path)
    kept.keep_failed([call(0), call(1)])
    kept.keep_failed([call(2), call(3)])
    kept.keep_failed([call(4)])
    found = kept.failed(KEY)
    assert found is not None
    assert list(found.payloads) == [0, 1, 2]


def test_what_is_old_or_too_much_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepsakes, "_ALL", 3000)
    kept = Keepsakes(tmp_path)
    kept.forget(0.0)
    now = 10_000_000.0
    for age, job in ((8 * 24 * 3600, "old"), (3000, "first"), (2000, "second"), (1000, "third")):
        kept.keep_printed([Part(job, 0, 0, b"x" * 1200)])
        os.utime(tmp_path / "printed" / job, (now - age, now - age))
    kept.forget(now)
    assert sorted(path.name for path in (tmp_path / "printed").iterdir()) == ["second", "third"]
