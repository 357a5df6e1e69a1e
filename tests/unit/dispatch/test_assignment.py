"""Where calls go: a table for each rule. What must hold whatever happens is in `test_assignment_model`."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lithops.dispatch.assignment import Action, Assignment, GiveUp, Revoke, Send

JOB = "job"


def ready(**slots: int) -> Assignment:
    """Hosts that are ready."""
    assignment = Assignment(slots)
    for name, count in slots.items():
        assert assignment.host_ready(name, count) == []
    return assignment


def sent(actions: list[Action]) -> dict[str, list[int]]:
    """The calls that each host is sent; nothing else may be asked for."""
    found: dict[str, list[int]] = {}
    for action in actions:
        assert isinstance(action, Send), action
        found.setdefault(action.host, []).extend(action.numbers)
    return found


def revokes(actions: list[Action]) -> list[Revoke]:
    return [action for action in actions if isinstance(action, Revoke)]


# ---- calls are handed out at once, evenly by slots --------------------------------------------------


@pytest.mark.parametrize(
    ("slots", "count", "shares"),
    [
        ({"a": 1}, 3, {"a": 3}),
        ({"a": 1, "b": 1}, 10, {"a": 5, "b": 5}),
        ({"a": 2, "b": 6}, 80, {"a": 20, "b": 60}),
        ({"a": 1, "b": 1, "c": 1}, 2, {"a": 1, "b": 1}),
        ({"a": 1, "b": 8}, 1, {"b": 1}),
        ({"a": 3, "b": 5}, 0, {}),
    ],
)
def test_shares_are_even_by_slots(slots: dict[str, int], count: int, shares: dict[str, int]) -> None:
    actions = ready(**slots).calls_added(JOB, range(count))
    assert {host: len(numbers) for host, numbers in sent(actions).items()} == shares
    assert sorted(n for numbers in sent(actions).values() for n in numbers) == list(range(count))


def test_what_hosts_have_already_counts() -> None:
    assignment = ready(a=1, b=1)
    mine = sent(assignment.calls_added(JOB, range(20)))["a"]
    for number in mine[:8]:
        assert assignment.call_ended(JOB, number)
    # a has two and b ten: eight more are for a, and two for each.
    more = sent(assignment.calls_added("more", range(12)))
    assert {host: len(numbers) for host, numbers in more.items()} == {"a": 10, "b": 2}


def test_a_host_with_more_than_its_share_gets_none() -> None:
    assignment = ready(a=1, b=1, c=1)
    first = sent(assignment.calls_added(JOB, range(90)))
    for number in first["b"][:10] + first["c"]:
        assignment.call_ended(JOB, number)
    # a has 30, b 20, c none: ten more are for c alone.
    assert {h: len(n) for h, n in sent(assignment.calls_added("more", range(10))).items()} == {"c": 10}


def test_calls_wait_until_a_host_is_ready() -> None:
    assignment = Assignment(["a", "b"])
    assert assignment.calls_added(JOB, range(4)) == []
    assert assignment.homeless
    assert assignment.host_of(JOB, 2) is None
    assert assignment.host_ready("b", 1) == [Send("b", JOB, [0, 1, 2, 3])]
    assert not assignment.homeless
    assert assignment.host_of(JOB, 2) == "b"
    assert assignment.calls_on("b", JOB) == [0, 1, 2, 3]
    assert assignment.unfinished_on("b") == 4


def test_calls_are_sent_in_their_order() -> None:
    assert sent(ready(a=1, b=1).calls_added(JOB, range(6))) == {"a": [0, 1, 2], "b": [3, 4, 5]}


def test_a_job_may_grow_and_calls_that_are_known_are_not_added_again() -> None:
    assignment = ready(a=2)
    assert sent(assignment.calls_added(JOB, [0, 1])) == {"a": [0, 1]}
    assert sent(assignment.calls_added(JOB, [1, 5, 5])) == {"a": [5]}
    assert assignment.unfinished_on("a") == 3
    assert all(assignment.call_ended(JOB, number) for number in (0, 1, 5))
    assert assignment.unfinished_on("a") == 0
    assert sent(assignment.calls_added(JOB, [6])) == {"a": [6]}


# ---- results ----------------------------------------------------------------------------------------


def test_the_first_result_of_a_call_counts() -> None:
    assignment = ready(a=1)
    assignment.calls_added(JOB, [0, 1])
    assert assignment.call_ended(JOB, 0)
    assert not assignment.call_ended(JOB, 0)
    assert assignment.call_ended(JOB, 1)
    assert not assignment.call_ended(JOB, 1)


@pytest.mark.parametrize(("job", "number"), [("another", 0), (JOB, 7), (JOB, 2)])
def test_results_of_unknown_calls_do_not_count(job: str, number: int) -> None:
    assignment = ready(a=1)
    assignment.calls_added(JOB, [0, 1, 3])
    assert not assignment.call_ended(job, number)
    assert assignment.unfinished_on("a") == 3


def test_a_call_may_end_before_any_host_has_it() -> None:
    assignment = Assignment(["a"])
    assignment.calls_added(JOB, [0, 1])
    assert assignment.call_ended(JOB, 0)
    assert sent(assignment.host_ready("a", 1)) == {"a": [1]}


# ---- calls that wait go to free slots ---------------------------------------------------------------


def test_a_host_that_becomes_ready_takes_over() -> None:
    assignment = Assignment(["a", "b"])
    assignment.host_ready("a", 2)
    assignment.calls_added(JOB, range(100))
    # Two begin at once on a; the rest is shared.
    assert assignment.host_ready("b", 2) == [Revoke("a", JOB, 49)]
    assert assignment.calls_revoked("a", JOB, range(51, 100)) == [Send("b", JOB, list(range(51, 100)))]


@pytest.mark.parametrize(
    ("waiting", "count"),
    [
        (1, 1),  # at least one
        (3, 3),  # what can begin at once, though a half would be fair
        (8, 4),
        (100, 50),
    ],
)
def test_how_many_calls_are_asked_back(waiting: int, count: int) -> None:
    assignment = ready(a=4, b=4)
    both = sent(assignment.calls_added(JOB, range(2 * (waiting + 4))))
    for number in both["b"]:
        assignment.call_ended(JOB, number)
    assert assignment.load_reported("b", {}, 4) == [Revoke("a", JOB, count)]


def test_calls_that_begin_at_once_are_not_asked_back() -> None:
    """Nor is a call that was sent, and of which the host has not yet said that it runs."""
    assignment = ready(a=1, b=8)
    assert assignment.calls_added(JOB, [0]) == [Send("b", JOB, [0])]
    assert sent(assignment.calls_added(JOB, range(1, 9))) == {"a": [1], "b": list(range(2, 9))}
    assert assignment.host_ready("a", 4) == []


def test_a_host_is_asked_once_at_a_time_and_again_after_its_answer() -> None:
    assignment = Assignment(["a", "b", "c"])
    assignment.host_ready("a", 1)
    assignment.calls_added(JOB, range(9))
    assert revokes(assignment.host_ready("b", 1)) == [Revoke("a", JOB, 4)]
    assert revokes(assignment.host_ready("c", 1)) == []
    actions = assignment.calls_revoked("a", JOB, [5, 6, 7, 8])
    # Two hosts have room: the four are shared between them.
    assert sent(actions) == {"b": [5, 6], "c": [7, 8]}


def test_calls_that_wait_are_taken_from_the_most_loaded_host() -> None:
    assignment = Assignment(["a", "b", "c"])
    assignment.host_ready("a", 1)
    assignment.host_ready("b", 4)
    assignment.calls_added(JOB, range(100))
    # a has 20 for one slot, b has 80 for four: the same. Then a says that fewer wait.
    assert assignment.load_reported("a", {JOB: 5}, 0) == []
    assert [action.host for action in revokes(assignment.host_ready("c", 1))] == ["b"]


def test_nothing_is_asked_for_when_all_slots_are_taken() -> None:
    assignment = ready(a=1, b=1)
    assignment.calls_added(JOB, range(10))
    assert assignment.load_reported("a", {JOB: 4}, 0) == []
    assert assignment.load_reported("b", {}, 0) == []


def test_slots_that_others_use_are_not_free() -> None:
    """Another script has all slots of b: what waits on a would only wait there instead."""
    assignment = ready(a=2, b=2)
    for number in sent(assignment.calls_added(JOB, range(20)))["b"]:
        assignment.call_ended(JOB, number)
    assert assignment.load_reported("b", {}, 0) == []
    assert assignment.load_reported("a", {JOB: 8}, 0) == []
    assert assignment.load_reported("b", {}, 1) == [Revoke("a", JOB, 4)]


def test_calls_do_not_go_to_and_fro_between_hosts_that_others_use() -> None:
    assignment = ready(a=2, b=2)
    assignment.calls_added(JOB, [0, 1])  # One each; no slot is free for either.
    moves = 0
    for name in ["a", "b"] * 50:
        mine = assignment.calls_on(name, JOB)
        actions = assignment.load_reported(name, {JOB: len(mine)} if mine else {}, 0)
        while actions:
            action = actions.pop()
            if isinstance(action, Revoke):
                moves += 1
                back = assignment.calls_on(action.host, JOB)[: action.count]
                actions += assignment.calls_revoked(action.host, JOB, back)
    # The one is a's, made before b had told that its slots are taken.
    assert moves <= 1


def test_a_host_that_gives_calls_back_does_not_get_them_again() -> None:
    assignment = ready(a=2, b=2)
    assignment.calls_added(JOB, range(3))  # a: 0, 1; b: 2.
    assert assignment.load_reported("a", {JOB: 1}, 0) == [Revoke("a", JOB, 1)]
    assert assignment.calls_revoked("a", JOB, [1]) == [Send("b", JOB, [1])]


def test_a_host_gets_its_calls_again_when_there_is_no_other() -> None:
    assignment = ready(a=2, b=2)
    assignment.calls_added(JOB, range(3))
    assignment.load_reported("a", {JOB: 1}, 0)
    for number in assignment.calls_on("b", JOB):
        assignment.call_ended(JOB, number)
    assignment.host_lost("b")
    assert assignment.calls_revoked("a", JOB, [1]) == [Send("a", JOB, [1])]


def test_a_host_that_has_nothing_to_give_is_not_asked_again_until_it_reports() -> None:
    assignment = Assignment(["a", "b"])
    assignment.host_ready("a", 2)
    assignment.calls_added(JOB, range(4))
    assert revokes(assignment.host_ready("b", 2)) == [Revoke("a", JOB, 2)]
    assert assignment.calls_revoked("a", JOB, []) == []
    assert assignment.load_reported("b", {}, 2) == []
    assert assignment.load_reported("a", {JOB: 1}, 0) == [Revoke("a", JOB, 1)]


def test_calls_that_ended_before_they_were_given_back_stay_ended() -> None:
    assignment = Assignment(["a", "b"])
    assignment.host_ready("a", 1)
    assignment.calls_added(JOB, range(4))
    assignment.host_ready("b", 1)
    assert assignment.call_ended(JOB, 3)
    assert sent(assignment.calls_revoked("a", JOB, [2, 3, 99])) == {"b": [2]}


def test_a_job_that_has_ended_is_not_asked_for() -> None:
    assignment = Assignment(["a", "b"])
    assignment.host_ready("a", 1)
    assignment.calls_added(JOB, range(2))
    for number in range(2):
        assignment.call_ended(JOB, number)
    assert assignment.host_ready("b", 1) == []
    assert assignment.load_reported("a", {JOB: 2, "unknown": 5}, 0) == []
    assert assignment.calls_revoked("a", JOB, [1]) == []


# ---- hosts come and go ------------------------------------------------------------------------------


def test_what_a_lost_host_had_goes_to_the_others() -> None:
    assignment = ready(a=1, b=1, c=2)
    mine = sent(assignment.calls_added(JOB, range(40)))["a"]
    assignment.call_ended(JOB, mine[0])
    moved = sent(assignment.host_lost("a"))
    assert sorted(moved["b"] + moved["c"]) == mine[1:]
    assert (len(moved["b"]), len(moved["c"])) == (3, 6)
    assert assignment.unfinished_on("a") == 0


def test_a_result_from_a_lost_host_counts_when_it_is_the_first() -> None:
    assignment = ready(a=1, b=1)
    assignment.calls_added(JOB, range(2))
    assignment.host_lost("a")
    assert assignment.host_of(JOB, 0) == "b"
    assert assignment.call_ended(JOB, 0)
    assert assignment.unfinished_on("b") == 1


def test_with_no_host_left_calls_are_given_up() -> None:
    assignment = ready(a=1, b=1)
    assignment.calls_added(JOB, range(4))
    assert sent(assignment.host_lost("a")) == {"b": [0, 1]}
    assert assignment.host_lost("b") == [GiveUp(JOB, [0, 1, 2, 3])]


def test_what_a_host_has_no_room_for_goes_to_the_others() -> None:
    assignment = ready(a=1, b=1, c=1)
    mine = sent(assignment.calls_added(JOB, range(9)))["a"]
    moved = sent(assignment.calls_refused("a", JOB, mine[1:]))
    assert "a" not in moved
    assert sorted(moved["b"] + moved["c"]) == mine[1:]
    assert assignment.calls_on("a", JOB) == mine[:1]
    assert "a" not in sent(assignment.calls_added("other", range(4)))
    assert revokes(assignment.load_reported("b", {JOB: 3}, 0)) == []


def test_when_no_host_has_room_calls_are_given_up_and_tried_anew_later() -> None:
    assignment = ready(a=1, b=1)
    assignment.calls_added(JOB, range(2))
    assert sent(assignment.calls_refused("a", JOB, [0])) == {"b": [0]}
    assert assignment.calls_refused("b", JOB, [0, 1]) == [GiveUp(JOB, [0, 1])]
    assert assignment.call_ended(JOB, 0)
    assert assignment.call_ended(JOB, 1)
    assignment.host_wanted("a")
    assert sent(assignment.calls_added("other", [0])) == {"a": [0]}


def test_what_a_host_has_no_room_for_waits_for_one_that_is_on_its_way() -> None:
    assignment = Assignment(["a", "b", "c"])
    assignment.host_ready("a", 1)
    assignment.calls_added(JOB, range(2))
    assert assignment.calls_refused("a", JOB, [0, 1]) == []
    assert assignment.host_lost("c") == []
    assert sent(assignment.host_ready("b", 1)) == {"b": [0, 1]}


def test_what_a_host_has_no_room_for_is_tried_there_again_when_no_other_comes() -> None:
    assignment = Assignment(["a", "b"])
    assignment.host_ready("a", 1)
    assignment.calls_added(JOB, range(2))
    assert assignment.calls_refused("a", JOB, [0, 1]) == []
    assert assignment.host_lost("b") == [Send("a", JOB, [0, 1])]
    assert assignment.calls_refused("a", JOB, [0, 1]) == [GiveUp(JOB, [0, 1])]


def test_a_refusal_of_what_has_ended_or_moved_changes_nothing() -> None:
    assignment = ready(a=1, b=1)
    assignment.calls_added(JOB, range(2))
    assignment.call_ended(JOB, 0)
    assert assignment.calls_refused("a", JOB, [0, 1, 99]) == []
    assert assignment.calls_refused("b", "unknown", [0]) == []
    assert assignment.host_of(JOB, 1) == "b"


def test_calls_of_an_earlier_process_are_looked_for_before_they_run() -> None:
    assignment = ready(a=1, b=1)
    assignment.calls_sought(JOB, range(5))
    assignment.calls_found("a", JOB, [0, 1, 99])
    assignment.calls_found("b", JOB, [1, 3])
    assert not assignment.homeless
    assert [assignment.host_of(JOB, number) for number in range(5)] == ["a", "a", None, "b", None]
    assert assignment.call_ended(JOB, 4)
    assert not assignment.call_ended(JOB, 4)
    assert sent(assignment.search_ended(JOB)) == {"b": [2]}
    assert assignment.search_ended("unknown") == []
    assignment.calls_found("a", "unknown", [0])
    for number in range(4):
        assert assignment.call_ended(JOB, number)
    assert assignment.unfinished_on("a") == assignment.unfinished_on("b") == 0


def test_calls_are_kept_while_a_host_is_on_its_way() -> None:
    assignment = Assignment(["a", "b"])
    assignment.calls_added(JOB, [0])
    assert assignment.host_lost("a") == []
    assert assignment.host_lost("b") == [GiveUp(JOB, [0])]


def test_calls_added_after_all_hosts_were_lost_are_given_up_unless_one_is_tried_again() -> None:
    assignment = Assignment(["a"])
    assignment.host_lost("a")
    assert assignment.calls_added(JOB, [0]) == [GiveUp(JOB, [0])]
    assert assignment.call_ended(JOB, 0)
    assignment.host_wanted("a")
    assert assignment.calls_added(JOB, [1]) == []
    assert assignment.host_ready("a", 1) == [Send("a", JOB, [1])]


def test_a_host_that_is_back_with_its_journal_keeps_its_calls() -> None:
    assignment = ready(a=2)
    assignment.calls_added(JOB, range(4))
    assert assignment.host_ready("a", 2) == []
    assert assignment.calls_on("a", JOB) == [0, 1, 2, 3]


def test_a_host_that_is_back_without_its_journal_is_sent_its_calls_again() -> None:
    assignment = ready(a=2)
    assignment.calls_added(JOB, range(4))
    assignment.call_ended(JOB, 1)
    assert assignment.host_ready("a", 2, empty=True) == [Send("a", JOB, [0, 2, 3])]
    assert assignment.unfinished_on("a") == 3


def test_a_host_that_is_back_may_be_asked_for_calls_though_it_never_answered() -> None:
    assignment = ready(a=1, b=1)
    assignment.calls_added(JOB, range(8))
    for number in assignment.calls_on("b", JOB):
        assignment.call_ended(JOB, number)
    assert revokes(assignment.load_reported("b", {}, 1)) == [Revoke("a", JOB, 1)]
    assert revokes(assignment.load_reported("a", {JOB: 3}, 0)) == []
    assert revokes(assignment.host_ready("a", 1)) == [Revoke("a", JOB, 1)]


# ---- cost -------------------------------------------------------------------------------------------


def story(count: int) -> float:
    """Seconds that it takes to place calls on four hosts, lose one in the middle, and end them all."""
    assignment = Assignment("abcd")
    began_at = time.process_time()
    assignment.calls_added(JOB, range(count))
    for name in "abcd":
        for action in assignment.host_ready(name, 2):
            if isinstance(action, Revoke):
                numbers = assignment.calls_on(action.host, JOB)[-action.count :]
                assignment.calls_revoked(action.host, JOB, numbers)
    for number in range(count // 2):
        assignment.call_ended(JOB, number)
    assignment.host_lost("b")
    for number in range(count // 2, count):
        assignment.call_ended(JOB, number)
    return time.process_time() - began_at


def story_without_hosts(count: int) -> float:
    """Seconds that it takes to end calls, the last ones first, that no host has."""
    assignment = Assignment("a")
    began_at = time.process_time()
    assignment.calls_added(JOB, range(count))
    for number in reversed(range(count)):
        assignment.call_ended(JOB, number)
    return time.process_time() - began_at


@pytest.mark.parametrize("told", [story, story_without_hosts])
def test_the_cost_grows_with_the_number_of_calls_and_not_with_its_square(
    told: Callable[[int], float],
) -> None:
    few = min(told(10_000) for _ in range(3))
    many = told(100_000)
    # Ten times the calls: about ten times the time, where a square would be a hundred times.
    assert many < 40 * max(few, 0.002)
