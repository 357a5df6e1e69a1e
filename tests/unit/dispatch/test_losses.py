"""Sessions on several hosts, and on hosts and links that are lost."""

from __future__ import annotations

import dataclasses
import pickle
import time

import pytest

from lithops.errors import (
    AuthenticationError,
    HostLost,
    HostUnreachable,
)
from lithops_agent import protocol
from lithops_agent.protocol import Status
from tests.unit.dispatch.conftest import PATIENCE, Bench, echo

# ---- several hosts ----------------------------------------------------------------------------------


def test_calls_are_spread_by_slots(bench: Bench) -> None:
    agents = [bench.agent(echo, processes=1), bench.agent(echo, processes=3)]
    bench.open(*agents)
    bench.values(bench.submit(2))
    bench.wait_for_hosts()
    for agent in agents:
        agent.answer = lambda job, number, data: None
    futures = bench.submit(80)
    agents[1].wait_for(lambda: len(agents[1].calls) == 60)
    agents[0].wait_for(lambda: len(agents[0].calls) == 20)
    for agent in agents:
        for job, number in list(agent.calls):
            agent.finish(job, number, Status.SUCCESS, pickle.dumps(number))
    assert bench.values(futures) == list(range(80))


def test_calls_that_wait_move_to_a_host_that_is_ready_later(bench: Bench) -> None:
    slow, late = bench.agent(processes=1), bench.agent(echo, processes=1, agent_id="late")
    bench.open(slow, late)
    bench.machines["b"].gate.clear()
    futures = bench.submit(10)
    slow.wait_for(lambda: len(slow.calls) == 10)
    bench.machines["b"].gate.set()
    assert bench.values(futures[1:]) == list(range(1, 10))
    assert list(slow.calls) == [(futures[0].job_key, 0)]
    slow.finish(futures[0].job_key, 0, Status.SUCCESS, pickle.dumps(0))
    assert bench.values(futures[:1]) == [0]


