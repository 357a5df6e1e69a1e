"""What agents refuse, and what becomes of the calls."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable

import pytest

from lithops.errors import (
    HostDiskFull,
    HostError,
    HostLost,
)
from lithops_agent import protocol
from lithops_agent.protocol import Problem, Status
from tests.unit.dispatch.conftest import Bench, blob, echo


def test_blobs_that_an_agent_dropped_are_sent_again(bench: Bench) -> None:
    agent = bench.agent(echo)
    bench.open(agent)
    bench.values(bench.submit(1))
    agent.blobs.clear()
    assert bench.values(bench.submit(3)) == [0, 1, 2]
    assert agent.blobs == {blob(b"the function").sha256: b"the function"}


@pytest.mark.parametrize("kind", [Problem.MISSING_BLOBS, Problem.UNKNOWN_JOB])
def test_an_agent_that_never_has_what_it_is_sent_is_not_asked_for_ever(bench: Bench, kind: str) -> None:
    agent = bench.agent(echo)
    bench.open(agent)
    agent.refusals = [(409, {"type": kind, "detail": "again and again"})] * 100
    error = bench.error(bench.submit(1)[0], HostError)
    assert "again and again" in str(error)
    assert 96 <= len(agent.refusals) <= 98


def test_an_agent_that_ends_is_started_again_and_asked_again(bench: Bench) -> None:
    agent = bench.agent(echo)
    bench.open(agent)
    agent.refusals = [(503, {"type": Problem.DRAINING, "detail": "the agent is ending"})] * 3
    assert bench.values(bench.submit(2)) == [0, 1]
    assert bench.machines["a"].opened == 4


def test_an_agent_that_always_ends_is_given_up(bench: Bench) -> None:
    agent = bench.agent(echo)
    bench.open(agent, lost_after=0.3)
    agent.refusals = [(503, {"type": Problem.DRAINING, "detail": "the agent is ending"})] * 1000
    error = bench.error(bench.submit(1)[0], HostLost)
    assert "it is being dismantled" in str(error)
    assert bench.machines["a"].opened < 10


def test_a_full_disk_fails_what_was_to_be_submitted_and_nothing_else(bench: Bench) -> None:
    agent = bench.agent()
    bench.open(agent)
    before = bench.submit(1)
    agent.wait_for(lambda: len(agent.calls) == 1)
    agent.refusals = [(507, {"type": Problem.NO_SPACE, "detail": "no space left"})]
    error = bench.error(bench.submit(1)[0], HostDiskFull)
    assert (error.host, error.phase) == ("a", "submit")
    agent.answer = echo
    agent.finish(before[0].job_key, 0, Status.SUCCESS, pickle.dumps("before"))
    assert bench.values(before + bench.submit(1)) == ["before", 0]


def test_what_a_full_host_refuses_runs_on_another(bench: Bench) -> None:
    full, roomy = bench.agent(echo), bench.agent(echo)
    full.refusals = [(507, {"type": Problem.NO_SPACE, "detail": "no space left"})] * 9
    bench.open(full, roomy)
    bench.values(bench.submit(1))
    bench.wait_for_hosts()
    assert bench.values(bench.submit(6)) == list(range(6))
    assert full.calls == {}


def test_other_refusals_fail_the_calls(bench: Bench) -> None:
    agent = bench.agent(echo)
    bench.open(agent)
    agent.refusals = [(500, {"type": Problem.INTERNAL, "detail": "KeyError: 'x'"})]
    error = bench.error(bench.submit(1)[0], HostError)
    assert "KeyError: 'x'" in str(error)
    assert bench.values(bench.submit(1)) == [0]


@pytest.mark.parametrize("endpoint", [protocol.RESULTS, protocol.INFO], ids=lambda e: e.path)
def test_an_agent_that_refuses_whatever_it_is_asked_is_given_up(
    bench: Bench, endpoint: protocol.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = bench.agent()
    bench.open(agent, lost_after=0.3)
    futures = bench.submit(1)
    agent.wait_for(lambda: len(agent.calls) == 1)
    monkeypatch.setattr(agent, endpoint.path.rpartition("/")[2], lambda asked: None)
    agent.token = "another"
    bench.machines["a"].cut()
    monkeypatch.setattr(bench.machines["a"], "open", _with_token(bench.machines["a"].open, "token"))
    error = bench.error(futures[0], HostError)
    assert "no valid token" in str(error)


def _with_token(opening: Callable[[], object], token: str) -> Callable[[], object]:

    return lambda: dataclasses.replace(opening(), token=token)  # type: ignore[type-var]


def test_a_large_result_that_is_gone_fails_its_call(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = bench.agent(echo)
    bench.open(agent)
    bench.values(bench.submit(1))
    body = agent.body
    monkeypatch.setattr(agent, "body", lambda seq: body(-1))
    error = bench.error(bench.submit(1, data=bytes(100_000))[0], HostError)
    assert "no body is kept" in str(error)
    assert bench.values(bench.submit(1)) == [0]
