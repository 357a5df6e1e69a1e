"""Sessions on fake machines: calls in, results out, and all that may happen in between."""

from __future__ import annotations

import dataclasses
import pickle
import threading
import time
from collections.abc import Callable

import pytest

from lithops.errors import (
    AuthenticationError,
    CallCancelled,
    HostDiskFull,
    HostError,
    HostLost,
    HostUnreachable,
    WaitTimeout,
)
from lithops.testing_agent import FakeAgent
from lithops_agent import protocol
from lithops_agent.protocol import INLINE_LIMIT, Problem, Status
from tests.unit.dispatch.conftest import PATIENCE, Bench, blob, echo

# ---- calls and results ------------------------------------------------------------------------------


def test_results_reach_their_futures(bench: Bench) -> None:
    bench.open(bench.agent(echo))
    assert bench.values(bench.submit(100)) == list(range(100))


def test_nothing_is_connected_before_the_first_call(bench: Bench) -> None:
    session = bench.open(bench.agent(echo))
    session.submit(bench.job(), [])
    assert bench.machines["a"].opened == 0
    bench.values(bench.submit(1))
    assert bench.machines["a"].opened == 1


def test_what_an_agent_is_told_of_a_job(bench: Bench) -> None:
    agent = bench.agent(echo)
    bench.open(agent, soft_timeout=7.0, hard_timeout=9.0)
    job = bench.job(modules=blob(b"modules"), extra_env={"A": "1"}, timeout=3.0, retries=2, total_calls=5)
    told: list[protocol.JobSpec] = []
    agent.answer = lambda key, number, data: told.append(agent.specs[key]) or echo(key, number, data)  # type: ignore[func-returns-value]
    bench.values(bench.submit(1, job=job))
    assert told[0] == protocol.JobSpec(
        job=f"session-{job.job_id}",
        session="session",
        function=blob(b"the function").sha256,
        total=5,
        runtime="python3",
        function_name="f",
        modules=blob(b"modules").sha256,
        env={"A": "1"},
        timeout=3.0,
        retries=2,
        soft_timeout=7.0,
        hard_timeout=9.0,
    )
    assert sorted(agent.blobs.values()) == [b"modules", b"the function"]


def test_a_function_travels_once_to_a_host(bench: Bench) -> None:
    agent = bench.agent(echo)
    bench.open(agent)
    for _ in range(3):
        bench.values(bench.submit(2))
    first, *others = agent.requests(protocol.SUBMIT)
    assert b"the function" in first
    assert not any(b"the function" in other for other in others)


def test_a_future_knows_when_its_call_is_sent_and_runs(bench: Bench) -> None:
    agent = bench.agent(processes=1)
    bench.open(agent)
    first, second = bench.submit(2)
    agent.wait_for(lambda: len(agent.begun) == 1)
    assert first.invoked or first.running
    agent.finish(first.job_key, 0, Status.SUCCESS, pickle.dumps("done"))
    assert bench.values([first]) == ["done"]
    # The answer that brought the result told also what runs now.
    bench.wait_for(lambda: second.running)
    agent.finish(first.job_key, 1, Status.EXCEPTION, b"")
    second.wait(timeout=PATIENCE)
    assert second.error


@pytest.mark.parametrize("size", [INLINE_LIMIT - 100, INLINE_LIMIT + 1, 5_000_000])
def test_results_of_any_size(bench: Bench, size: int) -> None:
    bench.open(bench.agent(echo))
    assert bench.values(bench.submit(3, data=bytes(size))) == [bytes(size)] * 3


def test_a_large_result_does_not_hold_up_the_small_ones(bench: Bench) -> None:
    agent = bench.agent()
    bench.open(agent)
    large, small = bench.submit(2)
    agent.wait_for(lambda: len(agent.calls) == 2)
    agent.cuts[protocol.BODY.path] = ["before"] * 3
    agent.finish(large.job_key, 0, Status.SUCCESS, pickle.dumps(bytes(100_000)))
    agent.finish(small.job_key, 1, Status.SUCCESS, pickle.dumps("small"))
    assert bench.values([small]) == ["small"]
    assert bench.values([large]) == [bytes(100_000)]


