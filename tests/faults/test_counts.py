"""The counts of a scenario tell what went wrong."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.program import Program
from tests.faults.report import table
from tests.faults.scenario import Row, Scenario, row_of


class Ended(Program):
    """A program of three calls that has ended, with these notes."""

    def __init__(self, path: Path, notes: list[list[Any]]) -> None:
        path.write_text("".join(json.dumps(note) + "\n" for note in notes))
        self.count, self.name, self.user = 3, "program0", "user"
        self._attend(path)

    def wait(self, seconds: float) -> None:
        pass


def host(folder: Path, executions: str) -> Any:
    """A host on which these executions have begun."""
    (folder / "marks").write_text(executions)
    disk = SimpleNamespace(hold=lambda path: folder / "marks")
    return SimpleNamespace(uid=lambda user: 1000, hardware=SimpleNamespace(disk=disk))


def notes(*numbers: int) -> list[list[Any]]:
    told = [["told", number, 1.0 + number] for number in numbers]
    return [*told, *(["result", number, f"a-1-{number}", 1] for number in numbers)]


RAN = "".join(f"program0 {number} a-1-{number}\n" for number in range(3))
GOOD = notes(0, 1, 2)


@pytest.mark.parametrize(
    ("said", "ran", "problems"),
    [
        (GOOD, RAN, []),
        (GOOD, RAN + "program1 0 a-1-9\n", []),
        (notes(0, 2), RAN, ["1 lost"]),
        ([*GOOD, ["error", 1, "WorkerDied", "died"]], RAN, ["1 lost"]),
        ([*GOOD, ["told", 1, 9.0], ["told", 1, 9.5]], RAN, ["2 recorded twice"]),
        (GOOD, RAN + "program0 1 a-1-9\n", ["1 run twice"]),
    ],
)
def test_problems(tmp_path: Path, said: list[list[Any]], ran: str, problems: list[str]) -> None:
    row = row_of(Ended(tmp_path / "notes", said), [host(tmp_path, ran)], injected=1, recovery=0.0)
    assert scenario(repeats=False).problems(row) == problems
    assert scenario(repeats=True).problems(row) == [each for each in problems if "run twice" not in each]


def test_an_error_that_the_fault_is_bound_to_give(tmp_path: Path) -> None:
    said = [*GOOD, ["error", 1, "WorkerDied", "died"]]
    row = row_of(
        Ended(tmp_path / "notes", said), [host(tmp_path, RAN)], injected=1, recovery=0.0,
        expected=lambda number: "WorkerDied" if number == 1 else None,
    )  # fmt: skip
    assert (row.collected, row.lost) == (3, 0)


def test_a_result_that_no_host_made(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no host made"):
        row_of(Ended(tmp_path / "notes", GOOD), [host(tmp_path, "")], injected=1, recovery=0.0)


def test_a_scenario_without_a_fault_shows_nothing() -> None:
    row = Row(injected=0, submitted=1, collected=1, duplicated=0, run_twice=0, recovery=0.0)
    assert scenario(repeats=False).problems(row) == ["no fault was injected"]


def test_when_the_next_result_came(tmp_path: Path) -> None:
    program = Ended(tmp_path / "notes", GOOD)
    assert program.next_told(after=1.5) == 2.0
    assert program.next_told(after=1.5, numbers=[0, 2]) == 3.0
    assert program.next_told(after=1.5, numbers=[0]) is None


def test_the_table() -> None:
    row = Row(injected=2, submitted=20_000, collected=19_999, duplicated=3, run_twice=4, recovery=1.25)
    head, rule, line = table([(scenario(repeats=True), row)]).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|")
    assert line == "| a fault | 2 | 20,000 | 19,999 | 1 | 3 | 4 | 1.2 s |"


def scenario(*, repeats: bool) -> Scenario:
    return Scenario(name="name", fault="a fault", play=lambda stage: NO_ROW, fast=True, repeats=repeats)


NO_ROW = Row(injected=0, submitted=0, collected=0, duplicated=0, run_twice=0, recovery=0.0)
