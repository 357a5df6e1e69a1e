"""Sessions on fake machines: calls in, results out, and the end."""

from __future__ import annotations

import pickle
import threading

import pytest

from lithops.errors import (
    CallCancelled,
    HostError,
    HostUnreachable,
    WaitTimeout,
)
from lithops.testing_agent import FakeAgent
from lithops_agent import protocol
from lithops_agent.protocol import INLINE_LIMIT, Status
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
    threads = [thread for runner in session.hosts.runners.values() for thread in runner._threads.values()]
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
