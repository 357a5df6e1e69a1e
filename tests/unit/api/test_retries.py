"""RetryingFunctionExecutor: exact numbers of attempts."""

from __future__ import annotations

from collections import Counter
from typing import Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops import FunctionExecutor, RetryingFunctionExecutor
from lithops.errors import CallTimeout, WaitTimeout
from lithops.job.model import Job, Outcome
from lithops.testing import HELD, FakeSession, Script, failure_of
from lithops.wait import ANY_COMPLETED
from tests.unit.api import functions as fn
from tests.unit.api.conftest import Bench

Plan = dict[int, list[str]]
"""How the first attempts of a call end, by its number: "error", "time-out"."""


def script_of(plan: Plan, attempts: Counter[int]) -> Script:
    def script(job: Job, number: int) -> Optional[Outcome]:
        attempt, attempts[number] = attempts[number], attempts[number] + 1
        if attempt >= len(plan.get(number, [])):
            return None
        if plan[number][attempt] == "time-out":
            return Outcome(ok=False, host="h", error=CallTimeout("killed"))
        return failure_of(RuntimeError(f"attempt {attempt + 1} of {number}"))

    return script


@pytest.mark.parametrize(
    ("plan", "counts"),
    [
        ({}, [1, 1, 1]),
        ({0: ["error"], 1: ["error"], 2: ["error"]}, [2, 2, 2]),
        ({0: ["error"] * 2, 1: ["error"] * 2, 2: ["error"] * 2}, [3, 3, 3]),
        ({0: ["time-out"]}, [2, 1, 1]),
    ],
)
def test_success(bench: Bench, plan: Plan, counts: list[int]) -> None:
    attempts: Counter[int] = Counter()
    with RetryingFunctionExecutor(bench.executor(script=script_of(plan, attempts))) as executor:
        futures = executor.map(fn.double, range(3), timeout=5, retries=2)
        done, pending = executor.wait(futures, throw_except=False)
    assert (done, pending) == (futures, [])
    assert [future.result() for future in done] == [0, 2, 4]
    assert [attempts[number] for number in range(3)] == counts
    assert all(job.retries == 0 and job.timeout == 5 for job in bench.session.jobs)


def test_too_many_failures(bench: Bench) -> None:
    attempts: Counter[int] = Counter()
    plan = {0: ["error"], 2: ["error"] * 3}
    executor = RetryingFunctionExecutor(bench.executor(script=script_of(plan, attempts)))
    futures = executor.map(fn.double, range(3), retries=2)
    done, pending = executor.wait(futures, throw_except=False)
    assert (len(done), pending) == (3, [])
    assert dict(attempts) == {0: 2, 1: 1, 2: 3}
    assert [future.error for future in done] == [False, False, True]
    assert done[2].failure_count == 3
    with pytest.raises(RuntimeError, match="attempt 3 of 2"):
        done[2].result()
    with pytest.raises(RuntimeError):
        done[2].status()


def test_throwing_waits_for_the_last_attempt(bench: Bench) -> None:
    attempts: Counter[int] = Counter()
    executor = RetryingFunctionExecutor(bench.executor(script=script_of({0: ["error"] * 9}, attempts)))
    with pytest.raises(RuntimeError, match="attempt 3"):
        executor.wait(executor.map(fn.double, [1], retries=2))
    assert attempts[0] == 3


@settings(max_examples=50, deadline=None)
@given(failures=st.lists(st.integers(0, 5), max_size=6), retries=st.integers(0, 4))
def test_the_number_of_attempts_is_exact(failures: list[int], retries: int) -> None:
    attempts: Counter[int] = Counter()
    plan: Plan = {number: ["error"] * count for number, count in enumerate(failures)}
    fexec = FunctionExecutor(config={}, log_level=None)
    session = FakeSession(script=script_of(plan, attempts))
    fexec._session_factory = lambda settings, executor_id: session
    executor = RetryingFunctionExecutor(fexec)
    done, pending = executor.wait(
        executor.map(fn.double, range(len(failures)), retries=retries), throw_except=False
    )
    assert (len(done), pending) == (len(failures), [])
    expected = [min(count, retries) + 1 for count in failures]
    assert [attempts[number] for number in range(len(failures))] == expected


def test_retries_of_the_configuration(bench: Bench) -> None:
    attempts: Counter[int] = Counter()
    fexec = bench.executor(script=script_of({0: ["error"] * 9}, attempts), retries=3)
    executor = RetryingFunctionExecutor(fexec)
    executor.wait(executor.map(fn.double, [1]), throw_except=False)
    assert attempts[0] == 4


def test_the_id_of_a_call_stays(bench: Bench) -> None:
    executor = RetryingFunctionExecutor(bench.executor(script=script_of({1: ["error"]}, Counter())))
    futures = executor.map(lambda x, id: (x, id), ["a", "b"], retries=1)
    executor.wait(futures)
    assert [future.result() for future in futures] == [("a", 0), ("b", 1)]


def test_a_cancelled_call_is_not_run_again(bench: Bench) -> None:
    executor = RetryingFunctionExecutor(bench.executor(HELD))
    first, second = executor.map(fn.double, [1, 2], retries=5)
    first.cancel()
    bench.session.run()
    done, pending = executor.wait([first, second], throw_except=False)
    assert (done, pending) == ([first, second], [])
    assert (first.error, second.result(), len(bench.session.submitted)) == (True, 4, 2)


def test_any_and_time_out(bench: Bench) -> None:
    executor = RetryingFunctionExecutor(bench.executor(HELD))
    futures = executor.map(fn.double, [1, 2], retries=1)
    with pytest.raises(WaitTimeout, match="0 of 2 calls"):
        executor.wait(futures, timeout=0)
    bench.session.run(1)
    assert executor.wait(futures, return_when=ANY_COMPLETED) == ([futures[0]], [futures[1]])
    executor.clean(futures)
