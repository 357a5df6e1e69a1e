"""What an agent does first with what an earlier one left: which calls, in which order, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_agent.actions import Action, Assign, Fail, StartWorker
from lithops_agent.journal import Journal
from lithops_agent.notes import note_path
from lithops_agent.protocol import Status
from lithops_agent.scheduling import Scheduler
from lithops_agent.worker_protocol import NOTE
from tests.unit.agent.journals import ended, job, small
from tests.unit.agent.simulation import Host


def note(journal: Journal, worker: int, name: str, *begun: tuple[int, int], first: int = 0) -> None:
    """Leave the notes of a worker: (number, attempt) of each call that it began, from an entry on."""
    path = journal.note_path(worker, name)
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.seek(first * NOTE.size)
        file.write(b"".join(NOTE.pack(number, attempt) for number, attempt in begun))


def reopen(journal: Journal, folder: Path, is_crash: bool = True) -> Journal:
    """A journal in the hands of the next agent."""
    journal.close()
    journal = Journal(folder)
    journal.agent_ended(is_crash)
    return journal


def resume(journal: Journal, scheduler: Scheduler) -> list[Action]:
    """As the pool does it."""
    interrupted = journal.interrupted()
    actions: list[Action] = []
    for spec, numbers in journal.unfinished():
        more = interrupted.get(spec.job, {})
        actions += scheduler.calls_resumed(
            spec.job, numbers, more, depth=spec.depth, timeout=None, retries=spec.retries
        )
    return actions


def assigned(actions: Sequence[Action]) -> dict[tuple[str, int], int]:
    """The attempt of each call that is given to a worker."""
    return {
        (action.job, number): attempt
        for action in actions
        if isinstance(action, Assign)
        for number, attempt in action.calls
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


# ---- attempts ---------------------------------------------------------------------------------------


def test_calls_that_were_begun_have_one_attempt_more(folder: Path) -> None:
    journal = Journal(folder)
    for name in "ab":
        journal.add_job(job(name))
        journal.add_calls(name, [small(number) for number in range(4)])
    note(journal, 1, "a", (0, 1), (1, 1))
    note(journal, 2, "a", (2, 3))
    journal.record([ended(0)])
    journal = reopen(journal, folder)
    assert journal.interrupted() == {"a": {1: (2, 1), 2: (4, 1)}}
    assert list((folder / "notes").iterdir()) == []
    scheduler = Scheduler(8)
    assert resume(journal, scheduler) == []
    attempts: dict[tuple[str, int], int] = {}
    for _ in range(8):
        attempts.update(assigned(scheduler.plan(0.0)))
    assert attempts == {
        ("a", 1): 2, ("a", 2): 4, ("a", 3): 1, ("b", 0): 1, ("b", 1): 1, ("b", 2): 1, ("b", 3): 1
    }  # fmt: skip
    journal.close()


def test_each_crash_counts_and_each_end_does_not(folder: Path) -> None:
    journal = Journal(folder)
    journal.add_job(job())
    journal.add_calls("a", [small(0)])
    for is_crash, expected in ((True, (2, 1)), (False, (3, 1)), (True, (4, 2))):
        note(journal, 1, "a", (0, expected[0] - 1))
        journal = reopen(journal, folder, is_crash)
        assert journal.interrupted() == {"a": {0: expected}}
    journal = reopen(journal, folder)
    assert journal.interrupted() == {"a": {0: (4, 2)}}, "it was not begun this time"
    journal.close()


def test_notes_of_jobs_that_are_gone_and_files_that_are_none_do_no_harm(folder: Path) -> None:
    journal = Journal(folder)
    journal.add_job(job())
    journal.add_calls("a", [small(0)])
    note(journal, 1, "a", (0, 1))
    note_path(folder / "notes", 7, 99).write_bytes(NOTE.pack(0, 5))
    note_path(folder / "notes", 8, 1).write_bytes(NOTE.pack(0, 1) + b"half")
    note_path(folder / "notes", 9, 1).touch()
    (folder / "notes" / "what is this").write_bytes(b"?" * 64)
    journal = reopen(journal, folder)
    assert journal.interrupted() == {"a": {0: (2, 1)}}
    assert list((folder / "notes").iterdir()) == []
    journal.close()


# ---- given up ---------------------------------------------------------------------------------------


def test_a_call_that_ran_at_three_crashes_is_given_up_alone() -> None:
    scheduler = Scheduler(2)
    interrupted = {1: (4, 3), 2: (3, 2)}
    actions = scheduler.calls_resumed("a", [0, 1, 2], interrupted, depth=0, timeout=None)
    (failure,) = actions
    assert isinstance(failure, Fail)
    assert (failure.number, failure.status) == (1, Status.WORKER_DIED)
    assert "was killed 3 times while this call ran" in failure.why
    assert scheduler.waiting() == {"a": 2}
    attempts = assigned(scheduler.plan(0.0))
    assert attempts == {("a", 0): 1, ("a", 2): 3}


class Tried(Host):
    """A host on which it is noted how many suspects run at a time."""

    def suspects_in_hand(self, suspects: set[tuple[str, int]]) -> set[tuple[str, int]]:
        return suspects & {
            (process.job, number)
            for process in self.workers.values()
            for number in (*process.queue, process.running)
            if number is not None
        }


def suspicious() -> tuple[Tried, set[tuple[str, int]]]:
    """Four workers; half of the calls of two jobs ran at two crashes."""
    host = Tried(4)
    suspects = {(name, number) for name in "ab" for number in range(5)}
    for name in "ab":
        host.depths[name] = 0
        host.added |= {(name, number) for number in range(10)}
        interrupted = dict.fromkeys(range(5), (3, 2))
        host.scheduler.calls_resumed(name, range(10), interrupted, depth=0, timeout=None)
    host.carry_on()
    return host, suspects


def test_calls_that_ran_at_two_crashes_run_one_at_a_time_beside_the_others() -> None:
    host, suspects = suspicious()
    tried = 0
    assert host.scheduler.is_busy()
    while host.missing():
        host.begin_all()
        in_hand = host.suspects_in_hand(suspects)
        tried += len(in_hand)
        assert len(in_hand) <= 1
        busy = [worker for worker, process in host.workers.items() if process.running is not None]
        for worker in busy[:1] or list(host.workers)[:0]:
            host.finish(worker)
        if not busy:
            host.bury()
            host.sleep()
    assert tried >= 10
    assert len(host.ended) == 20


def test_suspects_can_be_cancelled_released_and_given_away() -> None:
    host, suspects = suspicious()
    host.cancel("a", [0, 1, 2, 7])
    assert {call for call, how in host.ended.items() if how == "CANCELLED"} >= {("a", 1), ("a", 2)}
    host.revoke("b", 3)
    host.cancel("a", None)
    host.bury()
    host.release("a")
    host.run_down()
    assert {number for name, number in host.ended if name == "b"} | {n for _, n in host.revoked} == set(
        range(10)
    )
    assert not host.scheduler.is_busy()
    assert suspects - host.ended.keys() - host.revoked == set()


def test_a_suspect_whose_worker_dies_makes_room_for_the_next() -> None:
    host, _ = suspicious()
    deaths = 0
    while host.missing() and deaths < 40:
        host.begin_all()
        for worker, process in list(host.workers.items()):
            if process.running is not None:
                host.die(worker)
                deaths += 1
                break
        else:
            host.sleep()
    assert host.missing() == set()


def test_a_job_all_of_whose_calls_are_given_up_is_over() -> None:
    scheduler = Scheduler(2)
    scheduler.calls_resumed("a", [0], {0: (4, 3)}, depth=0, timeout=None)
    assert scheduler.busy_jobs() == set()
    assert scheduler.plan(0.0) == []


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_crashes_of_the_agent_take_no_retry_from_a_call(retries: int) -> None:
    """It has been begun three times, twice of which the agent ended; once it killed its worker."""
    scheduler = Scheduler(1)
    scheduler.calls_resumed("a", [0], {0: (4, 2)}, depth=0, timeout=None, retries=retries)
    failures: list[Action] = []
    deaths = 1
    while not failures:
        (start,) = [action for action in scheduler.plan(0.0) if isinstance(action, StartWorker)]
        failures = scheduler.worker_exited(start.worker, "died")
        deaths += 1
        assert deaths < 10
    assert deaths == max(retries + 1, 2)


# ---- order and fairness -----------------------------------------------------------------------------


class Resumed(Host):
    """A host on which each call's first assignment is noted."""

    def __init__(self, processes: int) -> None:
        super().__init__(processes)
        self.order: dict[str, list[int]] = {}

    def carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Assign):
                known = self.order.setdefault(action.job, [])
                known += [number for number, _ in action.calls if number not in known]
        super().carry_out(actions)


