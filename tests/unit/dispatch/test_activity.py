"""What those who wait are told of hosts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lithops.dispatch.activity import activity_of
from lithops.job.model import Activity


@dataclass
class Runner:
    name: str
    ready: bool = True
    in_use: bool = True
    doing: str = ""


TABLE = [
    ([], {}, Activity()),
    ([Runner("a"), Runner("b")], {"a": 2, "b": 1}, Activity(running=3, ready=2, hosts=2)),
    (
        [Runner("a"), Runner("b", ready=False, in_use=False)],
        {"a": 2, "b": 1},
        Activity(running=2, ready=1, hosts=1),
    ),
    (
        [Runner("a", ready=False, doing="starting the agent")],
        {"a": 2},
        Activity(hosts=1, doing="a: starting the agent"),
    ),
    (
        [Runner("a", doing="x"), Runner("b", ready=False, doing="y")],
        {},
        Activity(ready=1, hosts=2, doing="a: x (and 1 more)"),
    ),
]


@pytest.mark.parametrize(("runners", "running", "activity"), TABLE)
def test_hosts_are_summed_up(runners: list[Runner], running: dict[str, int], activity: Activity) -> None:
    assert activity_of(runners, running) == activity
