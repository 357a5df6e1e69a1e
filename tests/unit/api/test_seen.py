"""When hosts may forget a job: the program has been told how all of its calls ended."""

from __future__ import annotations

import pytest

from lithops.testing import HELD
from tests.unit.api.conftest import Bench


def double(x: int) -> int:
    return 2 * x


def fail_on_two(x: int) -> int:
    if x == 2:
        raise ValueError(x)
    return x


def test_a_job_is_seen_when_its_last_result_is_read(bench: Bench) -> None:
    futures = bench.executor().map(double, range(3))
    for future in futures[:2]:
        future.result()
        future.result()
    assert bench.session.seen == []
    futures[2].result()
    assert bench.session.seen == [futures[0].job_key]


@pytest.mark.parametrize("how", ["wait", "get_result", "status"])
def test_each_way_to_ask_counts(bench: Bench, how: str) -> None:
    fexec = bench.executor()
    futures = fexec.map(double, range(3))
    if how == "status":
        for future in futures:
            future.status()
    else:
        getattr(fexec, how)(futures)
    assert bench.session.seen == [futures[0].job_key]


def test_a_failure_that_is_thrown_leaves_the_others_to_be_asked_for(bench: Bench) -> None:
    fexec = bench.executor()
    futures = fexec.map(fail_on_two, range(4))
    with pytest.raises(ValueError, match="2"):
        fexec.get_result(futures)
    assert bench.session.seen == []
    fexec.wait(futures, throw_except=False)
    assert bench.session.seen == [futures[0].job_key]


def test_looking_at_a_future_is_not_seeing_it(bench: Bench) -> None:
    (future,) = bench.executor().map(double, [1])
    assert future.done
    assert future.success
    assert bench.session.seen == []


def test_a_call_that_goes_on_was_not_seen(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    futures = fexec.map(double, range(2))
    assert futures[0].status(check_only=True) is None
    fexec.wait(futures, return_when=0)
    assert bench.session.seen == []
