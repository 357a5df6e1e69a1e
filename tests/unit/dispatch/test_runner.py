"""The threads of a host: none dies unseen, and how long they go on trying."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from lithops.backends.machine import FixedSupply, Link
from lithops.dispatch.client import AgentClient
from lithops.dispatch.jobs import SessionOptions
from lithops.dispatch.patience import Patience
from lithops.dispatch.session import RemoteSession
from lithops.errors import HostError, HostUnreachable
from lithops.future import ResponseFuture
from lithops.job.info import JobInfo
from lithops.job.model import Blob, Job
from lithops.ssh.http import open_local
from lithops_agent.protocol import Status
from tests.unit.dispatch.conftest import PATIENCE, Bench, blob, echo

# ---- errors that nobody thought of ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["info", "results", "submit", "body"])
@pytest.mark.parametrize(
    "error", [RuntimeError("a surprise"), EOFError(), KeyError("x")], ids=lambda e: type(e).__name__
)
def test_an_error_in_a_thread_reaches_the_calls(
    bench: Bench,
    method: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    thread_errors: list[BaseException | None],
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise error

    agent = bench.agent(echo if method == "body" else None)
    bench.open(agent)
    with monkeypatch.context() as patch:
        patch.setattr(AgentClient, method, fail)
        for future in bench.submit(3, data=bytes(100_000)):
            failure = bench.error(future, HostError)
            assert "an error that should not occur" in str(failure)
            assert type(error).__name__ in str(failure)
            assert failure.host == "a"
            assert failure.__cause__ is error
    assert thread_errors == []
    # The session goes on with the next call.
    agent.answer = echo
    assert bench.values(bench.submit(2)) == [0, 1]


def test_an_error_while_a_link_is_opened_reaches_the_calls(bench: Bench) -> None:
    bench.open(bench.agent(echo))
    bench.machines["a"].failures = [OSError("no file descriptors left")]
    assert "no file descriptors left" in str(bench.error(bench.submit(1)[0], HostError))
    assert bench.values(bench.submit(2)) == [0, 1]


def test_an_error_in_the_thread_of_one_host_leaves_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = [bench.agent(), bench.agent(agent_id="other")]
    bench.open(*agents)
    bench.machines["b"].gate.clear()
    futures = bench.submit(4)
    agents[0].wait_for(lambda: len(agents[0].calls) == 4)
    bench.machines["b"].gate.set()
    bench.wait_for_hosts()
    collector = bench.session.hosts.runners["a"].collector
    monkeypatch.setattr(collector, "_hand_over", lambda records: 1 / 0)
    agents[1].answer = echo
    agents[0].finish(futures[0].job_key, 0, Status.SUCCESS, pickle.dumps("is not handed over"))
    for job, number in list(agents[1].calls):
        agents[1].finish(job, number, Status.SUCCESS, pickle.dumps(number))
    assert bench.values(futures) == [0, 1, 2, 3]


def test_an_error_while_results_are_adopted_reaches_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = bench.open(bench.agent())
    results = AgentClient.results

    def fail(client: AgentClient, name: str, after: int, wait: float) -> Any:
        if name == "nested":
            raise RuntimeError("a surprise")
        return results(client, name, after, wait)

    monkeypatch.setattr(AgentClient, "results", fail)
    futures = bench.futures(bench.job("J"), range(2), "nested")
    session.adopt(futures, "a")
    for future in futures:
        assert "a surprise" in str(bench.error(future, HostError))


def test_an_outcome_that_cant_be_read_fails_its_call_only(bench: Bench) -> None:
    agent = bench.agent()
    bench.open(agent)
    bad, good = bench.submit(2)
    agent.wait_for(lambda: len(agent.calls) == 2)
    agent.finish(bad.job_key, 0, Status.BAD_RESULT, b"garbage")
    agent.finish(good.job_key, 1, Status.SUCCESS, pickle.dumps("good"))
    assert bench.values([good]) == ["good"]
    bad.wait(timeout=PATIENCE)
    assert bad.error


def test_a_script_may_submit_again_as_soon_as_a_call_has_failed(bench: Bench) -> None:
    """The thread that gave the host up is on its way out then, and must not be taken for one that works."""
    session = bench.open(bench.agent(echo))
    machine = bench.machines["a"]
    for _ in range(50):
        machine.failures = [HostUnreachable("no route", host="a")]
        bench.error(bench.submit(1)[0], HostUnreachable)
        assert bench.values(bench.submit(1)) == [0]
        session.dismantle()


# ---- patience ---------------------------------------------------------------------------------------


def test_the_first_try_is_at_once_and_pauses_grow_to_a_limit() -> None:
    patience = Patience()
    pauses = [patience.failed(100.0, 1000.0) for _ in range(10)]
    assert pauses == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


@pytest.mark.parametrize(("now", "pause"), [(109.8, 0.1), (109.9, 0.1), (109.91, None), (500.0, None)])
def test_patience_ends_when_the_next_try_would_be_too_late(now: float, pause: float | None) -> None:
    patience = Patience()
    assert patience.failed(100.0, 10.0) == 0.0
    assert patience.failed(now, 10.0) == pause


def test_patience_starts_anew_after_it_worked() -> None:
    patience = Patience()
    patience.failed(100.0, 10.0)
    patience.failed(100.0, 10.0)
    patience.worked()
    assert patience.failed(500.0, 10.0) == 0.0


def test_without_patience_the_first_failure_still_allows_one_try_at_once() -> None:
    patience = Patience()
    assert patience.failed(100.0, 0.0) == 0.0
    assert patience.failed(100.0, 0.0) is None


# ---- with the agent's own application ---------------------------------------------------------------


class RealMachine:
    """The agent's application in this process, with workers of its own."""

    name = "real"

    def __init__(self, folder: Path) -> None:
        from werkzeug.serving import make_server

        from lithops_agent.api import create_app
        from lithops_agent.keeper import Policy
        from lithops_agent.service import Agent
        from tests.unit.agent.pools import worker_path

        self.agent = Agent(
            folder / "home",
            processes=2,
            worker_path=worker_path(folder),
            bundle="test",
            policy=Policy(soft=None, hard=None),
            end=lambda reason: None,
        )
        self.agent.start()
        self._server = make_server("127.0.0.1", 0, create_app(self.agent, "token"), threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def open(self) -> Link:
        return Link(
            host=self.name,
            agent_id=self.agent.info()["agent_id"],
            token="token",
            runtime=sys.executable,
            opener=open_local(self._server.port),
            close=lambda: None,
        )

    def find(self) -> Link:
        return self.open()

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        ask(self.open(), "remove")

    def close(self) -> None:
        self._server.shutdown()
        self.agent.pool.stop()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealMachine]:
    machine = RealMachine(tmp_path)
    yield machine
    machine.close()


