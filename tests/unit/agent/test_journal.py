"""The journal: what is recorded once, what goes with what, and what is there after the agent was killed."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lithops_agent.journal import CallData, Journal, UnknownJob
from lithops_agent.protocol import RESULT, Status
from tests.unit.agent.journals import (
    LIMIT,
    ended,
    ended_large,
    files,
    job,
    large,
    numbers,
    results,
    rows,
    small,
    tidy,
)
from tests.unit.agent.messages import SPEC


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    opened = Journal(folder)
    yield opened
    opened.close()


# ---- recorded once ----------------------------------------------------------------------------------


def test_a_job_is_recorded_once(journal: Journal) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0)])
    journal.add_job(job(total=99))
    assert journal.spec("a") == job()
    assert journal.unfinished() == [(job(), [0])]


def test_calls_that_are_sent_twice_are_recorded_once(journal: Journal) -> None:
    journal.add_job(job())
    assert journal.add_calls("a", [small(0), small(1)]) == [0, 1]
    assert journal.add_calls("a", [small(1, b"other"), small(2)]) == [2]
    assert journal.add_calls("a", [small(3), small(3, b"other")]) == [3]
    assert journal.load_calls("a", [3, 1]) == [small(3), small(1)]


def test_calls_that_have_a_result_are_not_run_again(journal: Journal) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0), small(1)])
    journal.record([ended(0)])
    assert journal.add_calls("a", [small(0), small(1)]) == []
    assert journal.unfinished() == [(job(), [1])]


def test_the_first_result_counts(journal: Journal) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0), small(1)])
    journal.record([ended(0, b"first")])
    journal.record([ended(0, b"second"), ended(1, b"one"), ended(1, b"two")])
    assert [record.body for record in results(journal)] == [b"first", b"one"]


def test_a_result_of_an_unknown_call_or_job_is_dropped(journal: Journal) -> None:
    journal.add_job(job())
    journal.record([ended(5), ended(0, name="never heard of")])
    assert results(journal) == []


def test_a_second_copy_of_large_data_is_deleted(journal: Journal, folder: Path) -> None:
    journal.add_job(job())
    assert journal.add_calls("a", [large(journal, "a", 0, "-first")]) == [0]
    assert journal.add_calls("a", [large(journal, "a", 0, "-second")]) == []
    assert journal.add_calls("a", [large(journal, "a", 1, "-x"), large(journal, "a", 1, "-y")]) == [1]
    assert files(folder) == ["data-0-first", "data-1-x"]


@pytest.mark.parametrize(
    "use",
    [
        lambda journal: journal.add_calls("b", [small(0)]),
        lambda journal: journal.load_calls("b", [0]),
        lambda journal: journal.forget_calls("b", [0]),
        lambda journal: journal.job_folder("b"),
    ],
)
def test_an_unknown_job_is_named(journal: Journal, use: Callable[[Journal], object]) -> None:
    journal.add_job(job())
    with pytest.raises(UnknownJob, match="unknown job b"):
        use(journal)
    assert journal.add_calls("a", [small(0)]) == [0]


# ---- results ----------------------------------------------------------------------------------------


def test_results_come_in_order_of_their_end_with_all_that_belongs_to_them(journal: Journal) -> None:
    journal.add_job(job("a"))
    journal.add_job(job("b"))
    journal.add_calls("a", [small(0), small(1)])
    journal.add_calls("b", [small(7)])
    journal.record([ended(1, b"late"), ended(7, b"", "b", Status.TIMED_OUT)])
    journal.record([ended(0, b"x" * 100)])
    assert [(r.seq, r.job, r.number, r.status, r.body) for r in results(journal)] == [
        (1, "a", 1, Status.SUCCESS, b"late"),
        (2, "b", 7, Status.TIMED_OUT, b""),
        (3, "a", 0, Status.SUCCESS, b"x" * 100),
    ]
    assert [record.number for record in results(journal, after=2)] == [0]
    assert results(journal, after=3) == []


def test_a_session_sees_its_own_results_only(journal: Journal) -> None:
    for name, session in (("a", "s"), ("b", "t")):
        journal.add_job(job(name, session))
        journal.add_calls(name, [small(0)])
        journal.record([ended(0, name.encode(), name)])
    assert [record.body for record in results(journal, "s")] == [b"a"]
    assert [record.body for record in results(journal, "t")] == [b"b"]
    journal.release(["a"])
    assert [record.body for record in results(journal, "t")] == [b"b"]


def test_pages_end_near_their_limit_and_lose_nothing(journal: Journal) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(number) for number in range(50)])
    journal.record([ended(number, bytes(1000)) for number in range(50)])
    seen: list[int] = []
    cursor = pages = 0
    while page := results(journal, after=cursor, limit=5000):
        assert 1 <= len(page) <= 5
        seen += [record.number for record in page]
        cursor, pages = page[-1].seq, pages + 1
    assert seen == list(range(50))
    assert pages >= 10


def test_a_large_result_is_named_and_fetched_apart(journal: Journal) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0), small(1)])
    large_one = ended_large(journal, 0)
    journal.record([large_one, ended(1)])
    first, second = results(journal)
    assert (first.size, first.body) == (12, None)
    assert second.body == b"result"
    assert journal.result_file(first.seq) == (large_one.file, 12)
    assert journal.result_file(second.seq) is None
    assert journal.result_file(99) is None


# ---- what is deleted --------------------------------------------------------------------------------


def test_the_data_of_a_call_is_deleted_when_it_has_ended(journal: Journal, folder: Path) -> None:
    journal.add_job(job())
    journal.add_calls("a", [large(journal, "a", 0), large(journal, "a", 1)])
    journal.record([ended(0)])
    assert files(folder) == ["data-1"]
    assert journal.load_calls("a", [0, 1]) == [CallData(1, None, str(journal.job_folder("a") / "data-1"))]


def test_what_is_here_of_a_job(journal: Journal) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0), small(1), small(5)])
    journal.record([ended(1)])
    assert journal.numbers_of("a") == [0, 1, 5]
    assert journal.numbers_of("b") == []


def test_jobs_of_functions_go_with_the_last_job_from_outside(journal: Journal) -> None:
    for name, depth in (("a", 0), ("b", 0), ("ended", 1), ("running", 2)):
        journal.add_job(job(name, depth=depth))
        journal.add_calls(name, [small(0)])
    journal.record([ended(0, name="ended")])
    journal.release(["a"])
    assert {spec.job for spec in journal.specs()} == {"b", "ended", "running"}
    journal.release(["b"])
    assert {spec.job for spec in journal.specs()} == {"running"}


def test_sequence_numbers_are_never_used_again(folder: Path) -> None:
    journal = Journal(folder)
    journal.add_job(job())
    journal.add_calls("a", [small(0), small(1)])
    journal.record([ended(0)])
    journal.release(["a"])
    journal.close()
    journal = Journal(folder)
    journal.add_job(job())
    journal.add_calls("a", [small(1)])
    journal.record([ended(1)])
    assert [record.seq for record in results(journal)] == [2]
    journal.close()


def test_calls_that_were_given_away_are_forgotten(journal: Journal, folder: Path) -> None:
    journal.add_job(job())
    journal.add_calls("a", [large(journal, "a", 0), small(1)])
    journal.forget_calls("a", [0, 5])
    assert files(folder) == []
    assert journal.unfinished() == [(job(), [1])]
    journal.record([ended(0)])
    assert results(journal) == []
    assert journal.add_calls("a", [small(0)]) == [0], "it may come back"


def test_a_released_job_leaves_nothing(journal: Journal, folder: Path) -> None:
    for name in ("a", "b"):
        journal.add_job(job(name))
        journal.add_calls(name, [large(journal, name, 0), small(1)])
        journal.record([ended_large(journal, 1, name)])
    journal.release(["a", "never heard of"])
    assert journal.spec("a") is None
    assert [record.job for record in results(journal)] == ["b"]
    assert journal.unfinished() == [(job("b"), [0])]
    tidy(journal)
    assert len(list((folder / "jobs").iterdir())) == 1
    journal.release(["a", "b"])
    tidy(journal)
    assert list((folder / "jobs").iterdir()) == []
    assert rows(journal) == 0


def test_a_name_can_be_used_again_after_its_release(journal: Journal) -> None:
    journal.add_job(job())
    journal.add_calls("a", [large(journal, "a", 0)])
    old = journal.job_folder("a")
    journal.release(["a"])
    journal.add_job(job())
    assert journal.job_folder("a") != old
    assert journal.add_calls("a", [small(0)]) == [0]


def test_blobs_go_when_they_are_old_and_nobody_needs_them(journal: Journal) -> None:
    journal.add_job(job())
    for name in (SPEC.function, "ef" * 32, "12" * 32):
        journal.blob_path(name).write_bytes(b"blob")
    for name in (str(SPEC.modules), "34" * 32):
        journal.modules_path(name).mkdir()
        (journal.modules_path(name) / "module.py").write_text("")
        os.utime(journal.modules_path(name), (1000, 1000))
    for name in (SPEC.function, "ef" * 32):
        os.utime(journal.blob_path(name), (1000, 1000))
    journal.drop_blobs(older_than=2000)
    left = {path.name for path in journal.blob_path("x").parent.iterdir()}
    assert left == {SPEC.function, "12" * 32}
    assert {path.name for path in journal.modules_path("x").parent.iterdir()} == {SPEC.modules}


def test_a_blob_that_gets_its_name_meanwhile_does_not_disturb(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blob under its temporary name is renamed between the listing of the folder and the look at it."""
    listed = journal.blob_path("temporary")
    monkeypatch.setattr(Path, "iterdir", lambda self: iter([listed]))
    journal.drop_blobs(older_than=2000)


