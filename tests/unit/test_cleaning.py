"""What is left somewhere: what may go, and what a job still needs."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from lithops import cleaning, dispatch
from lithops.backends.machine import FixedSupply
from lithops.cleaning import Findings, OnHost, find, why_needed
from lithops.config.settings import Settings
from lithops.errors import HostError
from lithops.inspection import hosts
from lithops.inspection.hosts import known_hosts
from lithops.state.ledger import spool_path
from lithops.state.records import Records
from lithops_agent import protocol
from tests.unit.clusters import Cluster, submit, use
from tests.unit.clusters import cluster as cluster
from tests.unit.clusters import records as records

IDLE: dict[str, Any] = {"running": [], "waiting": {}}
BUSY = {"running": [["j", 0]], "waiting": {}}
WAITING = {"running": [], "waiting": {"j": 3}}
DAY = 24 * 3600.0


@pytest.mark.parametrize(
    ("found", "program", "has_results", "why"),
    [
        (OnHost(left=True), None, True, ""),
        (OnHost(left=True, status=IDLE), None, False, ""),
        (OnHost(left=True, status=BUSY), None, False, "calls run or wait there"),
        (OnHost(left=True, status=WAITING), None, False, "calls run or wait there"),
        (OnHost(left=True, status=IDLE), 7, False, "process 7 uses it"),
        (OnHost(left=True, status=IDLE), None, True, "it has results that nobody has collected yet"),
    ],
)
def test_what_is_needed(found: OnHost, program: int | None, has_results: bool, why: str) -> None:
    assert why_needed(found, program, has_results) == why


def look(
    settings: Settings, records: Records | None, now: float = 10.0, everything: bool = False
) -> Findings:
    return find(settings, records, now, everything=everything)


def told(found: Findings) -> tuple[list[str], list[str], list[str]]:
    leftovers = [f"{each.kind} {each.name}" for each in found.leftovers if each.kind != "cache"]
    return leftovers, [stay.name for stay in found.stays], [str(error) for error in found.errors]


def test_idle_agents_go_and_busy_ones_stay(cluster: Cluster, records: Records) -> None:
    for name in ("idle", "busy", "empty"):
        cluster.add(name, agent=name != "empty")
    cluster.run("busy", "x-0-M000", range(2))
    settings = cluster.settings("idle", "busy", "empty")
    assert told(look(settings, records)) == (["agent idle"], ["busy"], [])
    assert told(look(settings, records, everything=True)) == (["agent idle", "agent busy"], [], [])


def test_an_agent_is_ended_with_all_of_its_files_and_that_is_noted(
    cluster: Cluster, records: Records
) -> None:
    agent = cluster.add("a")
    use(records, "a")
    (leftover,) = look(cluster.settings("a"), records).leftovers
    leftover.remove()
    assert agent.requests(protocol.DISMANTLE) == [{"ending": "remove"}]
    assert records.hosts()[0].ended_at == 10.0
    assert told(look(cluster.settings("a"), records)) == ([], [], [])


def test_nothing_is_kept_and_no_machine_switched_off(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.add("a")
    (host,) = known_hosts(cluster.settings("a", keep_agent=True, poweroff=True), None)
    endings: list[str] = []

    def note(settings: Settings, executor_id: str) -> FixedSupply:
        endings.append(settings.standalone.ending("vm"))
        return cluster.of(settings, executor_id)

    monkeypatch.setattr(hosts, "supply_of", note)
    assert cleaning.removing_all(host).name == "a"
    assert endings == ["remove"]


@pytest.mark.parametrize(("lives", "stays"), [(True, ["a"]), (False, [])])
def test_a_host_that_a_program_uses_stays(
    cluster: Cluster, records: Records, lives: bool, stays: list[str]
) -> None:
    cluster.add("a")
    use(records, "a", pid=os.getpid() if lives else 2**22 + 1, created_at=time.time())
    assert told(look(cluster.settings("a"), records))[1] == stays


def test_results_that_nobody_has_collected_stay(cluster: Cluster, records: Records) -> None:
    cluster.add("a")
    use(records, "a")
    submit(records)
    assert told(look(cluster.settings("a"), records)) == ([], ["a"], [])
    records.jobs_released(["x-0-M000"], 9.0)
    assert told(look(cluster.settings("a"), records)) == (["agent a"], [], [])


def test_a_host_that_cant_be_reached_is_forgotten_a_day_after_its_end(
    cluster: Cluster, records: Records
) -> None:
    cluster.add("a", unreachable=True)
    use(records, "a", deadline_at=100.0)
    settings = cluster.settings("a")
    assert told(look(settings, records, now=99.0 + DAY)) == ([], [], ["host a: no route"])
    found = look(settings, records, now=100.0 + DAY)
    assert told(found) == (["record a"], [], [])
    found.leftovers[0].remove()
    assert records.hosts()[0].ended_at == 100.0 + DAY


def test_data_of_jobs_goes_when_all_is_to_go(cluster: Cluster, records: Records) -> None:
    cluster.add("a", agent=False)
    use(records, "a", "gone-0", ended_at=3.0)
    use(records, "a", "mine-0", pid=os.getpid(), created_at=time.time(), ended_at=3.0)
    submit(records, "gone-0-M000")
    for name in ("gone-0", "mine-0", "nobodys-0"):
        spool_path(name).parent.mkdir(exist_ok=True)
        spool_path(name).write_bytes(b"data")
    settings = cluster.settings("a")
    assert told(look(settings, records)) == (["data nobodys-0"], [], [])
    found = look(settings, records, everything=True)
    assert told(found) == (["data gone-0", "data nobodys-0"], [str(spool_path("mine-0"))], [])
    for leftover in found.leftovers:
        if leftover.kind == "data":
            leftover.remove()
    assert [path.name for path in spool_path("x").parent.iterdir()] == ["mine-0"]
    job = records.job("gone-0-M000")
    assert job is not None
    assert job.released_at == 10.0


def test_caches_go_when_all_is_to_go(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cluster.add("a", agent=False)
    folder = tmp_path / "lithops-standalone"
    assert look(cluster.settings("a"), None, everything=True).leftovers == []
    folder.mkdir()
    assert look(cluster.settings("a"), None).leftovers == []
    (leftover,) = look(cluster.settings("a"), None, everything=True).leftovers
    leftover.remove()
    assert not folder.exists()


def test_what_hosts_share_goes_with_the_last_of_them(
    cluster: Cluster, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    class Supply(FixedSupply):
        def end(self) -> None:
            ended.append("shared")
            raise HostError("the network can't be deleted", host="cloud")

    monkeypatch.setattr(dispatch, "supply_of", lambda settings, executor_id: Supply([]))
    for name in ("a", "b"):
        cluster.add(name)
        use(records, name)
    known = known_hosts(cluster.settings("a", "b"), records)
    records.host_ended("vm", "a", 9.0)
    assert cleaning.end_shared(known[:1], records) == []
    assert ended == []
    records.host_ended("vm", "b", 9.0)
    assert cleaning.end_shared(known, records) == ["host cloud: the network can't be deleted"]
    assert ended == ["shared"]
