"""What hosts do, as their agents tell it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lithops.config import resolve
from lithops.inspection.hosts import KnownHost, known_hosts
from lithops.inspection.workers import Worker, worker, workers_of
from lithops.state.cloud import CloudRecords, ResourceRecord
from lithops.state.records import HostRecord, Records
from tests.unit.clusters import Cluster

INFO = {"version": "0.1.0", "python": "3.11.2", "processes": 4}
USAGE = {"cpus": 4, "cpu_busy": 10.0, "cpu_total": 100.0, "memory": 8000, "memory_available": 6000}
STATUS: dict[str, Any] = {
    "waiting": {"j": 3},
    "running": [["j", 1], ["k", 0]],
    "jobs": {
        "j": {"function": "f", "runtime": "image:1"},
        "k": {"function": "g", "runtime": "/usr/bin/python3"},
    },
    "processes": 2,
    "host": USAGE,
    "time_to_dismantle": 50.0,
    "reason": "hard: job j since …",
    "draining": False,
}


@pytest.fixture
def host(cluster: Cluster) -> KnownHost:
    cluster.add("a")
    return known_hosts(cluster.settings("a"), None)[0]


def test_a_busy_host(host: KnownHost) -> None:
    later = {**STATUS, "host": {**USAGE, "cpu_busy": 11.0, "cpu_total": 104.0}}
    assert worker(host, INFO, STATUS, later) == Worker(
        host="a",
        backend="vm",
        state="busy",
        agent_version="0.1.0",
        runtimes=["/usr/bin/python3", "image:1"],
        processes=2,
        busy=2,
        waiting=3,
        cpus=4,
        cpu=0.25,
        memory=8000,
        memory_used=2000,
        jobs=["j", "k"],
        ends_in=50.0,
        ends_why="hard: job j since …",
    )


def test_an_agent_of_an_earlier_release(host: KnownHost) -> None:
    old = {key: STATUS[key] for key in ("waiting", "running", "time_to_dismantle", "reason", "draining")}
    found = worker(host, INFO, old, old)
    assert (found.processes, found.cpu, found.memory, found.runtimes) == (4, None, None, ["python 3.11.2"])


@pytest.mark.parametrize(
    ("changed", "state"),
    [({"draining": True}, "ending"), ({"running": []}, "busy"), ({"running": [], "waiting": {}}, "idle")],
)
def test_states(host: KnownHost, changed: dict[str, Any], state: str) -> None:
    assert worker(host, INFO, STATUS, {**STATUS, **changed}).state == state


def test_all_hosts_are_asked(cluster: Cluster) -> None:
    cluster.add("a").usage = USAGE
    cluster.add("b", agent=False)
    cluster.add("c", unreachable=True)
    found = workers_of(known_hosts(cluster.settings("a", "b", "c"), None))
    assert [(each.host, each.state, each.error) for each in found] == [
        ("a", "idle", ""), ("b", "no agent", ""), ("c", "unreachable", "no route"),
    ]  # fmt: skip
    assert found[0].runtimes == ["python 3.11.7"]


def test_what_an_instance_of_a_cloud_is_and_costs(cluster: Cluster, records: Records) -> None:
    cluster.add("vm-0", agent=False)
    settings = resolve(
        {
            "lithops": {"backend": "ibm_vpc"},
            "standalone": {"exec_mode": "create"},
            "ibm": {"iam_api_key": "key", "region": "us-south", "resource_group_id": "group"},
            "ibm_vpc": {"prices": {"cx2-2x4": 0.5}, "currency": "EUR"},
        }
    )
    record = HostRecord(backend="ibm_vpc", host="vm-0", executor_id="x-0", agent_id="a", seen_at=1.0)
    host = KnownHost(
        name="vm-0", backend="ibm_vpc", machine=cluster.machines["vm-0"], settings=settings, record=record
    )
    clouds = CloudRecords()
    try:
        clouds.asked(
            ResourceRecord(
                name="vm-0", kind="instance", scope="s", executor_id="x-0", region="us-south",
                profile="cx2-2x4", asked_at=100.0,
            )
        )  # fmt: skip
        clouds.made("vm-0", "id", 200.0)
    finally:
        clouds.close()
    (found,) = workers_of([host], now=lambda: 200.0 + 2 * 3600)
    assert (found.instance, found.cost, found.currency) == ("cx2-2x4", 1.0, "EUR")
    (unknown,) = workers_of([replace(host, name="vm-1")])
    assert (unknown.instance, unknown.cost) == (None, None)
