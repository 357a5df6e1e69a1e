"""The command `lithops` and machines of IBM Cloud VPC, on a fake cloud with real hosts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.bed import HostedCloud
from tests.integration.commands import User

pytestmark = [
    pytest.mark.integration,
    pytest.mark.alone,
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the hosts have Python 3.11"),
]

_WAIT = 120


@pytest.fixture
def user(hosted_cloud: HostedCloud, no_login: Path) -> Iterator[User]:
    """Somebody who has the key of an account, and two machines in its cloud, one of them behind the other."""
    config = hosted_cloud.config(
        ibm_vpc={"worker_processes": 1, "max_workers": 2, "prices": {"cx2-2x4": 100.0}, "currency": "EUR"}
    )
    made = User(no_login, config)
    made.run(12, 0.5)
    yield made
    made.close()


def test_instances_are_listed_with_their_cost_and_ended_with_their_network(
    user: User, hosted_cloud: HostedCloud
) -> None:
    workers = user.json("worker", "list")
    assert len(workers) == 2
    assert {worker["host"] for worker in workers} == set(hosted_cloud.resources()["instances"])
    for worker in workers:
        assert (worker["state"], worker["instance"], worker["currency"]) == ("idle", "cx2-2x4", "EUR")
        assert 0 < worker["cost"] < 100
    assert user.json("job", "show")["job"]["failed"] == 1, "the call 3 of 12"
    done = user.lithops("dismantle", "--all", "-y", timeout=_WAIT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the instance is deleted") == 2
    assert hosted_cloud.resources() == {}
    assert user.lithops("worker", "list").returncode == 3


def test_all_that_is_in_the_cloud_is_cleaned_in_order(user: User, hosted_cloud: HostedCloud) -> None:
    done = user.lithops("clean", "--all", timeout=_WAIT)
    assert done.returncode == 2, "nobody can be asked"
    assert len(hosted_cloud.resources()["instances"]) == 2
    done = user.lithops("clean", "--all", "-y", timeout=_WAIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert hosted_cloud.resources() == {}
