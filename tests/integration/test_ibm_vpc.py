"""Machines of IBM Cloud VPC that appear for a job and are gone after it, on a fake cloud with real hosts."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from lithops import FunctionExecutor
from lithops.backends.ibm_vpc.machine import VpcMachine
from lithops.dispatch import supply_of
from tests.cloud.bed import HostedCloud
from tests.integration.conftest import OpenExecutor
from tests.integration.host_functions import where
from tests.integration.support import within

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the hosts have Python 3.11"),
]

_WAIT = 60


def hosts_of(fexec: FunctionExecutor, calls: int, seconds: float = 0.3) -> set[str]:
    """The names of the hosts that so many calls ran on."""
    results = fexec.get_result(fexec.map(where, [(n, seconds) for n in range(calls)]), timeout=_WAIT)
    assert [number for number, _ in results] == list(range(calls))
    return {host for _, host in results}


@pytest.fixture
def vpc_cloud(hosted_cloud: HostedCloud, no_login: Path) -> HostedCloud:
    """A cloud for a user who has nothing but the key of the account."""
    return hosted_cloud


def test_create_makes_machines_and_leaves_nothing(
    vpc_cloud: HostedCloud, open_executor: OpenExecutor
) -> None:
    cloud = vpc_cloud
    own = cloud.client().create_vpc(name="of-somebody-else").get_result()
    fexec = open_executor(cloud.config(ibm_vpc={"max_workers": 3, "worker_processes": 1}))
    assert cloud.resources() == {"vpcs": ["of-somebody-else"]}
    assert len(hosts_of(fexec, 3, 2.0)) > 1
    made = cloud.resources()
    assert len(made["instances"]) == 3
    # One is reached from here, the others through it.
    assert len(made["floating_ips"]) == 1
    assert all(name.startswith("lithops-") for kind in made for name in made[kind] if kind != "vpcs")
    # A person gets in as well, through the head.
    for machine in supply_of(fexec._settings, fexec.executor_id).named(made["instances"]):
        assert isinstance(machine, VpcMachine)
        with contextlib.closing(machine.enter()) as access:
            agent = access.agent()
            assert agent is not None
            assert agent.host == machine.name
        done = subprocess.run(
            machine.equivalent("hostname", with_terminal=False), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_WAIT, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == machine.name
    # The second job finds all as it was.
    assert hosts_of(fexec, 1) <= set(made["instances"])
    assert cloud.resources() == made
    with within(_WAIT):
        fexec.dismantle()
    assert cloud.resources() == {"vpcs": ["of-somebody-else"]}
    assert cloud.client().get_vpc(own["id"]).get_result()["name"] == "of-somebody-else"
