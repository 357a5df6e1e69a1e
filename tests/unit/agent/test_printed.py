"""What calls print: which part of a worker's log is of which call, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_agent import printed as printed_module
from lithops_agent.database import Database
from lithops_agent.journal import Journal
from lithops_agent.printed import KEPT, Earlier, Printed, WorkerLog, joined
from lithops_agent.protocol import JobSpec, Part, Status
from tests.unit.agent import functions
from tests.unit.agent.pools import Workshop, within


@pytest.fixture(scope="module")
def shop(busy_shop: Workshop) -> Workshop:
    """Tests that disturb no others share it: a new job has new workers."""
    return busy_shop


def of(shop: Workshop, job: JobSpec) -> dict[int, str]:
    """What the calls of a job printed that have ended."""
    return {part.number: part.text.decode() for part in shop.journal.printed(job.job, 0, 1 << 30)[1]}


# ---- in real workers --------------------------------------------------------------------------------


def test_all_ways_to_print_count(shop: Workshop) -> None:
    job = shop.submit(functions.speak, [("first",), ("second",)])
    shop.wait(job)
    lines = ["print", "stderr", "descriptor", "C", "child", "fork"]
    assert of(shop, job) == {
        number: "".join(f"{line} {word}\n" for line in lines)
        for number, word in enumerate(("first", "second"))
    }


def test_short_calls_that_are_queued_ahead_keep_their_own(shop: Workshop) -> None:
    job = shop.submit(functions.say, [(str(number) if number % 3 else "",) for number in range(600)])
    shop.wait(job)
    assert of(shop, job) == {number: f"{number}\n" for number in range(600) if number % 3}


def test_a_silent_call_leaves_nothing(shop: Workshop) -> None:
    job = shop.submit(functions.double, [(1,)])
    shop.wait(job)
    assert of(shop, job) == {}


def test_only_the_end_of_much_is_kept(shop: Workshop) -> None:
    job = shop.submit(functions.say, [("x" * (KEPT + 1000),)])
    shop.wait(job)
    (part,) = shop.journal.printed(job.job, 0, 1 << 30)[1]
    assert (part.begins, len(part.text)) == (1001, KEPT)
    assert part.text.endswith(b"xx\n")


@pytest.mark.parametrize(
    ("how", "status"), [("exit 3", Status.WORKER_DIED), ("segfault", Status.WORKER_DIED)]
)
def test_what_a_worker_printed_before_it_died(shop: Workshop, how: str, status: Status) -> None:
    job = shop.submit(functions.say_and_leave, [(how,)])
    assert shop.wait(job).status() == status
    assert of(shop, job)[0].startswith(f"about to {how}\n")


def test_what_a_call_printed_before_its_time_was_up(shop: Workshop) -> None:
    job = shop.submit(functions.say_and_nap, [("so far", 60.0)], timeout=0.5)
    assert shop.wait(job).status() == Status.TIMED_OUT
    assert of(shop, job) == {0: "so far\n"}


def test_each_attempt_is_there(shop: Workshop, tmp_path: Path) -> None:
    job = shop.submit(functions.say_and_die_at_first, [(str(tmp_path / "marker"),)], retries=1)
    assert shop.wait(job).status() == Status.SUCCESS
    assert of(shop, job) == {0: "an attempt\nan attempt\n"}


def test_a_call_that_runs_is_heard(shop: Workshop, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = shop.submit(functions.say_and_wait, [("one", str(gate))])
    (part,) = within(30, lambda: shop.pool.printing(job.job), "the first line")
    assert part == Part(job.job, 0, 0, b"one\n")
    gate.touch()
    shop.wait(job)
    assert shop.pool.printing(job.job) == []
    assert of(shop, job) == {0: "one\nthen\n"}


# ---- the log of a worker ----------------------------------------------------------------------------


def test_a_log_is_taken_piece_by_piece(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"onetwothree")
    log = WorkerLog(str(path))
    assert not log.has_grown(0)
    assert (log.take(3), log.take(3), log.take(6)) == (Printed(0, b"one"), None, Printed(0, b"two"))
    assert log.peek(log.size()) == Printed(0, b"three") == log.take(11)


def test_a_log_that_was_cut_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed_module, "_LIMIT", 5)
    path = tmp_path / "log"
    path.write_bytes(b"onetwo")
    log = WorkerLog(str(path))
    log.take(3)
    log.trim()
    assert path.stat().st_size == 0
    path.write_bytes(b"new")
    # What ended before the cut is told with the old length.
    assert log.take(6) == Printed(3, b"new")
    assert log.take(3) == Printed(0, b"new")


def test_without_a_file_nothing_was_printed(tmp_path: Path) -> None:
    log = WorkerLog(str(tmp_path / "none"))
    log.trim()
    assert (log.size(), log.take(10), log.last_words()) == (0, None, "")


@given(st.binary(max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_pieces_in_any_order_of_looks_make_the_whole(text: bytes, looks: list[int]) -> None:
    heard, seen = b"", 0
    for end in [*sorted(looks), len(text)]:
        part = Printed(0, text[:end]).since(seen)
        assert part.begins == min(seen, part.begins)
        heard, seen = heard + part.text, part.end
    assert heard == text


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        (None, None, None),
        (Printed(0, b"a"), None, Printed(0, b"a")),
        (None, Printed(2, b"b"), Printed(2, b"b")),
        (Printed(3, b"a"), Printed(0, b"b"), Printed(3, b"ab")),
        # The second has lost its beginning: what came before that is not put next to it.
        (Printed(0, b"a"), Printed(2, b"b"), Printed(3, b"b")),
        (Printed(0, bytes(KEPT)), Printed(0, b"b"), Printed(1, bytes(KEPT - 1) + b"b")),
    ],
)
def test_two_attempts_are_joined(first: Printed, second: Printed, whole: Printed) -> None:
    assert joined(first, second) == whole


# ---- earlier attempts -------------------------------------------------------------------------------


def test_all_attempts_of_a_call_are_told_once_it_is_over() -> None:
    earlier = Earlier()
    earlier.keep(("a", 1), Printed(0, b"first "))
    earlier.keep(("a", 1), None)
    earlier.keep(("a", 1), Printed(0, b"second "))
    assert earlier.with_earlier(("a", 1), Printed(0, b"third")) == Printed(0, b"first second third")
    assert earlier.pop(("a", 1), Printed(0, b"last")) == Printed(0, b"first second last")
    assert earlier.pop(("a", 1), Printed(0, b"last")) == Printed(0, b"last")


def test_a_silent_attempt_is_not_kept() -> None:
    earlier = Earlier()
    earlier.keep(("a", 1), None)
    assert earlier.pop(("a", 1)) is None
    earlier.keep(("a", 1), Printed(0, b"x"))
    assert earlier.pop(("a", 2)) is None
    assert earlier.pop(("a", 1)) == Printed(0, b"x")


def test_attempts_of_jobs_that_are_gone_are_forgotten() -> None:
    earlier = Earlier()
    for call in (("a", 1), ("a", 2), ("b", 1), ("c", 1)):
        earlier.keep(call, Printed(0, b"x"))
    earlier.forget({"a", "c"})
    kept = [call for call in (("a", 1), ("a", 2), ("b", 1), ("c", 1)) if earlier.pop(call)]
    assert kept == [("b", 1)]


# ---- in the journal ---------------------------------------------------------------------------------


def test_a_journal_of_the_first_release_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add_job(JobSpec(job="j", session="s", function="f", total=1, runtime="p"))
    journal.close()
    database = Database(tmp_path / "journal.db")
    database.execute("DROP TABLE printed")
    database.close()
    again = Journal(tmp_path)
    assert again.spec("j") is not None
    assert again.printed("j", 0, 100) == (0, [])
    again.close()


def test_what_was_printed_goes_with_its_job(shop: Workshop) -> None:
    job = shop.submit(functions.say, [("one",)] * 3)
    shop.wait(job)
    row = shop.journal._known(job.job).row
    shop.pool.release([job.job])
    assert of(shop, job) == {}
    within(30, lambda: not _rows(shop, row), "the end of the rows")


def _rows(shop: Workshop, row: int) -> int:
    with shop.journal._lock:
        query = "SELECT count(*) FROM printed WHERE job=?"
        return int(shop.journal._db.execute(query, (row,)).fetchone()[0])
