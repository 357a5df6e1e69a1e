"""The journal of an agent that was killed with SIGKILL at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from lithops_agent import journal as journal_module
from lithops_agent.journal import Journal
from tests.unit.agent.journals import ended, ended_large, job, large, numbers, results, small


def scenario(journal: Journal, progress: Callable[[], None]) -> None:
    """The life of a job, told step by step."""
    journal.add_job(job())
    progress()
    journal.add_calls("a", [large(journal, "a", 0), small(1), large(journal, "a", 2)])
    progress()
    journal.record([ended_large(journal, 0), ended(1)])
    progress()
    journal.acknowledge("s", 1)
    progress()
    journal.forget_calls("a", [2])
    progress()
    journal.release(["a"])
    progress()


# After each step: the job's calls without a result, and its results.
STATES: Sequence[tuple[bool, list[int], list[int]]] = (
    (False, [], []),
    (True, [], []),
    (True, [0, 1, 2], []),
    (True, [2], [0, 1]),
    (True, [2], [1]),
    (True, [], [1]),
    (False, [], []),
)


def tell(pipe: int) -> None:
    os.write(pipe, b".")


def run_and_be_killed(folder: Path, at_line: int) -> tuple[int, bool]:
    """Run the scenario in a process that kills itself at a line of the journal; steps done, and if it was."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        count = 0

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal count
            if frame.f_code.co_filename != journal_module.__file__:
                return None
            if event == "line":
                count += 1
                if count > at_line:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            journal = Journal(folder)
            sys.settrace(trace)
            scenario(journal, lambda: tell(write))
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        steps = len(pipe.read())
    _, status = os.waitpid(pid, 0)
    return steps, os.WIFSIGNALED(status)


def state_of(journal: Journal) -> tuple[bool, list[int], list[int]]:
    waiting = [found for _, found in journal.unfinished()]
    return journal.spec("a") is not None, waiting[0] if waiting else [], numbers(journal)


def test_killed_at_any_line_the_journal_is_as_before_or_after_the_step(tmp_path: Path) -> None:
    line = 0
    reached = set()
    while True:
        folder = tmp_path / str(line)
        steps, killed = run_and_be_killed(folder, line)
        journal = Journal(folder)
        assert state_of(journal) in STATES[steps : steps + 2], f"killed at line {line} of step {steps}"
        for call in journal.load_calls("a", [0, 1, 2]) if journal.spec("a") else []:
            assert call.file is None or Path(call.file).read_bytes() == b"large data"
        for record in results(journal):
            found = journal.result_file(record.seq)
            assert found is None or Path(found[0]).read_bytes() == b"large result"
        journal.release(["a"])
        assert list((folder / "jobs").iterdir()) == []
        journal.close()
        reached.add(steps)
        if not killed:
            break
        line += 1
    assert reached == set(range(len(STATES)))


WRITER = """
import sys
from pathlib import Path
from lithops_agent.journal import Journal
from tests.unit.agent.journals import ended, ended_large, job, large, small
journal = Journal(Path(sys.argv[1]))
journal.add_job(job())
number = 0
while True:
    journal.add_calls("a", [small(number), large(journal, "a", number + 1)])
    print("added", number, number + 1, flush=True)
    journal.record([ended(number), ended_large(journal, number + 1)])
    print("ended", number, number + 1, flush=True)
    number += 2
"""


@pytest.mark.parametrize("steps", [1, 50, 301])
def test_a_writer_that_is_killed_loses_nothing_that_it_told(tmp_path: Path, steps: int) -> None:
    """The kill comes from outside, at a moment of its own."""
    folder, root = tmp_path / "work", Path(__file__).parents[3]
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(steps)]
        writer.kill()
        lines += writer.stdout.readlines()
    told = {"added": set[int](), "ended": set[int]()}
    for line in lines:
        what, *some = line.split()
        told[what].update(map(int, some))
    journal = Journal(folder)
    found = numbers(journal)
    waiting = {number for _, some in journal.unfinished() for number in some}
    assert len(found) == len(set(found))
    assert told["ended"] <= set(found)
    assert told["added"] <= set(found) | waiting
    assert not set(found) & waiting
    assert all(call.file is None or os.path.exists(call.file) for call in journal.load_calls("a", [*waiting]))
    journal.close()
