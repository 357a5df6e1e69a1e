"""A full disk: what is refused, what waits, and that nothing that was accepted is lost."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops_agent import load
from lithops_agent.ballast import BALLAST_SIZE, Ballast
from lithops_agent.journal import Ended, Journal
from lithops_agent.recorder import Recorder
from tests.unit.agent import functions
from tests.unit.agent.journals import ended, files, job, large, numbers, small
from tests.unit.agent.pools import Workshop, within

FULL = OSError(errno.ENOSPC, "No space left on device")


class Disk:
    """How much room there is, as a test wants it to be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 1 << 40
        monkeypatch.setattr(os, "statvfs", self._statvfs)

    def _statvfs(self, path: Any) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1 << 30, self.free // 4096, self.free // 4096, 0, 0, 0, 0, 255))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def fails(times: int) -> Any:
    """A write that finds the disk full so many times."""
    left = [times]

    def write() -> str:
        if left[0]:
            left[0] -= 1
            raise FULL
        return "written"

    return write


# ---- the ballast ------------------------------------------------------------------------------------


def test_the_ballast_is_spent_on_the_first_write_that_finds_no_space(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "ballast"
    ballast = Ballast(path)
    disk.free = 0
    assert path.stat().st_size == path.stat().st_blocks * 512 == BALLAST_SIZE
    assert ballast.spend_on(fails(1)) == "written"
    assert not path.exists()
    with pytest.raises(OSError, match="No space left"):
        ballast.refuse_when_spent()
    with pytest.raises(OSError, match="No space left"):
        ballast.spend_on(fails(1))


def test_another_error_does_not_spend_it(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast")

    def write() -> None:
        raise PermissionError(errno.EPERM, "no")

    with pytest.raises(PermissionError):
        ballast.spend_on(write)
    ballast.refuse_when_spent()
    assert (tmp_path / "ballast").exists()


@pytest.mark.parametrize(("free", "is_made"), [(2 * BALLAST_SIZE - 4096, False), (2 * BALLAST_SIZE, True)])
def test_it_is_made_again_when_there_is_room(tmp_path: Path, disk: Disk, free: int, is_made: bool) -> None:
    ballast = Ballast(tmp_path / "ballast")
    ballast.spend_on(fails(1))
    disk.free = free
    ballast.refill()
    assert (tmp_path / "ballast").exists() is is_made
    assert ballast.is_spent is not is_made


def test_a_disk_without_room_for_it_takes_calls_until_it_is_full(tmp_path: Path, disk: Disk) -> None:
    disk.free = BALLAST_SIZE
    ballast = Ballast(tmp_path / "ballast")
    assert not (tmp_path / "ballast").exists()
    ballast.refuse_when_spent()
    with pytest.raises(OSError, match="No space left"):
        ballast.spend_on(fails(1))
    with pytest.raises(OSError, match="No space left"):
        ballast.refuse_when_spent()


# ---- the journal ------------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "work")
    yield opened
    opened.close()


def test_a_full_journal_takes_no_jobs_and_calls_and_gives_up_none(
    journal: Journal, tmp_path: Path, disk: Disk
) -> None:
    journal.add_job(job())
    journal.add_calls("a", [small(0), small(1)])
    disk.free = 0
    journal._ballast.spend_on(fails(1))
    with pytest.raises(OSError, match="No space left"):
        journal.add_job(job("b"))
    with pytest.raises(OSError, match="No space left"):
        journal.add_calls("a", [small(2), large(journal, "a", 3)])
    with pytest.raises(OSError, match="No space left"):
        journal.refuse_when_full()
    assert files(tmp_path / "work") == [], "data that were not accepted are left over"
    # What is here already is no news: a request that comes twice is answered twice.
    journal.add_job(job())
    assert journal.add_calls("a", [small(1)]) == []
    journal.record([ended(0)])
    journal.forget_calls("a", [1])
    journal.keep_fact("name", "value")
    assert numbers(journal) == [0]
    disk.free = 1 << 40
    assert journal.add_calls("a", [small(2)]) == [2]


# ---- the recorder -----------------------------------------------------------------------------------


class FullJournal:
    """A journal of one job on a disk that is full for a while."""

    def __init__(self, failures: list[BaseException]) -> None:
        self.failures = failures
        self.recorded: list[Ended] = []

    def spec(self, name: str) -> Any:
        return job(name)

    def record(self, ended: list[Ended]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.recorded += ended


class Watch:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_what_can_not_be_recorded_is_kept_in_order_and_tried_again() -> None:
    journal, clock = FullJournal([FULL, FULL]), Watch()
    recorder = Recorder(journal, clock)  # type: ignore[arg-type]
    assert not recorder.settle()
    recorder.add(ended(0))
    assert not recorder.settle()
    assert recorder.is_stuck
    recorder.add(ended(1))
    assert not recorder.settle(), "it is too early"
    assert len(journal.failures) == 1
    retry_in = recorder.retry_in()
    assert retry_in is not None
    clock.time += retry_in
    assert not recorder.settle()
    assert recorder.recorded("s") == 0
    clock.time += retry_in
    assert recorder.settle()
    assert [e.number for e in journal.recorded] == [0, 1]
    assert recorder.recorded("s") == 2
    assert recorder.retry_in() is None
    assert not recorder.is_stuck


def test_another_error_is_raised_and_nothing_is_lost() -> None:
    journal = FullJournal([RuntimeError("broken")])
    recorder = Recorder(journal)  # type: ignore[arg-type]
    recorder.add(ended(0))
    with pytest.raises(RuntimeError):
        recorder.settle()
    assert not recorder.is_stuck
    assert recorder.settle()
    assert len(journal.recorded) == 1


# ---- the pool ---------------------------------------------------------------------------------------


def test_calls_go_on_when_there_is_space_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that run end, no other begins meanwhile, and each has one result in the end."""
    shop = Workshop(tmp_path, processes=2)
    is_full = [True]
    record = shop.journal.record

    def record_if_there_is_space(ended: list[Ended]) -> None:
        if is_full[0]:
            raise FULL
        record(ended)

    monkeypatch.setattr(shop.journal, "record", record_if_there_is_space)
    shop.pool.start()
    try:
        go = tmp_path / "go"
        job = shop.submit(functions.wait_for, [(str(go), str(tmp_path / f"begun-{n}")) for n in range(6)])
        within(10, lambda: len(list(tmp_path.glob("begun-*"))) == 2)
        # Of calls that take long, none is queued at a worker ahead of time.
        long_since = time.time() + 1.5 * load._LONG
        within(10, lambda: time.time() > long_since)
        go.touch()
        within(10, lambda: shop.pool._recorder.is_stuck)
        within(10, lambda: not shop.pool.snapshot()[1], "the end of what runs")
        assert shop.records(job) == []
        later = shop.submit(functions.double, [(4,)])
        shop.pool.cancel(job.job, [5])
        assert len(list(tmp_path.glob("begun-*"))) <= 4
        assert sum(shop.pool.snapshot()[0].values()) >= 2
        is_full[0] = False
        results = shop.wait(job)
        assert [results.value(number) for number in range(5)] == ["it came"] * 5
        assert shop.wait(later).value() == 8
    finally:
        shop.close()