# ---- disk full --------------------------------------------------------------------------------------


def fill(journal: Journal) -> None:
    """Let the file of the journal grow no more."""
    journal._db.execute("PRAGMA max_page_count=1")


def make_room(journal: Journal) -> None:
    journal._db.execute("PRAGMA max_page_count=1000000")


BIG = [small(number, bytes(60_000)) for number in range(5, 15)]


@pytest.mark.parametrize(
    "write",
    [
        lambda journal: journal.add_calls("a", BIG),
        lambda journal: journal.add_job(job("b", function_name="f" * 50_000)),
        lambda journal: journal.keep_fact("name", "v" * 50_000),
        lambda journal: journal.record([ended(0, bytes(60_000)), ended(1, bytes(60_000))]),
    ],
)
def test_a_full_disk_changes_nothing_and_is_told_as_such(
    journal: Journal, folder: Path, write: Callable[[Journal], object]
) -> None:
    journal.add_job(job())
    journal.add_calls("a", [large(journal, "a", 0), small(1)])
    fill(journal)
    with pytest.raises(OSError, match="No space left") as failure:
        write(journal)
    assert failure.value.errno == errno.ENOSPC
    assert journal.unfinished() == [(job(), [0, 1])]
    assert files(folder) == ["data-0"], "data that is needed was deleted"
    assert results(journal) == []
    assert journal.spec("b") is None
    make_room(journal)
    write(journal)