def test_a_host_that_cant_be_used_is_left_out(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.open(bench.agent(echo), bench.agent(echo))
    bench.machines["a"].down = AuthenticationError("wrong key", host="a")
    assert bench.values(bench.submit(10)) == list(range(10))
    assert "wrong key" in caplog.text or bench.machines["a"].opened == 0


def test_a_lost_host_has_its_calls_run_elsewhere(bench: Bench) -> None:
    agents = [bench.agent(), bench.agent(agent_id="other")]
    bench.open(*agents, lost_after=0.0)
    futures = bench.submit(8)
    agents[0].wait_for(lambda: bool(agents[0].calls))
    agents[1].wait_for(lambda: bool(agents[1].calls))
    bench.machines["a"].down = HostUnreachable("no route", host="a")
    agents[1].answer = echo
    bench.machines["a"].cut()
    for job, number in list(agents[1].calls):
        agents[1].finish(job, number, Status.SUCCESS, pickle.dumps(number))
    assert bench.values(futures) == list(range(8))


def test_a_host_that_comes_back_gives_up_what_others_were_given(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lithops.dispatch.hosts._TRY_AGAIN_AFTER", 0.0)
    lost, other = bench.agent(echo, processes=2), bench.agent(echo, agent_id="other", processes=2)
    bench.open(lost, other, lost_after=0.0)
    bench.values(bench.submit(1))
    bench.wait_for_hosts()
    lost.answer = other.answer = lambda job, number, data: None
    futures = bench.submit(12)
    for agent in (lost, other):
        agent.wait_for(lambda agent=agent: len(agent.calls) == 6)  # type: ignore[misc]
    foreign = [("another-0-M000", 0), ("another-0-M000", 1)]
    with lost.changed:
        lost.specs["another-0-M000"] = dataclasses.replace(
            lost.specs[futures[0].job_key], job="another-0-M000", session="another-0"
        )
        lost.calls.update(dict.fromkeys(foreign, b""))
    bench.machines["a"].down = HostUnreachable("no route", host="a")
    bench.machines["a"].cut()
    other.wait_for(lambda: len(other.calls) == 12)
    begun = set(lost.begun)
    bench.machines["a"].down = None
    log = len(lost.log)
    futures += bench.submit(1)
    bench.wait_for_hosts()
    with lost.changed, other.changed:
        assert len(begun) == 2
        assert set(lost.calls) & set(other.calls) <= begun, "they would run twice"
        assert set(foreign) <= set(lost.calls), "they are not ours to move"
        asked = [path for path, _ in lost.log[log:] if path in (protocol.REVOKE.path, protocol.SUBMIT.path)]
        assert asked[0] == protocol.REVOKE.path
    for agent in (lost, other):
        with agent.changed:
            agent.answer = echo
            for job, number in list(agent.calls):
                agent.finish(job, number, body=pickle.dumps(number))
    assert bench.values(futures) == [*range(12), 0]


def test_a_host_that_was_only_cut_off_keeps_its_calls(bench: Bench) -> None:
    agent = bench.agent(processes=1)
    bench.open(agent, lost_after=PATIENCE)
    futures = bench.submit(4)
    agent.wait_for(lambda: len(agent.calls) == 4)
    # It has heard that they arrived.
    bench.wait_for(lambda: bench.session.hosts.runners["a"].sender.is_empty)
    bench.machines["a"].cut()
    bench.wait_for(lambda: bench.machines["a"].opened == 2 and bench.session.hosts.any_ready())
    for job, number in list(agent.calls):
        agent.finish(job, number, body=pickle.dumps(number))
    assert bench.values(futures) == [0, 1, 2, 3]
    assert agent.requests(protocol.REVOKE) == []
    assert len(agent.requests(protocol.SUBMIT)) == 1


def test_with_no_host_left_every_future_says_why(bench: Bench) -> None:
    agents = [bench.agent(), bench.agent(agent_id="other")]
    bench.open(*agents, lost_after=0.0)
    futures = bench.submit(8)
    agents[0].wait_for(lambda: bool(agents[0].calls))
    agents[1].wait_for(lambda: bool(agents[1].calls))
    for name, machine in bench.machines.items():
        machine.down = HostUnreachable(f"no route to {name}", host=name)
        machine.cut()
    for future in futures:
        error = bench.error(future, HostLost)
        assert error.job_id == future.job_key
        for word in (future.job_key, "no route to a", "no route to b"):
            assert word in str(error)


def test_a_host_that_never_was_there_is_given_up_at_once(bench: Bench) -> None:
    bench.open(bench.agent(echo))
    down = AuthenticationError("wrong password", host="a", phase="authenticate")
    bench.machines["a"].down = down
    assert bench.error(bench.submit(1)[0], AuthenticationError).args == down.args
    # The next submission tries again.
    bench.machines["a"].down = None
    assert bench.values(bench.submit(2)) == [0, 1]


def test_a_host_that_lost_power_is_sent_again_what_was_not_on_its_disk(bench: Bench) -> None:
    agent = bench.agent()
    bench.open(agent)
    futures = bench.submit(4)
    agent.wait_for(lambda: len(agent.calls) == 4)
    for number in (0, 1):
        agent.finish(futures[0].job_key, number, body=pickle.dumps(number))
    assert bench.values(futures[:2]) == [0, 1]
    agent.lose_power()
    bench.machines["a"].cut()
    agent.wait_for(lambda: len(agent.calls) == 2)
    # Its results are counted anew, too.
    for number in (2, 3):
        agent.finish(futures[0].job_key, number, body=pickle.dumps(number))
    assert bench.values(futures) == [0, 1, 2, 3]


def test_what_is_on_its_disk_is_not_sent_again_when_only_the_link_broke(bench: Bench) -> None:
    agent = bench.agent()
    bench.open(agent)
    futures = bench.submit(4)
    agent.wait_for(lambda: len(agent.calls) == 4)
    bench.wait_for(lambda: bench.session.hosts.runners["a"].sender.is_empty)
    sent = len(agent.requests(protocol.SUBMIT))
    bench.machines["a"].cut()
    bench.wait_for(lambda: bench.machines["a"].opened == 2)
    for number in range(4):
        agent.finish(futures[0].job_key, number, body=pickle.dumps(number))
    assert bench.values(futures) == [0, 1, 2, 3]
    assert len(agent.requests(protocol.SUBMIT)) == sent


# ---- links that break -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize(
    "endpoint", [protocol.INFO, protocol.SUBMIT, protocol.RESULTS, protocol.BODY], ids=lambda e: e.path
)
def test_a_link_that_breaks_is_opened_again(bench: Bench, endpoint: protocol.Endpoint, how: str) -> None:
    agent = bench.agent()
    bench.open(agent)
    (first,) = bench.submit(1)
    agent.wait_for(lambda: len(agent.calls) == 1)
    body = pickle.dumps(bytes(100_000))
    agent.cuts[endpoint.path] = [how] * 2
    if endpoint in (protocol.INFO, protocol.RESULTS):
        # These are asked for anew with a new link.
        bench.machines["a"].cut()
    futures = [first, *bench.submit(5)]
    agent.wait_for(lambda: len(agent.calls) == 6)
    if endpoint != protocol.BODY:
        agent.wait_for(lambda: agent.cuts[endpoint.path] == [])
    for future in futures:
        agent.finish(future.job_key, future._number, Status.SUCCESS, body)
    assert bench.values(futures) == [bytes(100_000)] * 6
    assert agent.cuts[endpoint.path] == []
    assert bench.machines["a"].opened >= 2


def test_no_call_runs_twice_because_an_answer_was_lost(bench: Bench) -> None:
    ran: list[int] = []

    def answer(job: str, number: int, data: bytes) -> tuple[int, bytes]:
        ran.append(number)
        return echo(job, number, data)

    agent = bench.agent(answer)
    bench.open(agent)
    bench.values(bench.submit(1))
    ran.clear()
    agent.cuts[protocol.SUBMIT.path] = ["after", "after"]
    assert bench.values(bench.submit(50)) == list(range(50))
    bench.values(bench.submit(1, data="one more, so that all before was delivered"))
    assert sorted(ran) == sorted([*range(50), 0])


@pytest.mark.parametrize("how", ["before", "after"])
def test_calls_that_a_host_gave_back_with_an_answer_that_was_lost_are_not_lost(
    bench: Bench, how: str
) -> None:
    slow, late = bench.agent(processes=1), bench.agent(processes=1, agent_id="late")
    bench.open(slow, late)
    bench.machines["b"].gate.clear()
    futures = bench.submit(20)
    slow.wait_for(lambda: len(slow.calls) == 20)
    slow.cuts[protocol.REVOKE.path] = [how]
    bench.machines["b"].gate.set()
    slow.wait_for(lambda: slow.cuts[protocol.REVOKE.path] == [])

    deadline = time.monotonic() + PATIENCE
    while not all(future.done for future in futures):
        assert time.monotonic() < deadline, "a call is lost"
        for agent in (slow, late):
            with agent.changed:
                if not agent.calls:
                    agent.changed.wait(0.1)
            for job, number in list(agent.calls):
                agent.finish(job, number, Status.SUCCESS, pickle.dumps(number))
    assert bench.values(futures) == list(range(20))


def test_a_host_without_work_is_not_connected_again_until_there_is_some(bench: Bench) -> None:
    bench.open(bench.agent(echo), lost_after=PATIENCE)
    bench.values(bench.submit(1))
    # A result may be here before the answer to what was submitted, which would be sent again.
    bench.wait_for(lambda: bench.session.hosts.runners["a"].sender.is_empty)
    machine = bench.machines["a"]
    machine.cut()
    bench.wait_for(lambda: not bench.session.hosts.any_ready())
    assert machine.opened == 1
    assert bench.values(bench.submit(3)) == [0, 1, 2]
    assert machine.opened == 2


def test_an_agent_without_the_journal_of_before_is_sent_its_calls_again(bench: Bench) -> None:
    old = bench.agent(agent_id="old")
    bench.open(old)
    futures = bench.submit(5)
    old.wait_for(lambda: len(old.calls) == 5)
    old.finish(futures[0].job_key, 0, Status.SUCCESS, pickle.dumps("of the old one"))
    assert bench.values(futures[:1]) == ["of the old one"]
    new = bench.agent(echo, agent_id="new")
    bench.machines["a"].agent = new
    bench.machines["a"].cut()
    assert bench.values(futures[1:]) == [1, 2, 3, 4]
    assert b"the function" in new.requests(protocol.SUBMIT)[0]


def test_an_agent_that_has_no_more_calls_of_a_job_than_it_was_just_sent_is_sent_all(bench: Bench) -> None:
    agent = bench.agent(processes=1)
    bench.open(agent)
    job = bench.job()
    futures = bench.submit(3, job=job)
    agent.wait_for(lambda: len(agent.calls) == 3)
    with agent.changed:
        agent.specs.clear()
        agent.calls.clear()
        agent.answer = echo
    futures += bench.submit(1, job=job, first=3)
    assert bench.values(futures) == [0, 1, 2, 3]
