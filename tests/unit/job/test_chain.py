"""Calls that wait for the results of others: many at once, in every order of ending."""

from __future__ import annotations

import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops import FunctionExecutor
from lithops.errors import HostLost
from lithops.job.model import Job
from lithops.testing import HELD, INLINE, FakeSession, failure_of, result_of
from tests.unit.api import functions as fn


def executor(session: FakeSession) -> FunctionExecutor:
    fexec = FunctionExecutor(config={}, log_level=None)
    fexec._session_factory = lambda settings, executor_id: session
    return fexec


def threads_of(fexec: FunctionExecutor) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"lithops-{fexec.executor_id}"]


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_every_order_of_ending(order: list[int], failing: set[int]) -> None:
    session = FakeSession(HELD)
    fexec = executor(session)
    inputs = fexec.map(fn.double, range(6))
    outputs = fexec.map(lambda x: x + 1, inputs)
    total = fexec.map_reduce(fn.double, inputs, fn.total)[-1]
    session.how = INLINE
    for number in order:
        failed = failure_of(LookupError(number)) if number in failing else result_of(2 * number)
        inputs[number]._on_outcome(failed)
    for number, output in enumerate(outputs):
        if number in failing:
            with pytest.raises(LookupError):
                output.result(timeout=60)
        else:
            assert output.result(timeout=60) == 2 * number + 1
    if failing:
        with pytest.raises(LookupError):
            total.result(timeout=60)
    else:
        assert total.result(timeout=60) == 60


def test_one_thread_that_ends_with_its_work() -> None:
    session = FakeSession(HELD)
    fexec = executor(session)
    inputs = fexec.map(fn.double, range(100))
    outputs = fexec.map(fn.double, inputs)
    (thread,) = threads_of(fexec)
    session.how = INLINE
    session.run()
    assert [output.result(timeout=60) for output in outputs] == [4 * x for x in range(100)]
    thread.join(60)
    assert threads_of(fexec) == []
    assert fexec.map(fn.double, outputs).get_result(timeout=60) == [8 * x for x in range(100)]


def test_a_session_that_refuses_fails_the_calls() -> None:
    class Refusing(FakeSession):
        def submit(self, job: Job, calls: object) -> None:
            if job.job_id == "M001":
                raise HostLost("gone", host="h")
            super().submit(job, calls)  # type: ignore[arg-type]

    fexec = executor(Refusing())
    outputs = fexec.map(fn.double, fexec.map(fn.double, [1, 2]))
    for output in outputs:
        with pytest.raises(HostLost):
            output.result(timeout=60)


def test_results_that_do_not_fit_fail_the_call_that_gets_them() -> None:
    fexec = executor(FakeSession())
    output = fexec.map(lambda x: (x, x, x), [1]).map(fn.double)[0]
    with pytest.raises(TypeError, match="takes 1 argument"):
        output.result(timeout=60)


def test_a_reducer_that_was_cancelled_is_not_submitted() -> None:
    session = FakeSession(HELD)
    fexec = executor(session)
    futures = fexec.map_reduce(fn.double, [1, 2], fn.total)
    futures[-1].cancel()
    session.run()
    threads = threads_of(fexec)
    for thread in threads:
        thread.join(60)
    assert [job.job_id for job in session.jobs] == ["M000"]
    assert futures[-1].cancelled


def test_in_a_worker_a_future_leaves_when_its_call_is_with_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_WORKER", "/of/the/agent")
    session = FakeSession(HELD)
    fexec = FunctionExecutor()
    fexec._session_factory = lambda settings, executor_id: session
    futures = fexec.map_reduce(fn.double, [1, 2], fn.total)
    left = threading.Event()

    def leave() -> None:
        pickle.dumps(futures)
        left.set()

    threading.Thread(target=leave, daemon=True).start()
    assert not left.wait(0.05)
    session.run()
    assert left.wait(60)
    assert [job.job_id for job in session.jobs] == ["M000", "R000"]


def test_elsewhere_a_future_can_be_pickled_at_once() -> None:
    fexec = executor(FakeSession(HELD))
    pickle.dumps(fexec.map_reduce(fn.double, [1, 2], fn.total))
