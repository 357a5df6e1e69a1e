"""Machines of IBM Cloud VPC that are there before, stay while they are needed, and end by themselves."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

import lithops
from lithops.backends.ibm_vpc.cloud_init import user_data
from lithops.backends.ibm_vpc.identity import Identity, public_key
from lithops.backends.ibm_vpc.network import rules
from lithops.overdue import reap_clouds
from tests.cloud.bed import HostedCloud
from tests.integration.host_functions import where

pytestmark = [pytest.mark.integration, pytest.mark.alone]


def test_running_machines_are_used_again_by_the_next_executor(
    hosted_cloud: HostedCloud, no_login: Path
) -> None:
    config = hosted_cloud.config("reuse")
    hosts = set()
    for _ in range(2):
        with lithops.FunctionExecutor(config=config) as fexec:
            hosts.add(fexec.get_result(fexec.call_async(where, (1, 0)))[1])
    assert hosts == set(hosted_cloud.resources()["instances"])
    assert len(hosts) == 1
    fexec.dismantle()
    assert hosted_cloud.resources() == {}


def test_an_instance_of_the_users_is_started_used_and_stopped(
    hosted_cloud: HostedCloud, no_login: Path
) -> None:
    instance, login_key = _own_instance(hosted_cloud, no_login)
    hosted_cloud.client().create_instance_action(instance["id"], "stop")
    hosted_cloud.wait(lambda cloud: cloud.instance("mine").status == "stopped", "it is off")
    before = hosted_cloud.resources()
    config = hosted_cloud.config(
        "consume", ibm_vpc={"instance_id": instance["id"], "ssh_key_filename": login_key}
    )
    with lithops.FunctionExecutor(config=config) as fexec:
        assert fexec.get_result(fexec.call_async(where, (3, 0))) == (3, "mine")
        fexec.dismantle()
    assert hosted_cloud.instance("mine").status == "stopped"
    assert hosted_cloud.resources() == before


def test_the_head_stays_for_those_that_are_reached_through_it(
    hosted_cloud: HostedCloud, no_login: Path
) -> None:
    config = hosted_cloud.config(ibm_vpc={"worker_processes": 1}, standalone={"soft_dismantle_timeout": 3})
    with lithops.FunctionExecutor(config=config) as fexec:
        # The first call is over at once, wherever it runs; then its host is idle for longer than it may be.
        results = fexec.get_result(fexec.map(where, [(0, 0.2), (1, 9)]))
        head = next(name for name in hosted_cloud.resources()["instances"] if name.endswith("-vm-0"))
        assert len({host for _, host in results}) == 2
        assert hosted_cloud.instance(head).status == "running"
        fexec.dismantle()
    assert hosted_cloud.resources() == {}


def test_a_machine_deletes_itself_and_the_next_program_removes_the_rest(
    hosted_cloud: HostedCloud, no_login: Path
) -> None:
    config = hosted_cloud.config(
        ibm_vpc={"profile_id": hosted_cloud.trusted_profile().id},
        standalone={"soft_dismantle_timeout": 2},
    )
    with lithops.FunctionExecutor(config=config) as fexec:
        assert fexec.get_result(fexec.call_async(where, (1, 0)))[0] == 1
    hosted_cloud.wait(
        lambda cloud: not {"instances", "volumes"} & cloud.resources().keys(),
        "the machine is gone, with its disk",
    )
    # Over the public endpoint its address goes last, and may be left: it can be the very way to the API.
    assert set(hosted_cloud.resources()) - {"floating_ips"} == {"vpcs", "subnets", "security_groups"}
    reap_clouds(config)
    assert hosted_cloud.resources() == {}


def _own_instance(cloud: HostedCloud, home: Path) -> tuple[dict[str, Any], str]:
    """An instance as a user may have it, with a floating IP and a host key that is known here."""
    keys = Identity(home / "elsewhere")
    client = cloud.client()
    vpc = client.create_vpc(name="mine").get_result()
    cloud.wait(lambda _: client.get_vpc(vpc["id"]).get_result()["status"] == "available", "there is a VPC")
    group = client.create_security_group({"id": vpc["id"]}, rules=rules(("0.0.0.0/0",))[:1]).get_result()
    subnet = client.create_subnet(
        {"vpc": {"id": vpc["id"]}, "zone": {"name": cloud.zone}, "total_ipv4_address_count": 16}
    ).get_result()
    cloud.wait(
        lambda _: client.get_subnet(subnet["id"]).get_result()["status"] == "available", "there is a subnet"
    )
    key = keys.host_key("mine")
    prototype = {
        "name": "mine",
        "image": {"id": cloud.image_id},
        "zone": {"name": cloud.zone},
        "profile": {"name": "cx2-2x4"},
        "primary_network_interface": {
            "subnet": {"id": subnet["id"]},
            "security_groups": [{"id": group["id"]}],
        },
        "user_data": user_data(
            username="ubuntu",
            public_key=public_key(Path(keys.login_key).read_text()),
            host_key=key.private,
            host_key_public=key.public,
            unclaimed_after=3600,
            each_boot=False,
        ),
    }
    instance = client.create_instance(prototype).get_result()
    nic = instance["primary_network_interface"]["id"]
    address = client.create_floating_ip({"name": "mine", "target": {"id": nic}}).get_result()["address"]
    (home / ".ssh").mkdir()
    (home / ".ssh" / "known_hosts").write_text(f"{address} {key.public}\n")
    cloud.wait(lambda _: _answers(address), "it has booted")
    return instance, keys.login_key


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1):
            return True
    except OSError:
        return False
