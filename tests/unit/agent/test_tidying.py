"""What the journal gives back to the disk: after releases, after a crash, and after a week."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_agent import database
from lithops_agent.instants import Instant
from lithops_agent.journal import CallData, Ended, Journal
from tests.unit.agent.journals import (
    STATS_BYTES,
    ended,
    ended_large,
    files,
    job,
    large,
    results,
    rows,
    small,
    tidy,
)

MANY = 40_000
WEEK = 7 * 24 * 3600.0


class Now:
    """The moment that a journal is told."""

    def __init__(self) -> None:
        self.instant = Instant("boot", 1000.0, 1_000_000.0)

    def __call__(self) -> Instant:
        return self.instant

    def pass_by(self, seconds: float) -> None:
        self.instant = self.instant.plus(seconds)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def journal(folder: Path, now: Now) -> Iterator[Journal]:
    opened = Journal(folder, now)
    yield opened
    opened.close()


def fill(journal: Journal, name: str = "a", count: int = MANY) -> None:
    """A job with so many calls, half of which have ended."""
    journal.add_job(job(name, total=count))
    for start in range(0, count, 2000):
        numbers = range(start, min(start + 2000, count))
        journal.add_calls(name, [CallData(number, b"d" * 100, None) for number in numbers])
        journal.record([Ended(name, n, 0, STATS_BYTES, 100, b"r" * 100, None) for n in numbers if n % 2])


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("journal.db*"))


# ---- released ---------------------------------------------------------------------------------------


def test_the_files_are_as_small_as_before_once_a_large_job_was_released(
    journal: Journal, folder: Path
) -> None:
    tidy(journal)
    before = size(folder)
    fill(journal)
    assert size(folder) > 8_000_000
    journal.release(["a"])
    assert tidy(journal) < 100, "there are less than 100 chunks of rows and pages"
    assert tidy(journal) == 1, "nothing is left to do"
    spare = database._SPARE_PAGES * 4096 + database._SPARE_LOG
    assert size(folder) < before + spare + 200_000
    assert rows(journal) == 0


def test_a_released_job_is_unknown_at_once_and_deleted_in_small_steps(journal: Journal) -> None:
    fill(journal)
    began = time.perf_counter()
    journal.release(["a"])
    assert time.perf_counter() - began < 0.05
    assert journal.spec("a") is None
    assert results(journal) == []
    longest, steps, left = 0.0, 0, rows(journal)
    assert left > MANY
    while left:
        began = time.perf_counter()
        journal._tidying._delete_garbage()
        longest = max(longest, time.perf_counter() - began)
        steps += 1
        less = rows(journal)
        assert left - 2500 < less < left
        left = less
    assert steps > 20
    assert longest < 0.2


def test_others_use_the_journal_while_a_large_job_is_deleted(journal: Journal) -> None:
    fill(journal)
    journal.add_job(job("b", "t"))
    journal.release(["a"])
    waits = []
    thread = threading.Thread(target=tidy, args=(journal,))
    thread.start()
    number = 0
    while thread.is_alive():
        began = time.perf_counter()
        journal.add_calls("b", [small(number)])
        journal.record([ended(number, name="b")])
        waits.append(time.perf_counter() - began)
        number += 1
    thread.join()
    assert len(waits) > 20
    assert sorted(waits)[len(waits) // 2] < 0.05
    kept = results(journal, "t", limit=1 << 30)
    assert [record.number for record in kept] == list(range(number))


def test_what_comes_after_the_rows_of_a_released_job_is_found(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lithops_agent.results._SCAN", 100)
    fill(journal, "a", 2000)
    fill(journal, "b", 10)
    journal.release(["a"])
    assert [record.number for record in results(journal)] == [1, 3, 5, 7, 9]
    assert journal.numbers_of("b") == list(range(10))


def test_the_calls_of_a_large_job_are_told_in_order(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lithops_agent.journal._SCAN", 100)
    fill(journal, "a", 1000)
    assert journal.numbers_of("a") == list(range(1000))


def test_deletion_goes_on_after_a_restart(folder: Path) -> None:
    journal = Journal(folder)
    fill(journal)
    journal.release(["a"])
    journal.tidy()
    journal.close()
    journal = Journal(folder)
    assert rows(journal) > MANY // 2
    journal.add_job(job("a"))
    tidy(journal)
    assert rows(journal) == 2, "the new job and its session"
    journal.close()


@pytest.mark.parametrize("query", ["release", "check", "page"])
def test_no_query_looks_through_all_results(journal: Journal, query: str) -> None:
    """The plan of SQLite names an index, or the primary key."""
    statement = {
        "release": "SELECT seq FROM results WHERE job=1 LIMIT 1000",
        "check": "SELECT number FROM results WHERE job=1 AND number BETWEEN 3 AND 5",
        "page": "SELECT * FROM results WHERE session=1 AND seq>5 ORDER BY seq",
    }[query]
    plan = " ".join(row[3] for row in journal._db.execute(f"EXPLAIN QUERY PLAN {statement}"))
    assert "SEARCH" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


# ---- left over --------------------------------------------------------------------------------------


def test_files_that_no_row_names_are_deleted_at_the_start(folder: Path) -> None:
    journal = Journal(folder)
    for name in "ab":
        journal.add_job(job(name))
        journal.add_calls(name, [large(journal, name, 0), large(journal, name, 1)])
        journal.record([ended_large(journal, 0, name)])
        for left in ("data-7-copy", "result-8", "result-0-second"):
            (journal.job_folder(name) / left).write_bytes(b"left over")
    (folder / "jobs" / "77").mkdir()
    (folder / "jobs" / "77" / "data-1").touch()
    journal.blob_path("ab" * 32).touch()
    journal.blob_path(f"{'ab' * 32}.0123").touch()
    journal.modules_path("cd" * 32).mkdir()
    journal.modules_path(f"{'cd' * 32}.4567").mkdir()
    (journal.modules_path(f"{'cd' * 32}.4567") / "half.py").touch()
    journal.log_path(5).touch()
    journal.close()
    journal = Journal(folder)
    assert files(folder) == ["data-1", "data-1", "result-0", "result-0"]
    assert sorted(path.name for path in (folder / "jobs").iterdir()) == ["1", "2"]
    assert [path.name for path in (folder / "blobs").iterdir()] == ["ab" * 32]
    assert [path.name for path in (folder / "modules").iterdir()] == ["cd" * 32]
    assert list((folder / "logs").iterdir()) == []
    journal.close()


def test_a_journal_that_was_moved_keeps_its_files(folder: Path, tmp_path: Path) -> None:
    journal = Journal(folder)
    journal.add_job(job())
    journal.add_calls("a", [large(journal, "a", 0)])
    journal.close()
    moved = folder.rename(tmp_path / "moved")
    Journal(moved).close()
    assert files(moved) == ["data-0"]


def test_a_second_result_of_a_call_leaves_no_file(journal: Journal, folder: Path) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0)])
    first = ended_large(journal, 0)
    second = first._replace(file=f"{first.file}-second")
    Path(str(second.file)).write_bytes(b"large result")
    journal.record([first])
    journal.record([second, first])
    assert files(folder) == ["result-0"]


# ---- abandoned --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "is_kept"), [(0.0, True), (WEEK - 1, True), (WEEK + 61, False), (10 * WEEK, False)]
)
def test_results_are_kept_for_a_week(journal: Journal, now: Now, age: float, is_kept: bool) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0)])
    now.pass_by(10 * WEEK)
    journal.record([ended(0)])
    now.pass_by(age)
    journal.release_abandoned()
    assert (journal.spec("a") is not None) is is_kept
    assert len(results(journal)) == is_kept


def test_a_job_with_calls_to_run_is_never_abandoned(journal: Journal, now: Now) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0), small(1)])
    journal.record([ended(0)])
    now.pass_by(100 * WEEK)
    journal.release_abandoned()
    assert journal.spec("a") is not None
    assert len(results(journal)) == 1


def test_the_week_begins_with_the_last_result(folder: Path, now: Now) -> None:
    journal = Journal(folder, now)
    journal.add_job(job())
    journal.add_calls("a", [small(0), small(1)])
    journal.record([ended(0)])
    now.pass_by(WEEK - 100)
    journal.record([ended(1)])
    journal.close()
    journal = Journal(folder, now)
    now.pass_by(WEEK - 100)
    journal.release_abandoned()
    assert journal.spec("a") is not None
    now.pass_by(200)
    journal.release_abandoned()
    assert journal.spec("a") is None
    journal.close()


def test_a_clock_that_is_set_ahead_abandons_nothing(journal: Journal, now: Now) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0)])
    journal.record([ended(0)])
    now.instant = now.instant._replace(wall=now.instant.wall + 100 * WEEK)
    journal.release_abandoned()
    assert journal.spec("a") is not None
    # After a boot, the wall clock is all there is.
    now.instant = now.instant._replace(boot_id="next")
    journal.release_abandoned()
    assert journal.spec("a") is None
