"""Fake machines: links that lead to a fake agent, break, or are not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lithops.backends.machine import Link
from lithops.dispatch.client import AgentClient, ask_to_end
from lithops.errors import HostLost, HostUnreachable
from lithops.testing_agent import FakeAgent
from lithops.testing_machine import FakeMachine
from lithops_agent import protocol


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    made = FakeAgent(agent_id="one")
    yield made
    made.close()


@pytest.fixture
def machine(agent: FakeAgent) -> Iterator[FakeMachine]:
    made = FakeMachine("a", agent)
    yield made
    made.cut()


def who(link: Link) -> str:
    client = AgentClient(link.opener, link.token, link.host)
    try:
        return str(client.info()["agent_id"])
    finally:
        client.close()


def test_a_link_leads_to_the_agent(machine: FakeMachine) -> None:
    link = machine.open()
    assert (link.host, link.agent_id, who(link)) == ("a", "one", "one")
    assert machine.opened == 1


def test_a_link_leads_to_the_agent_of_its_time(machine: FakeMachine) -> None:
    other = FakeAgent(agent_id="two")
    machine.agent = other
    link = machine.find()
    assert link is not None
    assert who(link) == "two"
    other.close()


@pytest.mark.parametrize("how", ["cut", "close"])
def test_connections_break_with_their_link(machine: FakeMachine, how: str) -> None:
    link = machine.open()
    client = AgentClient(link.opener, link.token, link.host)
    client.info()
    if how == "cut":
        machine.cut()
    else:
        link.close()
    with pytest.raises(HostLost):
        client.info()
    with pytest.raises(ConnectionResetError):
        link.opener(1.0)
    client.close()
    assert who(machine.open()) == "one"


def test_failures_come_in_order_and_a_machine_that_is_down_stays_so(machine: FakeMachine) -> None:
    machine.failures = [HostUnreachable("first", host="a"), HostUnreachable("second", host="a")]
    for told in ("first", "second"):
        with pytest.raises(HostUnreachable, match=told):
            machine.open()
    assert machine.opened == 0
    machine.open()
    machine.down = HostUnreachable("down", host="a")
    for _ in range(2):
        with pytest.raises(HostUnreachable, match="down"):
            machine.open()
    assert machine.opened == 1


def test_nothing_is_opened_before_the_gate_is(machine: FakeMachine) -> None:
    machine.gate.clear()
    opening = threading.Thread(target=machine.open)
    opening.start()
    assert machine.opened == 0
    machine.gate.set()
    opening.join(20.0)
    assert machine.opened == 1


def test_the_agent_is_told_to_end(machine: FakeMachine, agent: FakeAgent) -> None:
    machine.dismantle(ask_to_end)
    assert agent.requests(protocol.DISMANTLE) == [{"ending": "remove"}]
