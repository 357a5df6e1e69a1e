"""How executors and futures look."""

from __future__ import annotations

import pytest

from lithops.display import tally
from lithops.future import ResponseFuture
from lithops.futures_list import FuturesList
from lithops.job.info import JobInfo
from lithops.job.model import Outcome
from lithops.testing import HELD, FakeSession, failure_of, result_of
from lithops_agent.protocol import STATS
from tests.unit.api import functions as fn
from tests.unit.api.conftest import Bench


def made(number: int = 0, name: str = "f") -> ResponseFuture:
    info = JobInfo(executor_id="e-0", job_id="M000", function_name=name, session=FakeSession())
    return ResponseFuture(info, number)


def ended(outcome: Outcome, number: int = 0) -> ResponseFuture:
    future = made(number)
    future._on_outcome(outcome)
    return future


def numbers(**known: float) -> list[float]:
    return [known.get(name, 0.0) for name in STATS]


def test_a_call_in_a_line() -> None:
    future = made(17)
    assert repr(future) == "<ResponseFuture e-0-M000-00017 f() New>"
    future._on_running(1.0)
    assert repr(future) == "<ResponseFuture e-0-M000-00017 f() Running>"
    stats = numbers(worker_func_start_tstamp=10.0, worker_func_end_tstamp=11.25)
    future._on_outcome(Outcome(ok=True, host="h", body=b"never unpickled", stats=stats))
    assert repr(future) == "<ResponseFuture e-0-M000-00017 f() Ready on h, 1.25 s>"
    assert future.state == "Ready", "to look changes nothing"


def test_calls_are_counted_the_worst_first() -> None:
    running = made()
    running._on_running(1.0)
    futures = [ended(result_of(1)), ended(failure_of(ValueError("no"))), running, made()]
    assert tally(futures) == "4 calls: 1 failed, 1 done, 1 running, 1 waiting"
    assert tally([made()]) == "1 call: 1 waiting"


def test_an_executor_in_a_line(bench: Bench) -> None:
    fexec = bench.executor()
    assert repr(fexec) == f"<FunctionExecutor {fexec.executor_id} on localhost>"
    fexec.map(fn.add, [(1, 2), (3, 4)])
    fexec.wait()
    assert repr(fexec) == f"<FunctionExecutor {fexec.executor_id} on localhost, 2 calls: 2 done>"


def test_notebooks_get_tables(bench: Bench) -> None:
    fexec = bench.executor()
    assert "No calls yet." in fexec._repr_html_()
    futures = fexec.map(fn.add, [(1, 2), (3, 4)])
    fexec.wait()
    row = "<td>add()</td><td>2</td><td>2</td><td>0</td><td>0</td><td>1</td>"
    assert f"<tr><td>{futures[0].job_id}</td>{row}</tr>" in fexec._repr_html_()
    assert f"<tr>{row}</tr>" in futures._repr_html_()
    assert "<tr><td>state</td><td>Success</td></tr>" in futures[0]._repr_html_()
    assert "0 futures" in FuturesList()._repr_html_()


def test_the_newest_jobs_of_an_executor_are_shown(bench: Bench) -> None:
    fexec = bench.executor()
    for _ in range(12):
        fexec.call_async(fn.add, (1, 2))
    shown = fexec._repr_html_()
    assert "2 earlier jobs are not shown." in shown
    assert "A011" in shown
    assert "A001" not in shown


@pytest.mark.parametrize("name", ["<lambda>", "<script>"])
def test_names_are_no_markup(name: str) -> None:
    assert f"<td>{name}" not in made(name=name)._repr_html_()
    assert "&lt;" in made(name=name)._repr_html_()


def test_a_held_call_is_waiting_or_sent(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    fexec.call_async(fn.add, (1, 2))
    assert repr(fexec).endswith("1 call: 1 sent>")