JOBS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 30), min_size=1, max_size=20),  # its calls
        st.sets(st.integers(0, 30), max_size=10),  # those that have ended
        st.sets(st.integers(0, 30), max_size=5),  # those that were begun
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(jobs=JOBS, processes=st.integers(1, 5))
def test_what_was_left_is_run_in_order_fairly_and_once(
    tmp_path_factory: pytest.TempPathFactory, jobs: list[tuple[set[int], set[int], set[int]]], processes: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    left: dict[str, list[int]] = {}
    for index, (calls, over, begun) in enumerate(jobs):
        name = f"job {index}"
        journal.add_job(job(name))
        journal.add_calls(name, [small(number) for number in calls])
        journal.record([ended(number, name=name) for number in over])
        note(journal, index, name, *((number, 1) for number in begun))
        left[name] = sorted(calls - over)
    journal = reopen(journal, folder)
    host = Resumed(processes)
    host.depths = dict.fromkeys(left, 0)
    host.added = {(name, number) for name, numbers in left.items() for number in numbers}
    assert resume(journal, host.scheduler) == []
    host.carry_on()
    workers = Counter(process.job for process in host.workers.values())
    wanting = [name for name, numbers in left.items() if len(numbers) > workers[name]]
    assert sum(workers.values()) == min(processes, sum(map(len, left.values())))
    assert all(workers[name] >= max(workers.values()) - 1 for name in wanting), (
        "some have more than their share"
    )
    host.run_down()
    assert host.order == {name: numbers for name, numbers in left.items() if numbers}
    assert set(host.ended) == host.added
    journal.close()
