"""What hosts do, as their agents tell it."""

from __future__ import annotations

from typing import Any

import pytest

from lithops.inspection.hosts import KnownHost, known_hosts
from lithops.inspection.workers import Worker, worker, workers_of
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
