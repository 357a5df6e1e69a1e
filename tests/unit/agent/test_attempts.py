"""Attempts of calls: counted, excused and given up."""

from __future__ import annotations

import pytest

from lithops_agent.attempts import Attempts


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_call_is_begun_once_more_than_it_may_be_retried(retries: int) -> None:
    attempts = Attempts()
    for attempt in range(1, retries + 1):
        assert attempts.of([7]) == ((7, attempt),)
        assert attempts.failed(7, retries)
    assert not attempts.failed(7, retries)
    assert attempts.of([7, 8]) == ((7, retries + 1), (8, 1))


def test_attempts_that_ended_with_the_agent_cost_no_retry() -> None:
    attempts = Attempts()
    attempts.resumed(7, attempt=3, excused=2)
    assert attempts.of([7]) == ((7, 3),)
    assert attempts.failed(7, 1)
    assert attempts.of([7]) == ((7, 4),)
    assert not attempts.failed(7, 1)


def test_those_that_ended_otherwise_do() -> None:
    attempts = Attempts()
    attempts.resumed(7, attempt=3, excused=1)
    assert not attempts.failed(7, 1)


def test_nothing_is_kept_of_a_call_that_is_over() -> None:
    attempts = Attempts()
    attempts.over(7)
    attempts.resumed(7, attempt=3, excused=2)
    attempts.failed(8, 5)
    attempts.over(7)
    assert attempts.of([7, 8]) == ((7, 1), (8, 2))
    assert attempts.failed(7, 1)
    assert not attempts.failed(7, 1), "nothing is excused any more"
