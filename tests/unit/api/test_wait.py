"""wait and get_result over many futures, of one executor and of several."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lithops
from lithops.errors import CallCancelled, CallTimeout, WaitTimeout
from lithops.future import ResponseFuture
from lithops.job.model import Outcome
from lithops.job.waiting import Waiter
from lithops.testing import HELD, THREADS, result_of
from lithops.wait import ALL_COMPLETED, ALWAYS, ANY_COMPLETED, get_result, target_of, wait
from tests.unit.api import functions as fn
from tests.unit.api.conftest import Bench
from tests.unit.api.test_futures import made


def test_names() -> None:
    assert (ALL_COMPLETED, ANY_COMPLETED, ALWAYS) == (100, 1, 0)
    assert lithops.wait is wait
    assert lithops.get_result is get_result


@pytest.mark.parametrize(
    ("ran", "return_when", "done"),
    [(0, ALWAYS, 0), (3, ALWAYS, 3), (1, ANY_COMPLETED, 1), (5, 50, 5), (3, 25, 3), (10, ALL_COMPLETED, 10)],
)
def test_return_when(bench: Bench, ran: int, return_when: float, done: int) -> None:
    fexec = bench.executor(HELD)
    futures = fexec.map(fn.double, range(10))
    bench.session.run(ran)
    ended, others = fexec.wait(futures, return_when=return_when, timeout=0)
    assert ended == futures[:done]
    assert others == futures[done:]


@pytest.mark.parametrize(("ran", "return_when"), [(0, ANY_COMPLETED), (4, 50), (9, ALL_COMPLETED)])
def test_a_time_out_names_counts(bench: Bench, ran: int, return_when: float) -> None:
    fexec = bench.executor(HELD)
    fexec.map(fn.double, range(10))
    bench.session.run(ran)
    with pytest.raises(WaitTimeout, match=f"{ran} of 10 calls have ended within 0 s; {10 - ran} go on"):
        fexec.wait(return_when=return_when, timeout=0)
    bench.session.run()
    assert fexec.get_result() == [2 * x for x in range(10)]


@given(total=st.integers(0, 10**6), percentage=st.integers(2, 100))
def test_a_percentage_is_reached_exactly(total: int, percentage: int) -> None:
    target = target_of(percentage, total)
    assert target * 100 >= total * percentage
    assert target == 0 or (target - 1) * 100 < total * percentage


@pytest.mark.parametrize("return_when", [-2, 101])
def test_what_is_no_percentage(bench: Bench, return_when: float) -> None:
    with pytest.raises(ValueError, match="percentage"):
        bench.executor().wait(return_when=return_when)


def test_nothing_to_wait_for(bench: Bench) -> None:
    fexec = bench.executor()
    assert fexec.wait() == ([], [])
    assert fexec.get_result() == []
    assert wait([]) == ([], [])


def test_futures_of_several_executors(bench: Bench) -> None:
    first, second = bench.executor(THREADS), bench.executor(THREADS)
    futures = [first.call_async(fn.double, 1), *second.map(fn.double, [2, 3])]
    done, not_done = wait(futures, timeout=60)
    assert (done, not_done) == (futures, [])
    assert get_result(futures) == [2, 4, 6]


def test_the_first_failure_is_raised_while_others_go_on(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    futures = fexec.map(fn.fail_on_one, range(4))
    bench.session.run(2)
    with pytest.raises(LookupError):
        fexec.wait()
    assert not futures[3].done
    assert bench.session.cancelled == []
    bench.session.run()
    assert futures[3].result() == 3
    # After a failure, get_result() is about what comes later.
    fexec.call_async(fn.double, 1)
    bench.session.run()
    assert fexec.get_result() == 2


def test_without_throwing_a_failure_is_none(bench: Bench) -> None:
    fexec = bench.executor()
    fexec.map(fn.fail_on_one, range(3))
    done, not_done = fexec.wait(throw_except=False)
    assert [future.error for future in done] == [False, True, False]
    assert not_done == []
    assert fexec.get_result(throw_except=False) == [0, None, 2]


def test_the_time_out_of_a_call_is_not_that_of_the_wait(bench: Bench) -> None:
    error = CallTimeout("killed")
    fexec = bench.executor(script=lambda job, number: Outcome(ok=False, host="h", error=error))
    fexec.call_async(fn.double, 1)
    with pytest.raises(CallTimeout):
        fexec.get_result()
    assert fexec.get_result() == []


def test_an_interrupt_cancels_what_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fexec = bench.executor(HELD)
    futures = fexec.map(fn.double, range(4))
    other = fexec.call_async(fn.double, 1)
    bench.session.run(1)

    def interrupted(self: Waiter, target: int, timeout: object) -> list[ResponseFuture]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Waiter, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fexec.wait(futures)
    monkeypatch.undo()
    assert bench.session.cancelled == futures[1:]
    assert not other.done
    with pytest.raises(CallCancelled):
        futures[1].result()


def test_an_interrupt_at_one_result_cancels_its_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fexec = bench.executor(HELD)
    futures = fexec.map(fn.double, range(4))
    other = fexec.call_async(fn.double, 1)

    def interrupted(self: Waiter, target: int, timeout: object) -> list[ResponseFuture]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Waiter, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        futures[2].result()
    assert {id(future) for future in bench.session.cancelled} == {id(future) for future in futures}
    assert not other.done


def test_results_that_come_while_it_waits(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    fexec.map(fn.double, range(100))
    thread = threading.Thread(target=lambda: [bench.session.run(7) for _ in range(15)])
    thread.start()
    assert fexec.get_result(timeout=60) == [2 * x for x in range(100)]
    thread.join(60)


def test_a_wait_that_ended_leaves_nothing_behind() -> None:
    futures = [made(number) for number in range(3)]
    futures[0]._on_outcome(result_of(0))
    wait(futures, return_when=ANY_COMPLETED)
    with pytest.raises(WaitTimeout):
        wait(futures, timeout=0)
    assert [future._watchers for future in futures] == [None] * 3


@given(st.permutations(range(8)), st.integers(0, 8))
def test_the_order_of_ending_does_not_matter(order: list[int], ended: int) -> None:
    futures = [made(number) for number in range(8)]
    for number in order[:ended]:
        futures[number]._on_outcome(result_of(number))
    done, not_done = wait(futures, return_when=ALWAYS)
    assert [future._number for future in done] == sorted(order[:ended])
    assert [future._number for future in not_done] == sorted(order[ended:])


def test_what_is_no_future(bench: Bench) -> None:
    with pytest.raises(TypeError, match="not a int"):
        wait([1])  # type: ignore[list-item]


def test_the_same_future_twice(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    future = fexec.call_async(fn.double, 1)
    watched: list[Any] = [future, future]
    assert wait(watched, return_when=ALWAYS) == ([], watched)
    bench.session.run()
    assert fexec.get_result(watched) == [2, 2]
