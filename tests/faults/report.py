"""The table that a run of the scenarios prints."""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults.scenario import Row, Scenario

_HEADS = ("fault", "injected", "submitted", "collected", "lost", "duplicated", "run twice", "recovery")


def table(rows: Iterable[tuple[Scenario, Row]]) -> str:
    """The rows as a table of Markdown."""
    lines = [_HEADS, tuple("---" if head == "fault" else "---:" for head in _HEADS)]
    lines += [_cells(scenario, row) for scenario, row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(scenario: Scenario, row: Row) -> tuple[str, ...]:
    numbers = (row.injected, row.submitted, row.collected, row.lost, row.duplicated, row.run_twice)
    return (scenario.fault, *(f"{number:,}" for number in numbers), f"{row.recovery:.1f} s")
