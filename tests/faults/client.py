"""The program that a fault meets: it submits calls, or goes on with those of one that was killed.

``python -m tests.faults.client ORDER``: the order is the JSON of an `Order`. All that the program is told
of its calls goes to the file ``notes``, one JSON list a line::

    ["job", key]                                once the calls were submitted
    ["told", number, seconds]                   each time that a future is told how its call ended
    ["result", number, execution, attempt]      at the end, for each call
    ["error", number, class, message]           or this
    ["end", seconds]

Seconds are those of CLOCK_MONOTONIC, which all processes of this machine share.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Optional, TextIO

import lithops
from lithops.future import ResponseFuture
from lithops.job.model import Outcome
from tests.faults import calls


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What the program is to do: run ``count`` calls of a function, or attach to a job."""

    config: dict[str, Any]
    notes: str
    program: str
    """Under which name the calls tell of themselves on the hosts."""
    user: str = "user"
    function: str = "call"
    count: int = 0
    each: float = 0.0
    """Seconds that a call takes."""
    job: Optional[str] = None


def main(order: Order) -> None:
    """Do it."""
    with open(order.notes, "a", buffering=1) as notes:
        note = _noter(notes)
        _watch(note)
        if order.job is None:
            fexec = lithops.FunctionExecutor(config=order.config, log_level=None)
            items = [(order.program, number, order.each) for number in range(order.count)]
            futures = fexec.map(getattr(calls, order.function), items)
            note("job", futures[0].job_key)
        else:
            futures = lithops.attach(order.job, config=order.config)
            note("job", order.job)
        for future in futures:
            _note_end(note, future)
        note("end", time.monotonic())


def _noter(notes: TextIO) -> Callable[..., None]:
    def note(*values: Any) -> None:
        notes.write(json.dumps(values) + "\n")

    return note


def _watch(note: Callable[..., None]) -> None:
    """Have noted whenever any future is told how its call ended."""
    plain = ResponseFuture._on_outcome

    def noted(future: ResponseFuture, outcome: Outcome) -> None:
        note("told", future._number, time.monotonic())
        plain(future, outcome)

    ResponseFuture._on_outcome = noted  # type: ignore[method-assign, assignment]


def _note_end(note: Callable[..., None], future: ResponseFuture) -> None:
    try:
        number, execution = future.result()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is what the call ended with
        note("error", future._number, type(exc).__name__, str(exc))
        return
    assert number == future._number, f"call {future._number} has the result of call {number}"
    note("result", number, execution, future.stats.get("attempt"))


if __name__ == "__main__":
    main(Order(**json.loads(sys.argv[1])))
