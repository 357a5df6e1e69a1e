"""Calls that wait for their results: what is kept of them, and what is told and noted at their end."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from lithops.dispatch.awaited import Awaited
from lithops.errors import CallCancelled, WorkerDied
from lithops.future import ResponseFuture
from lithops.job.info import JobInfo
from lithops.job.model import Blob, Job, Outcome
from lithops.printing import Printer
from lithops.state.keepsakes import Call
from lithops.state.ledger import NoLedger
from lithops.state.records import FailureRecord
from lithops_agent.protocol import Part

KEY = "session-M000"
JOB = Job(
    job_id="M000",
    executor_id="session",
    function_name="f",
    function=Blob(sha256="ab", data=b"the function"),
    modules=None,
    total_calls=4,
)


class Notes(NoLedger):
    """What was noted, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Any]] = []

    def ended(self, key: str) -> None:
        self.all.append(("ended", key))

    def failed(self, calls: Sequence[Call]) -> None:
        self.all.append(("failed", [(call.number, call.data) for call in calls]))

    def outcomes(self, counted: Mapping[str, int], failures: Sequence[FailureRecord]) -> None:
        self.all.append(("outcomes", (dict(counted), [failure.number for failure in failures])))


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def awaited(notes: Notes) -> Awaited:
    """Calls 0 to 3 of a job."""
    made = Awaited(notes)
    made.add(KEY, JOB, calls(range(4)))
    return made


def calls(numbers: Sequence[int]) -> list[tuple[ResponseFuture, bytes]]:
    info = JobInfo(executor_id="session", job_id="M000", function_name="f", total_calls=4)
    return [(ResponseFuture(info, number), b"data of %d" % number) for number in numbers]


def success(value: object = None) -> Outcome:
    return Outcome(ok=True, host="a", body=pickle.dumps(value))


def test_a_job_is_there_while_a_call_has_no_result(awaited: Awaited, notes: Notes) -> None:
    for number in range(4):
        assert awaited.has(KEY, number)
        assert set(awaited.jobs()) == {KEY}
        assert awaited.end(KEY, number)._number == number
        assert not awaited.has(KEY, number)
    assert awaited.job(KEY) is None
    assert notes.all == [("ended", KEY)]


def test_a_call_ends_once(awaited: Awaited) -> None:
    awaited.end(KEY, 1)
    with pytest.raises(KeyError):
        awaited.end(KEY, 1)


def test_calls_come_one_after_the_other(awaited: Awaited) -> None:
    awaited.add(KEY, JOB, calls([7]))
    state = awaited.job(KEY)
    assert state is not None
    assert sorted(state.futures) == [0, 1, 2, 3, 7]
    assert state.payloads[7] == b"data of 7"


def test_futures_of_calls_that_have_ended_are_left_out(awaited: Awaited) -> None:
    awaited.end(KEY, 1)
    found = awaited.futures([(KEY, 0), (KEY, 1), ("session-M001", 0), (KEY, 3)])
    assert [future._number for future in found] == [0, 3]


def test_who_goes_through_the_jobs_may_end_their_calls(awaited: Awaited) -> None:
    for key, state in awaited.jobs().items():
        for number in list(state.futures):
            awaited.end(key, number)
    assert not awaited.jobs()


def test_what_was_printed_waits_for_the_result(awaited: Awaited) -> None:
    awaited.end(KEY, 0)
    parts = [Part(KEY, 0, 0, b"late"), Part(KEY, 1, 0, b"hello"), Part("session-M001", 0, 0, b"of others")]
    assert awaited.printed(parts) == [parts[1]]
    state = awaited.job(KEY)
    assert state is not None
    assert list(state.printed) == [1]


def test_the_printer_forgets_a_job_that_has_ended() -> None:
    told: list[str] = []
    printer = Printer(told.append)
    awaited = Awaited(NoLedger(), printer)
    awaited.add(KEY, JOB, calls([0]))
    printer.show([Part(KEY, 0, 0, b"line\n")], awaited.has)
    assert printer.seen(KEY) == {0: 5}
    awaited.end(KEY, 0)
    assert printer.seen(KEY) == {}


def test_it_is_noted_before_the_program_is_told(
    awaited: Awaited, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ResponseFuture._on_outcome

    def on_outcome(future: ResponseFuture, outcome: Outcome) -> None:
        notes.all.append(("told", future._number))
        told(future, outcome)

    monkeypatch.setattr(ResponseFuture, "_on_outcome", on_outcome)
    future = awaited.end(KEY, 2)
    awaited.tell([(future, success("the result"))])
    assert notes.all == [("outcomes", ({KEY: 1}, [])), ("told", 2)]
    assert future.result(timeout=0) == "the result"


def test_what_failed_calls_need_is_kept_unless_they_were_cancelled(awaited: Awaited, notes: Notes) -> None:
    good, bad, dead, cancelled = (awaited.end(KEY, number) for number in range(4))
    awaited.tell(
        [
            (good, success()),
            (bad, Outcome(ok=False, host="a", body=b"the account")),
            (dead, Outcome(ok=False, host="a", error=WorkerDied("killed"))),
            (cancelled, Outcome(ok=False, host="a", error=CallCancelled("cancelled"))),
        ]
    )
    assert notes.all[1:] == [
        ("outcomes", ({KEY: 4}, [1, 2, 3])),
        ("failed", [(1, b"data of 1"), (2, b"data of 2")]),
    ]


def test_the_data_of_calls_that_have_ended_do_not_stay(awaited: Awaited) -> None:
    awaited.tell([(awaited.end(KEY, number), success()) for number in range(4)])
    assert awaited._leaving == {}


def test_a_future_that_is_none_of_its_calls_is_told_too(awaited: Awaited, notes: Notes) -> None:
    ((foreign, _),) = calls([9])
    awaited.tell([(foreign, Outcome(ok=False, host="a", error=WorkerDied("killed")))])
    assert foreign.error
    assert [kind for kind, _ in notes.all] == ["outcomes"]