def test_the_data_of_calls_are_sent_in_batches_of_a_bounded_size(bench: Bench) -> None:
    agent = bench.agent(echo)
    bench.open(agent)
    assert bench.values(bench.submit(12, data=bytes(1_500_000))) == [bytes(1_500_000)] * 12
    sizes = [len(body) for body in agent.requests(protocol.SUBMIT)]
    assert len(sizes) == 4
    assert max(sizes) < 6_500_000


def released(agent: FakeAgent) -> list[str]:
    return [job for asked in agent.requests(protocol.RELEASE) for job in asked["jobs"]]


def test_jobs_are_released_at_the_end_when_they_were_seen(bench: Bench) -> None:
    agent = bench.agent(echo)
    session = bench.open(agent)
    seen = [future for _ in range(3) for future in bench.submit(1)]
    unseen = bench.submit(2)
    bench.values(seen)
    bench.values(unseen[:1])
    assert released(agent) == []
    session.close()
    assert sorted(released(agent)) == sorted(future.job_key for future in seen)
    assert set(agent.specs) == {unseen[0].job_key}


def test_of_many_jobs_the_oldest_are_released_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lithops.dispatch.jobs._KEPT", 2)
    monkeypatch.setattr("lithops.dispatch.jobs._RELEASED_TOGETHER", 1)
    agent = bench.agent(echo)
    bench.open(agent)
    futures = [bench.submit(1)[0] for _ in range(5)]
    bench.values(futures)
    agent.wait_for(lambda: len(released(agent)) == 3)
    assert set(agent.specs) == {future.job_key for future in futures[3:]}


