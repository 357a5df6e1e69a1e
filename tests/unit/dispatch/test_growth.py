"""Sessions whose machines come with the calls."""

from __future__ import annotations

import pytest

from lithops.errors import HostError, HostUnreachable
from tests.unit.dispatch.conftest import Bench, GrowingSupply, echo


def test_machines_come_with_the_calls(bench: Bench) -> None:
    session = bench.open(bench.agent(echo), bench.agent(echo), bench.agent(echo), grows=True)
    assert not session.hosts.runners
    assert bench.values(bench.submit(1)) == [0]
    assert list(session.hosts.runners) == ["a"]
    assert bench.values(bench.submit(3)) == [0, 1, 2]
    assert list(session.hosts.runners) == ["a", "b", "c"]
    assert bench.values(bench.submit(1)) == [0]
    assert list(session.hosts.runners) == ["a", "b", "c"]


def test_calls_that_have_no_result_yet_count(bench: Bench) -> None:
    silent, echoing = bench.agent(), bench.agent(echo)
    session = bench.open(silent, echoing, grows=True)
    first = bench.submit(1)
    bench.wait_for(lambda: session.calls_on("a", first[0].job_key) == [0])
    bench.submit(1)
    assert list(session.hosts.runners) == ["a", "b"]


def test_a_job_grows_onto_a_machine_that_is_ready_later(bench: Bench) -> None:
    session = bench.open(bench.agent(processes=1), bench.agent(echo), grows=True)
    bench.machines["b"].gate.clear()
    futures = bench.submit(2)
    bench.wait_for(lambda: len(session.calls_on("a", futures[0].job_key)) == 2)
    bench.machines["b"].gate.set()
    bench.wait_for(lambda: futures[0].done or futures[1].done)
    assert len(session.calls_on("a", futures[0].job_key)) == 1


def test_no_more_machines_than_workers(bench: Bench) -> None:
    session = bench.open(bench.agent(echo), bench.agent(echo), bench.agent(echo), grows=True, workers=2)
    assert bench.values(bench.submit(1)) == [0]
    assert session.hosts.most_on("a") == 2
    assert bench.values(bench.submit(3)) == [0, 1, 2]
    assert list(session.hosts.runners) == ["a", "b"]
    assert [session.hosts.most_on(name) for name in "ab"] == [1, 1]


def test_machines_that_stay_are_left(bench: Bench) -> None:
    session = bench.open(bench.agent(echo), grows=True)
    bench.values(bench.submit(1))
    assert isinstance(bench.supply, GrowingSupply)
    assert not bench.supply.left
    session.close()
    assert bench.supply.left
    assert not bench.supply.ended


def test_what_machines_shared_goes_after_them(bench: Bench) -> None:
    session = bench.open(bench.agent(echo), grows=True)
    bench.values(bench.submit(1))
    session.dismantle()
    assert isinstance(bench.supply, GrowingSupply)
    assert bench.supply.ended


def test_what_machines_share_stays_while_one_of_them_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = bench.open(bench.agent(echo), grows=True)
    bench.values(bench.submit(1))

    def fail(ask: object) -> None:
        raise HostUnreachable("no route", host="a")

    monkeypatch.setattr(bench.machines["a"], "dismantle", fail)
    with pytest.raises(HostError, match="no route"):
        session.dismantle()
    assert isinstance(bench.supply, GrowingSupply)
    assert not bench.supply.ended