# ---- reopened ---------------------------------------------------------------------------------------


def test_everything_is_there_after_a_restart(folder: Path) -> None:
    journal = Journal(folder)
    journal.add_job(job("a"))
    journal.add_job(job("b", "t"))
    journal.add_calls("a", [small(0), large(journal, "a", 1), small(2)])
    journal.record([ended(2), ended_large(journal, 0)])
    journal.keep_fact("agent_id", "first")
    journal.keep_fact("agent_id", "second")
    before = results(journal)
    journal.close()
    journal = Journal(folder)
    assert journal.spec("a") == job("a")
    assert journal.spec("b") == job("b", "t")
    assert journal.unfinished() == [(job("a"), [1])]
    assert results(journal) == before
    assert files(folder) == ["data-1", "result-0"]
    assert journal.fact("agent_id") == "second"
    assert journal.fact("other") is None
    journal.close()


# ---- the rest ---------------------------------------------------------------------------------------


def test_threads_do_not_disturb_each_other(journal: Journal) -> None:
    def use(name: str) -> None:
        journal.add_job(job(name))
        for number in range(0, 40, 2):
            journal.add_calls(name, [small(number), small(number + 1)])
            journal.record([ended(number, name=name)])
            journal.results("s", 0, LIMIT)
        journal.forget_calls(name, [1])

    threads = [threading.Thread(target=use, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers(journal)) == sorted(list(range(0, 40, 2)) * 4)
    assert [found for _, found in journal.unfinished()] == [list(range(3, 40, 2))] * 4


def test_a_record_is_as_long_as_the_wire_wants_it(journal: Journal) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0)])
    journal.record([ended(0)])
    assert [len(record) for record in journal.results("s", 0, LIMIT).records] == [RESULT.size]