def test_a_job_that_goes_on_is_not_released_under_its_calls(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More calls of a job come when all before were seen."""
    monkeypatch.setattr("lithops.dispatch.jobs._KEPT", 0)
    monkeypatch.setattr("lithops.dispatch.jobs._RELEASED_TOGETHER", 1)
    agent = bench.agent(echo)
    session = bench.open(agent)
    job = bench.job()
    bench.values(bench.submit(1, job=job))
    agent.answer = lambda key, number, data: None
    futures = bench.submit(1, job=job, first=1)
    agent.wait_for(lambda: len(agent.calls) == 1)
    agent.answer = echo
    others = bench.submit(1)
    bench.values(others)
    agent.wait_for(lambda: bool(released(agent)))
    assert released(agent) == [others[0].job_key]
    session.close()
    assert released(agent) == [others[0].job_key]
    assert list(agent.calls) == [(futures[0].job_key, 1)]


def test_a_worker_keeps_what_its_caller_collects(bench: Bench) -> None:
    agent = bench.agent(echo)
    session = bench.open(agent, nested=True, depth=1)
    futures = bench.submit(3)
    # A worker may end as soon as this returned, so the agent has the calls by now.
    assert len(agent.requests(protocol.SUBMIT)) == 1
    bench.values(futures)
    session.close()
    assert agent.requests(protocol.RELEASE) == []


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


def test_a_host_that_comes_back_gives_up_what_others_were_given(bench: Bench) -> None:
    lost, other = bench.agent(echo, processes=2), bench.agent(echo, agent_id="other", processes=2)
    session = bench.open(lost, other, lost_after=0.0)
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
    with session.lock:
        session._try_again_at["a"] = 0.0
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
    bench.wait_for(lambda: bench.session._runners["a"].sender.is_empty)  # It has heard that they arrived.
    bench.machines["a"].cut()
    bench.wait_for(lambda: bench.machines["a"].opened == 2 and bench.session.any_ready())
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
    bench.wait_for(lambda: bench.session._runners["a"].sender.is_empty)
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
    machine = bench.machines["a"]
    machine.cut()
    bench.wait_for(lambda: not bench.session.any_ready())
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


# ---- refusals ---------------------------------------------------------------------------------------


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
    import dataclasses

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


# ---- cancelling -------------------------------------------------------------------------------------


def test_cancelled_calls_end_at_once_and_the_agent_hears_of_it(bench: Bench) -> None:
    agent = bench.agent(processes=1)
    session = bench.open(agent)
    futures = bench.submit(3)
    agent.wait_for(lambda: len(agent.calls) == 3)
    session.cancel(futures[1:])
    for future in futures[1:]:
        error = bench.error(future, CallCancelled)
        assert (error.host, error.job_id) == ("a", future.job_key)
    agent.wait_for(lambda: len(agent.calls) == 1)
    agent.finish(futures[0].job_key, 0, Status.SUCCESS, pickle.dumps("goes on"))
    assert bench.values(futures[:1]) == ["goes on"]


def test_calls_can_be_cancelled_before_a_host_has_them(bench: Bench) -> None:
    agent = bench.agent(echo)
    session = bench.open(agent)
    bench.machines["a"].gate.clear()
    first, second = bench.submit(2)
    session.cancel([first])
    bench.error(first, CallCancelled)
    bench.machines["a"].gate.set()
    assert bench.values([second]) == [1]
    assert protocol.CANCEL.path not in [path for path, _ in agent.log]


def test_calls_that_have_ended_are_not_cancelled(bench: Bench) -> None:
    session = bench.open(bench.agent(echo))
    futures = bench.submit(2)
    bench.values(futures)
    session.cancel(futures)
    assert bench.values(futures) == [0, 1]


# ---- futures of functions ---------------------------------------------------------------------------


def nested_call(bench: Bench, job: str, number: int) -> None:
    """Have the agent hold a call that a function submitted, as its own session would."""
    spec = protocol.JobSpec(
        job=f"nested-{job}", session="nested", function=blob(b"the function").sha256, total=9, runtime="p"
    )
    agent = bench.agents[0]
    pieces = [
        *protocol.blob_frame(spec.function, b"the function"),
        protocol.frame_head(spec.to_json(), 0),
        *protocol.calls_frame(spec.job, [(number, pickle.dumps(f"{job} {number}"))]),
    ]
    with agent.changed:
        agent.submit(b"".join(pieces))


@pytest.mark.parametrize("size", [10, 100_000])
def test_futures_of_a_function_are_collected_from_its_host(bench: Bench, size: int) -> None:
    agent = bench.agent()
    session = bench.open(agent)
    for number in range(3):
        nested_call(bench, "J", number)
    futures = bench.futures(bench.job("J"), range(3), "nested")
    agent.finish("nested-J", 0, Status.SUCCESS, pickle.dumps(bytes(size)))
    session.adopt(futures[:1], "a")
    assert bench.values(futures[:1]) == [bytes(size)]
    assert "nested-J" in agent.specs or agent.requests(protocol.RELEASE)


def test_futures_that_are_adopted_later_find_results_that_came_before(bench: Bench) -> None:
    agent = bench.agent()
    session = bench.open(agent)
    for job in ("J", "K"):
        nested_call(bench, job, 0)
    first, second = (
        bench.futures(bench.job("J"), range(1), "nested")[0],
        bench.futures(bench.job("K"), range(1), "nested")[0],
    )
    agent.finish("nested-K", 0, Status.SUCCESS, pickle.dumps("K"))
    session.adopt([first], "a")
    # The result of K was seen and passed over; now a poll is under way.
    agent.wait_for(
        lambda: len([1 for asked in agent.requests(protocol.RESULTS) if asked["after"] != "0"]) > 0
    )
    session.adopt([second], "a")
    assert bench.values([second]) == ["K"]
    agent.finish("nested-J", 0, Status.SUCCESS, pickle.dumps("J"))
    assert bench.values([first]) == ["J"]


def test_adoption_goes_on_after_a_link_broke(bench: Bench) -> None:
    agent = bench.agent()
    session = bench.open(agent)
    nested_call(bench, "J", 0)
    agent.cuts[protocol.BODY.path] = ["before", "after"]
    futures = bench.futures(bench.job("J"), range(1), "nested")
    session.adopt(futures, "a")
    agent.finish("nested-J", 0, Status.SUCCESS, pickle.dumps(bytes(100_000)))
    assert bench.values(futures) == [bytes(100_000)]


def test_futures_of_a_host_that_is_lost_or_unknown_fail(bench: Bench) -> None:
    agent = bench.agent()
    session = bench.open(agent, lost_after=0.0)
    first, second = bench.futures(bench.job("J"), range(2), "nested")
    session.adopt([first], "elsewhere")
    assert bench.error(first, HostLost).host == "elsewhere"
    session.adopt([second], "a")
    agent.wait_for(lambda: bool(agent.requests(protocol.RESULTS)))
    bench.machines["a"].down = HostUnreachable("no route", host="a")
    bench.machines["a"].cut()
    assert "no route" in str(bench.error(second, HostLost))


def test_futures_of_an_agent_that_was_replaced_fail(bench: Bench) -> None:
    old = bench.agent(agent_id="old")
    session = bench.open(old)
    nested_call(bench, "J", 0)
    futures = bench.futures(bench.job("J"), range(1), "nested")
    session.adopt(futures, "a")
    old.wait_for(lambda: bool(old.requests(protocol.RESULTS)))
    bench.machines["a"].agent = bench.agent(agent_id="new")
    bench.machines["a"].cut()
    assert "new one" in str(bench.error(futures[0], HostLost))


# ---- the end ----------------------------------------------------------------------------------------


def test_closing_waits_until_hosts_have_the_calls(bench: Bench) -> None:
    agent = bench.agent()
    session = bench.open(agent)
    bench.machines["a"].gate.clear()
    futures = bench.submit(5)
    closing = threading.Thread(target=session.close)
    closing.start()
    assert agent.calls == {}
    assert closing.is_alive()
    bench.machines["a"].gate.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert len(agent.calls) == 5
    with pytest.raises(WaitTimeout):
        futures[0].result(timeout=0.0)


def test_closing_does_not_wait_for_hosts_that_cant_be_used(bench: Bench) -> None:
    session = bench.open(bench.agent())
    bench.machines["a"].down = HostUnreachable("no route", host="a")
    futures = bench.submit(5)
    session.close()
    bench.error(futures[0], HostUnreachable)


def test_threads_end_with_the_session(bench: Bench) -> None:
    session = bench.open(bench.agent(echo), bench.agent(echo))
    bench.values(bench.submit(3, data=bytes(100_000)))
    threads = [thread for runner in session._runners.values() for thread in runner._threads.values()]
    assert len(threads) >= 5
    session.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


def test_dismantling_ends_every_agent_and_cancels_what_goes_on(bench: Bench) -> None:
    agents = [bench.agent(), bench.agent(agent_id="other")]
    session = bench.open(*agents)
    futures = bench.submit(4)
    agents[0].wait_for(lambda: bool(agents[0].calls))
    session.dismantle()
    for future in futures:
        bench.error(future, CallCancelled)
    for agent in agents:
        assert len(agent.requests(protocol.DISMANTLE)) == 1
    opened = [machine.opened for machine in bench.machines.values()]
    session.close()
    # Nobody went back to an agent that had work, and started it again.
    assert [machine.opened for machine in bench.machines.values()] == opened


def test_dismantling_names_the_hosts_that_did_not_confirm(bench: Bench) -> None:
    agents = [bench.agent(echo), bench.agent(echo), bench.agent(echo)]
    session = bench.open(*agents)
    bench.machines["a"].down = HostUnreachable("no route", host="a")
    agents[2].cuts[protocol.DISMANTLE.path] = ["before"]
    with pytest.raises(HostError) as caught:
        session.dismantle()
    assert caught.value.host == "a, c"
    assert caught.value.phase == "dismantle"
    assert "no route" in str(caught.value)
    assert len(agents[1].requests(protocol.DISMANTLE)) == 1
    bench.machines["a"].down = None
    session.dismantle()


def test_a_session_can_be_used_after_it_was_dismantled(bench: Bench) -> None:
    session = bench.open(bench.agent(echo))
    bench.values(bench.submit(1))
    session.dismantle()
    assert bench.values(bench.submit(2)) == [0, 1]
