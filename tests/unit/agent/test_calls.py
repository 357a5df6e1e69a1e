"""The table of calls, alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_agent.calls import Calls
from lithops_agent.database import Database
from lithops_agent.records import CallData
from tests.unit.agent.journals import small


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Calls]:
    db = Database(tmp_path / "journal.db")
    yield Calls(db)
    db.close()


def in_file(number: int, file: str) -> CallData:
    return CallData(number, None, file)


def test_what_was_added_is_loaded_in_the_order_asked_for(calls: Calls) -> None:
    calls.add(1, [small(0, b"zero"), in_file(1, "/one"), small(2, b"two")])
    calls.add(2, [small(1, b"of another job")])
    assert calls.load(1, [2, 7, 1]) == [small(2, b"two"), in_file(1, "/one")]
    assert calls.load(3, [0, 1, 2]) == []


@pytest.mark.parametrize("count", [499, 500, 501, 1700])
def test_more_calls_are_loaded_than_one_query_can_name(calls: Calls, count: int) -> None:
    calls.add(1, map(small, range(count)))
    assert [call.number for call in calls.load(1, range(count))] == list(range(count))


def test_of_calls_that_are_dropped_it_is_told_which_were_here_and_what_files_they_leave(calls: Calls) -> None:
    calls.add(1, [small(0), in_file(1, "/one"), in_file(2, "/two")])
    calls.add(2, [in_file(1, "/of another job")])
    assert calls.drop([(1, 0), (1, 1), (1, 9), (1, 1)]) == ([True, True, False, False], ["/one"])
    assert calls.drop([(1, 1)]) == ([False], [])
    assert calls.drop([]) == ([], [])
    assert calls.numbers(1) == [2]
    assert calls.numbers(2) == [1]


def test_which_calls_are_here(calls: Calls) -> None:
    assert calls.jobs() == set()
    calls.add(1, map(small, (8, 3, 5)))
    calls.add(2, [in_file(4, "/four"), small(5), in_file(6, "/six")])
    assert calls.numbers(1) == [3, 5, 8]
    assert calls.numbers(3) == []
    assert calls.between(1, 3, 7) == {3, 5}
    assert calls.between(1, 9, 2) == set()
    assert calls.files(1) == set()
    assert calls.files(2) == {"/four", "/six"}
    assert calls.jobs() == {1, 2}
