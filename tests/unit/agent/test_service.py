"""The agent as a whole: how long it stays, and what it remembers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_agent import protocol
from lithops_agent.caretaker import Ending
from lithops_agent.protocol import Problem, Status
from tests.unit.agent import functions
from tests.unit.agent.agents import Station, calls, is_problem
from tests.unit.agent.pools import within


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Station]:
    """An agent that ends 100 s after its last job."""
    station = Station(tmp_path / "agent", soft=100.0)
    yield station
    station.close()


def left(station: Station) -> float:
    seconds = station.answer(protocol.STATUS)["time_to_dismantle"]
    assert isinstance(seconds, float)
    return seconds


def test_an_agent_without_a_job_ends_at_its_soft_time_out(counting: Station) -> None:
    assert 90 < left(counting) <= 100
    counting.clock.ahead += 90
    assert 0 < left(counting) <= 10
    assert counting.reasons == []
    counting.clock.ahead += 10
    within(10, lambda: counting.reasons, "the end")
    assert "soft" in counting.reasons[0]
    assert counting.endings[0] == Ending(counting.reasons[0], "remove", with_work=False)


def test_a_host_that_is_made_ready_for_a_job_is_not_idle(counting: Station) -> None:
    counting.clock.ahead += 90
    with counting.agent.caretaker.in_use("environment"):
        within(10, lambda: counting.answer(protocol.STATUS)["time_to_dismantle"] is None, "in use")
        counting.clock.ahead += 500
        assert counting.reasons == []
    assert 90 < left(counting) <= 100
    counting.clock.ahead += 100
    within(10, lambda: counting.reasons, "the end")


def test_soft_counts_from_the_end_of_the_last_job(counting: Station, tmp_path: Path) -> None:
    go = tmp_path / "go"
    spec, head = counting.job(functions.wait_for, soft_timeout=100.0, hard_timeout=1000.0)
    counting.submit(head, calls(spec, str(go)))
    assert 900 < left(counting) <= 1000
    counting.clock.ahead += 500
    assert 400 < left(counting) <= 500
    go.touch()
    counting.collect(1)
    assert 90 < left(counting) <= 100
    assert counting.reasons == []


def test_at_the_hard_deadline_tasks_are_killed_and_results_stay(counting: Station, tmp_path: Path) -> None:
    spec, head = counting.job(functions.wait_for, 3, soft_timeout=10.0, hard_timeout=1000.0)
    (tmp_path / "now").touch()
    never = str(tmp_path / "never")
    counting.submit(head, calls(spec, str(tmp_path / "now"), never, never))
    assert [record.status for record in counting.collect(1)] == [Status.SUCCESS]
    counting.clock.ahead += 990
    assert counting.reasons == []
    assert len(counting.results(wait=0)[1]) == 1
    counting.clock.ahead += 10
    records = counting.collect(3)
    assert [record.status for record in records] == [Status.SUCCESS, *[Status.HARD_DISMANTLE] * 2]
    assert records[1].body == f"job {spec.job} reached standalone.hard_dismantle_timeout (1000 s)".encode()
    assert counting.answer(protocol.STATUS)["draining"] is True
    is_problem(counting.submit(calls(spec, 0, first=9)), 503, Problem.DRAINING)
    assert counting.reasons == [], "it waits for the job to be released, or its time to be up"
    counting.clock.ahead += 1.0
    within(10, lambda: counting.reasons, "the end")


def test_an_agent_whose_results_were_collected_ends_at_once(counting: Station, tmp_path: Path) -> None:
    spec, head = counting.job(functions.wait_for, hard_timeout=1000.0)
    counting.submit(head, calls(spec, str(tmp_path / "never")))
    within(10, lambda: counting.agent.pool.snapshot()[1], "the start")
    counting.clock.ahead += 1000
    counting.collect(1)
    counting.answer(protocol.RELEASE, data=json.dumps({"jobs": [spec.job]}))
    within(10, lambda: counting.reasons, "the end")


def test_all_jobs_of_a_host_end_at_the_first_hard_deadline(counting: Station, tmp_path: Path) -> None:
    never = str(tmp_path / "never")
    for hard in (1000.0, None, 5000.0):
        spec, head = counting.job(functions.wait_for, 3, hard_timeout=hard)
        counting.submit(head, calls(spec, never, never, never))
    counting.clock.ahead += 1000
    assert {record.status for record in counting.collect(9)} == {Status.HARD_DISMANTLE}


def test_it_tells_when_it_ends_and_why(counting: Station, tmp_path: Path) -> None:
    told = counting.answer(protocol.STATUS)
    assert re.fullmatch(r"soft: no job since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", told["reason"])
    assert 90 < counting.results(wait=0)[0]["ends_in"] <= 100
    spec, head = counting.job(functions.wait_for, soft_timeout=7.0, hard_timeout=1000.0)
    counting.submit(head, calls(spec, str(tmp_path / "never")))
    assert counting.answer(protocol.STATUS)["reason"].startswith(f"hard: job {spec.job} since ")
    assert 990 < counting.results(wait=0)[0]["ends_in"] <= 1000


@pytest.mark.parametrize(
    ("data", "how"), [(None, "keep"), ("{}", "keep"), ('{"ending": "remove"}', "remove")]
)
def test_asked_to_end_it_ends_as_asked_or_as_the_last_job_said(
    counting: Station, data: str | None, how: str
) -> None:
    spec, head = counting.job(functions.double, ending="keep")
    counting.submit(head, calls(spec, 1))
    counting.collect(1)
    assert counting.answer(protocol.DISMANTLE, data=data) == {}
    within(10, lambda: counting.endings, "the end")
    assert counting.endings == [Ending("asked to", how, with_work=True)]


def test_calls_whose_time_was_up_while_no_agent_ran_are_told_so(tmp_path: Path) -> None:
    first = Station(tmp_path / "agent")
    spec, head = first.job(functions.wait_for, hard_timeout=50.0)
    first.submit(head, calls(spec, str(tmp_path / "never")))
    first.close()
    second = Station(tmp_path / "agent", begun=first.clock.now().plus(60))
    try:
        (record,) = second.collect(1)
        assert record.status == Status.HARD_DISMANTLE
        assert second.reasons == [], "the host was asked for anew, and goes on"
    finally:
        second.close()


def test_a_job_without_time_outs_keeps_the_agent(counting: Station) -> None:
    spec, head = counting.job(functions.double)
    counting.submit(head, calls(spec, 1))
    counting.collect(1)
    counting.clock.ahead += 1e9
    assert counting.answer(protocol.STATUS)["time_to_dismantle"] is None


def test_an_agent_keeps_its_name_and_its_jobs_over_a_restart(tmp_path: Path) -> None:
    first = Station(tmp_path / "agent")
    spec, head = first.job(functions.wait_for, 4)
    go = tmp_path / "go"
    first.submit(head, calls(spec, *[str(go)] * 4))
    name = first.answer(protocol.INFO)["agent_id"]
    first.close()
    second = Station(tmp_path / "agent")
    try:
        assert second.answer(protocol.INFO)["agent_id"] == name
        assert second.submit(head, calls(spec, *[str(go)] * 4)).get_json() == {"accepted": 0}
        go.touch()
        assert {record.status for record in second.collect(4)} == {Status.SUCCESS}
    finally:
        second.close()


def test_agents_of_other_homes_have_other_names(tmp_path: Path) -> None:
    stations = [Station(tmp_path / name) for name in "ab"]
    names = {station.answer(protocol.INFO)["agent_id"] for station in stations}
    for station in stations:
        station.close()
    assert len(names) == 2
