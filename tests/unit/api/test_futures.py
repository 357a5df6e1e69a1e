"""The future of one call: states, errors, cancelling, numbers, pickling."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops.errors import (
    CallCancelled,
    CallTimeout,
    LithopsError,
    RemoteError,
    RemoteTraceback,
    ResultError,
    WaitTimeout,
)
from lithops.future import ResponseFuture, batch
from lithops.job.info import JobInfo
from lithops.job.model import Outcome
from lithops.testing import HELD, THREADS, FakeSession, account_of, failure_of, result_of
from tests.unit.api import functions as fn
from tests.unit.api.conftest import Bench


def made(number: int = 0, session: FakeSession | None = None, **fields: Any) -> ResponseFuture:
    info = JobInfo(
        executor_id="e-0", job_id="A000", function_name="f", session=session or FakeSession(), **fields
    )
    return ResponseFuture(info, number)


def test_the_states_of_a_call(bench: Bench) -> None:
    future = made()
    assert (future.new, future.invoked, future.running, future.ready) == (True, False, False, False)
    future._on_submitted(1.0)
    assert (future.state, future.invoked) == ("Invoked", True)
    future._on_running(2.0)
    assert (future.state, future.running) == ("Running", True)
    future._on_outcome(result_of(5))
    assert (future.state, future.ready, future.done) == ("Ready", True, True)
    assert (future.success, future.error) == (True, False)
    status = future.status()
    assert status is not None
    assert (future.state, status["exception"]) == ("Success", False)
    assert (future.result(), future.state) == (5, "Done")
    future._on_running(3.0)
    assert future.state == "Done"


def test_the_first_outcome_counts() -> None:
    future = made()
    future._on_outcome(result_of(1))
    future._on_outcome(failure_of(KeyError("late")))
    assert future.result() == 1
    assert not future.error


def test_who_it_is() -> None:
    future = made(7, runtime_name="python3")
    assert (future.executor_id, future.job_id, future.call_id) == ("e-0", "A000", "00007")
    assert future.activation_id == "e-0-A000-00007"
    assert (future.function_name, future.runtime_name) == ("f", "python3")
    assert made(123456).call_id == "123456"


def test_a_result_is_unpickled_once() -> None:
    future = made()
    future._on_outcome(result_of([1]))
    assert future.result() is future.result()


def test_the_original_exception_comes_with_its_traceback_there(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(fn.fail, "x")
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            future.result()
        assert isinstance(caught.value.__cause__, RemoteTraceback)
        assert "in fail" in str(caught.value.__cause__)
    assert (future.state, future.error, future.success, future.done) == ("Error", True, False, True)
    assert future.result(throw_except=False) is None
    status = future.status(throw_except=False)
    assert status is not None
    assert status["exception"] is True


def test_an_exception_that_does_not_travel_is_told_by_its_text() -> None:
    class Local(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__("text")

    account = pickle.loads(account_of(Local(1, 2)))
    assert account["exception"] is None
    future = made()
    future._on_outcome(failure_of(Local(1, 2), host="h"))
    text = r"(?s)call 00000 of job e-0-A000 on host h: .*Local: text.*Local: text"
    with pytest.raises(RemoteError, match=text):
        future.result()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_would_end_the_program_is_a_remote_error(error: BaseException) -> None:
    future = made()
    future._on_outcome(failure_of(error))
    with pytest.raises(RemoteError, match=type(error).__name__):
        future.result()


def test_an_error_made_here_is_raised_as_it_is() -> None:
    error = CallTimeout("killed after 5 s", host="h")
    future = made()
    future._on_outcome(Outcome(ok=False, host="h", error=error))
    with pytest.raises(TimeoutError) as caught:
        future.result()
    assert caught.value is error


@pytest.mark.parametrize("ok", [True, False])
def test_bytes_that_cannot_be_unpickled(ok: bool) -> None:
    future = made()
    future._on_outcome(Outcome(ok=ok, host="h", body=b"no pickle"))
    with pytest.raises(ResultError):
        future.result()
    assert future.error


def test_a_failed_call_that_was_read_is_not_read_again(fexec: FunctionExecutor) -> None:
    failed = fexec.call_async(fn.fail, 1)
    with pytest.raises(KeyError):
        failed.result()
    fexec.call_async(fn.double, 1)
    assert fexec.get_result() == 2


def test_cancel() -> None:
    session = FakeSession()
    future = made(session=session)
    assert future.cancel() is True
    assert session.cancelled == [future]
    assert future.cancelled
    with pytest.raises(CallCancelled):
        future.result()
    assert future.cancel() is False


def test_a_time_out_of_waiting(bench: Bench) -> None:
    future = bench.executor(HELD).call_async(fn.double, 1)
    with pytest.raises(WaitTimeout, match="00000"):
        future.result(timeout=0)
    with pytest.raises(WaitTimeout):
        future.wait(timeout=0)
    assert future.status(check_only=True) is None
    bench.session.run()
    future.wait()
    assert future.result() == 2


def test_a_thread_that_waits_is_told(bench: Bench) -> None:
    future = bench.executor(THREADS).call_async(fn.double, 1)
    assert future.result(timeout=60) == 2


def test_a_batch_is_one_step_for_those_who_wait() -> None:
    futures = [made(number) for number in range(3)]
    seen: list[int] = []
    entered = threading.Event()

    def look() -> None:
        entered.set()
        futures[0].wait(timeout=60)
        seen.append(sum(future.done for future in futures))

    thread = threading.Thread(target=look)
    thread.start()
    entered.wait(60)
    with batch():
        for future in futures:
            future._on_outcome(result_of(1))
    thread.join(60)
    assert seen == [3]


def test_threads_that_read_at_once_get_the_same_object() -> None:
    future = made()
    future._on_outcome(result_of(list(range(1000))))
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(future.result())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 8
    assert all(value is got[0] for value in got)


def test_stats() -> None:
    from lithops_agent.protocol import STATS

    numbers = {name: float(place) for place, name in enumerate(STATS)}
    numbers.update(worker_func_start_tstamp=10.0, worker_func_end_tstamp=12.0)
    numbers.update(worker_func_cpu_user_time=0.9, worker_func_cpu_system_time=0.1)
    future = made(created_at=1.0, clock=lambda: 20.0)
    assert future.stats == {"host_job_create_tstamp": 1.0}
    future._on_submitted(2.0)
    packed = [numbers[name] for name in STATS]
    future._on_outcome(Outcome(ok=True, host="h", body=pickle.dumps(1), stats=packed))
    future.result()
    stats = future.stats
    assert (stats["host_submit_tstamp"], stats["host_status_done_tstamp"]) == (2.0, 20.0)
    assert (stats["worker_func_exec_time"], stats["worker_func_cpu_usage"]) == (2.0, [50.0])
    assert stats["host_result_done_tstamp"] == 20.0
    for name in ("worker_start_tstamp", "worker_end_tstamp", "worker_exec_time", "worker_func_rss"):
        assert name in stats


def test_pickled_where_it_was_made_it_is_the_same(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(fn.double, 1)
    assert pickle.loads(pickle.dumps(future)) is future


def test_pickled_elsewhere_it_keeps_its_result() -> None:
    future = made(created_at=3.0)
    future._on_outcome(result_of("value", host="h"))
    copy = pickle.loads(pickle.dumps(future))
    assert copy is not future
    assert copy.result() == "value"
    assert copy.stats["worker_host"] == "h"
    failed = made()
    failed._on_outcome(failure_of(KeyError("x")))
    with pytest.raises(KeyError):
        pickle.loads(pickle.dumps(failed)).result()


def test_unbound_it_says_so_and_bound_it_is_collected() -> None:
    copy = pickle.loads(pickle.dumps(made()))
    with pytest.raises(LithopsError, match="not in this process"):
        copy.result()
    copy._bind(FakeSession())
    copy._on_outcome(result_of(4))
    assert copy.result() == 4


def test_adoption() -> None:
    """What came from a worker of another process is adopted, once, with the host where it ran."""
    session = FakeSession(adopted_outcome=lambda child: result_of(child._number * 10))
    stranger = JobInfo(executor_id="other-0", job_id="M000", function_name="g")
    future = made(session=session)
    future._on_outcome(result_of([ResponseFuture(stranger, number) for number in range(3)], host="h"))
    children = future.result()
    assert future.futures
    assert [child.result() for child in children] == [0, 10, 20]
    assert [(child.call_id, host) for child, host in session.adopted] == [(f"0000{n}", "h") for n in range(3)]
    assert future.result() is children


def test_values_that_only_mention_futures_are_values() -> None:
    future = made()
    future._on_outcome(result_of("lithops.future"))
    assert future._may_have_children
    assert not future.futures
    assert future.result() == "lithops.future"
    for value in ([], [1], (made(),), {"f": 1}):
        other = made()
        other._on_outcome(result_of(value))
        assert not other.futures
