"""Futures that functions made and returned: their results are collected from the host."""

from __future__ import annotations

import pickle

import pytest

from lithops.errors import (
    HostLost,
    HostUnreachable,
)
from lithops_agent import protocol
from lithops_agent.protocol import Status
from tests.unit.dispatch.conftest import Bench, blob


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
