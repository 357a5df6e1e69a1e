"""The journal of an agent that was killed with SIGKILL at any moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lithops_agent.journal import Journal
from tests.unit.agent.journals import (
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
from tests.unit.agent.killing import run_and_kill


def scenario(journal: Journal, progress: Callable[[], None]) -> None:
    """The life of a job, told step by step."""
    journal.add_job(job())
    progress()
    journal.add_calls("a", [large(journal, "a", 0), small(1), large(journal, "a", 2)])
    progress()
    journal.add_calls("a", [small(1), large(journal, "a", 2, "-again")])
    progress()
    journal.record([ended_large(journal, 0), ended(1)])
    progress()
    journal.forget_calls("a", [2])
    progress()
    journal.release(["a"])
    progress()
    tidy(journal)
    progress()


# After each step: whether the job is there, its calls without a result, and its results.
STATES: Sequence[tuple[bool, list[int], list[int]]] = (
    (False, [], []),
    (True, [], []),
    (True, [0, 1, 2], []),
    (True, [0, 1, 2], []),
    (True, [2], [0, 1]),
    (True, [], [0, 1]),
    (False, [], []),
    (False, [], []),
)


def state_of(journal: Journal) -> tuple[bool, list[int], list[int]]:
    waiting = [found for _, found in journal.unfinished()]
    return journal.spec("a") is not None, waiting[0] if waiting else [], numbers(journal)


def files_needed(journal: Journal) -> list[str]:
    """The files that rows name; each is there, and whole."""
    needed = []
    for call in journal.load_calls("a", [0, 1, 2]) if journal.spec("a") else []:
        if call.file is not None:
            assert Path(call.file).read_bytes() == b"large data"
            needed.append(Path(call.file).name)
    for record in results(journal):
        found = journal.result_file(record.seq)
        if found is not None:
            assert Path(found[0]).read_bytes() == b"large result"
            needed.append(Path(found[0]).name)
    return sorted(needed)


def check(folder: Path, steps: int) -> None:
    """The journal is as before or after the step at which it was killed, and there is no other file."""
    journal = Journal(folder)
    assert state_of(journal) in STATES[steps : steps + 2]
    needed = files_needed(journal)
    tidy(journal)
    assert files(folder) == needed
    assert not list((folder / "logs").iterdir())
    journal.release(["a"])
    tidy(journal)
    assert list((folder / "jobs").iterdir()) == []
    assert rows(journal) == 0
    journal.close()


def test_killed_before_any_system_call_nothing_is_lost_and_nothing_is_left(tmp_path: Path) -> None:
    reached = kill_before_each(tmp_path, every=3)
    assert reached == set(range(len(STATES)))


def kill_before_each(tmp_path: Path, every: int) -> set[int]:
    """Kill the scenario before each ``every``-th system call; the steps at which it was."""
    at, killed, reached = 0, True, set()
    while killed:
        folder = tmp_path / str(at)
        steps, killed = run_and_kill(lambda progress: scenario(Journal(folder), progress), at)  # noqa: B023
        check(folder, steps)
        reached.add(steps)
        at += every
    assert at > 150
    return reached


def test_killed_once_more_while_it_is_opened_nothing_is_lost(tmp_path: Path) -> None:
    again = 0
    for at in range(60, 400, 20):
        folder = tmp_path / str(at)
        steps, killed = run_and_kill(lambda progress: scenario(Journal(folder), progress), at)  # noqa: B023
        if not killed:
            break
        second, killed = 0, True
        while killed:
            _, killed = run_and_kill(lambda progress: open_and_tidy(folder), second)  # noqa: B023
            second += 9
            again += killed
        check(folder, steps)
    assert again > 50


def open_and_tidy(folder: Path) -> None:
    tidy(Journal(folder))


WRITER = """
import sys
from pathlib import Path
from lithops_agent.journal import Journal
from tests.unit.agent.journals import ended, ended_large, job, large, small, tidy
journal = Journal(Path(sys.argv[1]))
journal.add_job(job())
number = int(sys.argv[2])
while True:
    journal.add_calls("a", [small(number), large(journal, "a", number + 1)])
    print("added", number, number + 1, flush=True)
    journal.record([ended(number), ended_large(journal, number + 1)])
    print("ended", number, number + 1, flush=True)
    journal.tidy()
    number += 2
"""


def write_and_be_killed(folder: Path, first: int, count: int) -> list[str]:
    """What a process told that uses the journal, and is killed soon after it told so many lines."""
    command = [sys.executable, "-c", WRITER, str(folder), str(first)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(count)]
        writer.kill()
        return [*lines, *(line for line in writer.stdout.readlines() if line.endswith("\n"))]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_writer_that_is_killed_again_and_again_loses_nothing_that_it_told(
    tmp_path: Path, seed: int
) -> None:
    """The kills come from outside, at moments of their own."""
    folder, chance = tmp_path / "work", random.Random(seed)
    told = {"added": set[int](), "ended": set[int]()}
    for _ in range(6):
        first = max(told["added"], default=-1) + 1_001
        for line in write_and_be_killed(folder, first, chance.randrange(1, 80)):
            what, *some = line.split()
            told[what].update(map(int, some))
        journal = Journal(folder)
        found = [record.number for record in results(journal, limit=1 << 30)]
        waiting = {number for _, some in journal.unfinished() for number in some}
        assert len(found) == len(set(found))
        assert told["ended"] <= set(found)
        assert told["added"] <= set(found) | waiting
        assert not set(found) & waiting
        kept = {f"result-{number}" for number in found if number % 2}
        data = {f"data-{number}" for number in waiting if number % 2}
        assert set(files(folder)) == kept | data
        assert all(
            call.file is None or os.path.exists(call.file) for call in journal.load_calls("a", [*waiting])
        )
        journal.close()
    assert len(told["ended"]) > 20