def run(session: RemoteSession, function: Any, arguments: list[Any], job_id: str) -> list[ResponseFuture]:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    code: Blob = blob(cloudpickle.dumps(function))
    job = Job(
        job_id=job_id,
        executor_id="session",
        function_name="f",
        function=code,
        modules=None,
        total_calls=len(arguments),
    )
    info = JobInfo(
        executor_id="session", job_id=job_id, function_name="f", total_calls=len(arguments), session=session
    )
    futures = [ResponseFuture(info, number) for number in range(len(arguments))]
    session.submit(job, [(f, pickle.dumps(((a,), {}))) for f, a in zip(futures, arguments)])
    return futures


def test_a_session_on_the_real_agent(real: RealMachine) -> None:
    session = RemoteSession(
        FixedSupply([real]), "session", SessionOptions(soft_timeout=None, hard_timeout=None)
    )
    small = run(session, lambda x: x + 1, list(range(500)), "M000")
    large = run(session, lambda size: bytes(size), [3_000_000] * 3, "M001")
    wrong = run(session, lambda x: 1 / x, [0], "M002")
    assert [future.result(timeout=PATIENCE) for future in small] == list(range(1, 501))
    assert [len(future.result(timeout=PATIENCE)) for future in large] == [3_000_000] * 3
    with pytest.raises(ZeroDivisionError):
        wrong[0].result(timeout=PATIENCE)
    session.close()
    # Nothing is left behind: jobs that were seen are released.
    waiting, running = real.agent.pool.snapshot()
    assert (waiting, running) == ({}, [])
    assert real.agent.journal.spec("session-M000") is None
