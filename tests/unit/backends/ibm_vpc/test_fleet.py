"""How many machines, what to do with each, and which one leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.backends.ibm_vpc.fleet import (
    COMING_UP,
    RUNNING,
    Action,
    elect,
    how_many,
    next_action,
    numbers_for,
    processes_of,
)

STATES = ["pending", "starting", "running", "restarting", "stopping", "stopped", "deleting", "failed"]
members = st.dictionaries(st.integers(0, 9), st.sampled_from(STATES))
numbers = st.sets(st.integers(0, 9))


@pytest.mark.parametrize(
    ("profile", "cpus"),
    [("cx2-2x4", 2), ("bx2d-16x64", 16), ("gx3-24x120x1l40s", 24), ("mine", 1), ("x-0x1", 1)],
)
def test_profiles_tell_how_many_cpus_they_have(profile: str, cpus: int) -> None:
    assert processes_of(profile) == cpus


@pytest.mark.parametrize(
    ("calls", "first", "each", "most", "count"),
    [
        (0, 2, 2, 9, 0), (1, 2, 2, 9, 1), (2, 2, 2, 9, 1), (3, 2, 2, 9, 2), (100, 2, 2, 9, 9),
        (9, 8, 2, 9, 2), (8, 8, 2, 9, 1), (11, 1, 5, 9, 3),
    ],
)  # fmt: skip
def test_as_many_as_the_calls_need(calls: int, first: int, each: int, most: int, count: int) -> None:
    assert how_many(calls, first, each, most) == count


@given(st.integers(1, 500), st.integers(1, 16), st.integers(1, 16), st.integers(1, 100))
def test_no_machine_is_without_a_call(calls: int, first: int, each: int, most: int) -> None:
    count = how_many(calls, first, each, most)
    assert 1 <= count <= most
    assert count == most or first + (count - 1) * each >= calls
    assert count == 1 or first + (count - 2) * each < calls


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (None, Action.CREATE), ("running", Action.CONNECT), ("stopped", Action.START),
        ("failed", Action.REPLACE), ("pending", Action.WAIT), ("starting", Action.WAIT),
        ("restarting", Action.WAIT), ("stopping", Action.WAIT), ("deleting", Action.WAIT),
        ("a state of the future", Action.WAIT),
    ],
)  # fmt: skip
def test_each_state_has_its_action(status: str | None, action: Action) -> None:
    assert next_action(status) is action


@pytest.mark.parametrize(
    ("members", "current", "wanted", "head"),
    [
        ({}, None, [], None),
        ({}, None, [3, 1], 1),
        ({0: "pending", 3: "running"}, 0, [0, 3], 0),
        ({0: "failed", 3: "running"}, 0, [0, 3], 3),
        ({3: "running", 5: "running"}, 0, [0], 3),
        ({0: "stopped", 1: "pending"}, 0, [], 1),
        ({0: "deleting"}, 0, [], None),
        ({1: "pending"}, 0, [0, 1], 0),
    ],
)
def test_the_head_moves_only_when_it_is_gone(
    members: dict[int, str], current: int | None, wanted: list[int], head: int | None
) -> None:
    assert elect(members, current, wanted) == head


@given(members, st.none() | st.integers(0, 9), numbers)
def test_there_is_a_head_whenever_one_could_be(
    members: dict[int, str], current: int | None, wanted: set[int]
) -> None:
    head = elect(members, current, wanted)
    up = {number for number, status in members.items() if status in COMING_UP}
    assert (head is None) == (not up and not wanted)
    assert head is None or head in up | wanted
    if current in up:
        assert head == current
    elif RUNNING in members.values():
        assert head is not None
        assert members[head] == RUNNING
    # Whoever asks again gets the same answer.
    assert elect(members, head, wanted) == head


@given(st.integers(0, 20), st.lists(st.integers(0, 30), unique=True), numbers)
def test_those_in_use_come_first_then_those_that_are_there(
    count: int, mine: list[int], there: set[int]
) -> None:
    chosen = numbers_for(count, mine, there)
    assert chosen[: len(mine)] == mine
    assert len(chosen) == max(count, len(mine))
    assert len(set(chosen)) == len(chosen)
    new = set(chosen) - set(mine) - there
    assert not new or there <= set(chosen)
