"""Machines come and go: through the SDK, on a fake cloud without hosts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lithops.backends.ibm_vpc.machine import VpcMachine
from lithops.backends.machine import Link
from lithops.errors import CloudError, CloudNotFound, CloudQuotaExceeded, HostError, InstanceFailed
from lithops.state.cloud import CloudRecords
from tests.cloud import SERVER_ERROR
from tests.unit.backends.ibm_vpc.conftest import Ground


def ignore(link: Link, how: str) -> None:
    """Tell an agent nothing."""


def open_all(machines: list[VpcMachine]) -> list[Link | HostError]:
    def attempt(machine: VpcMachine) -> Link | HostError:
        try:
            return machine.open()
        except HostError as exc:
            return exc

    with ThreadPoolExecutor(len(machines)) as pool:
        return list(pool.map(attempt, machines))


def users_network(cloud: Any) -> dict[str, str]:
    """Things of the user's, by the key that names them."""
    client = cloud.client()
    vpc = client.create_vpc(name="mine").get_result()
    subnet = client.create_subnet(
        {
            "vpc": {"id": vpc["id"]},
            "name": "mine",
            "zone": {"name": cloud.zone},
            "total_ipv4_address_count": 16,
        }
    ).get_result()
    group = client.create_security_group({"id": vpc["id"]}, name="mine").get_result()
    address = client.create_floating_ip({"name": "mine", "zone": {"name": cloud.zone}}).get_result()
    return {
        "vpc_id": vpc["id"],
        "subnet_id": subnet["id"],
        "security_group_id": group["id"],
        "floating_ip": address["address"],
    }


def test_one_machine_has_the_address_and_leads_to_the_others(ground: Ground) -> None:
    machines, ssh = ground.machines(3)
    assert all(isinstance(link, Link) for link in open_all(machines))
    (head,) = set(ssh.heads.values())
    assert head in {machine.name for machine in machines}
    assert len(ground.cloud.resources()["floating_ips"]) == 1
    for machine in machines:
        machine.dismantle(ignore)
    assert ground.cloud.resources() == {}


def test_what_is_created_is_noted_before_and_until_it_is_gone(ground: Ground) -> None:
    (machine,), _ = ground.machines(1)
    machine.open()
    records = CloudRecords(ground.folder)
    there = ground.cloud.resources()
    noted = {record.name for record in records.left()}
    # A boot volume goes with its instance.
    assert noted == {name for kind, names in there.items() for name in names if kind != "volumes"}
    machine.dismantle(ignore)
    assert records.left() == []
    (instance,) = [each for each in records.of_executor(ground.executor_id) if each.profile]
    assert instance.made_at is not None
    assert instance.ready_at is not None
    assert instance.gone_at is not None
    records.close()


@pytest.mark.parametrize("at", range(1, 16))
def test_what_the_user_has_named_stays_whatever_fails(ground: Ground, at: int) -> None:
    named = users_network(ground.cloud)
    before, calls = ground.cloud.resources(), len(ground.cloud.calls)
    ground.cloud.inject("*", ".*", 400, 1, skip=at - 1)
    (machine,), _ = ground.machines(1, **named)
    (came,) = open_all([machine])
    if isinstance(came, Link):
        machine.dismantle(ignore)
    ground.cloud.faults.clear()
    changing = [call for call in ground.cloud.calls[calls:] if call.method in ("DELETE", "PATCH", "PUT")]
    assert not [call for call in changing if any(id in call.path for id in named.values())]
    assert {**ground.cloud.resources(), "instances": [], "volumes": []} == {
        **before,
        "instances": [],
        "volumes": [],
    }


def test_a_machine_that_does_not_come_up_is_made_again(ground: Ground) -> None:
    ground.cloud.next_instances("failed", "")
    (machine,), _ = ground.machines(1)
    assert isinstance(machine.open(), Link)
    ground.cloud.next_instances("failed", "failed")
    machine.dismantle(ignore)
    with pytest.raises(InstanceFailed, match="not enough capacity"):
        machine.open()
    assert ground.cloud.resources() == {}


def test_one_without_ssh_is_told_and_gone(ground: Ground) -> None:
    machines, ssh = ground.machines(1, start_timeout=1)
    ssh.silent.add(machines[0].name)
    with pytest.raises(InstanceFailed, match="nobody answers"):
        machines[0].open()
    assert ground.cloud.resources() == {}


def test_what_the_quota_allows_is_used(ground: Ground) -> None:
    ground.cloud.quota.instances = 2
    machines, _ = ground.machines(4)
    came = open_all(machines)
    assert sum(isinstance(each, Link) for each in came) == 2
    refused = [each for each in came if isinstance(each, HostError)]
    assert {type(each) for each in refused} == {CloudQuotaExceeded}
    assert len(ground.cloud.resources()["instances"]) == 2
    for machine in machines:
        machine.dismantle(ignore)
    assert ground.cloud.resources() == {}


def test_a_network_that_can_t_be_made_is_told_to_all_who_wait(ground: Ground) -> None:
    ground.cloud.inject("POST", "/subnets", 400, 100)
    machines, _ = ground.machines(3)
    came = open_all(machines)
    assert all(isinstance(each, CloudError) for each in came)
    assert {each.host for each in came if isinstance(each, CloudError)} == {each.name for each in machines}
    assert ground.cloud.resources() == {}


def test_what_can_t_be_removed_is_told_with_the_error(ground: Ground) -> None:
    ground.cloud.inject("POST", "/subnets", 400, 100)
    ground.cloud.inject("DELETE", "/vpcs/.*", SERVER_ERROR, 100)
    (machine,), _ = ground.machines(1)
    with pytest.raises(CloudError, match="moreover, not removed, and to be removed by `lithops clean`: VPC"):
        machine.open()


def test_what_is_named_and_is_not_there_is_told_by_its_key(ground: Ground) -> None:
    for keys in ({"vpc_id": "r006-none"}, {"vpc_name": "none"}, {"image_id": "r006-none"}):
        (machine,), _ = ground.machines(1, **keys)
        with pytest.raises(CloudNotFound, match=rf"ibm_vpc\.{next(iter(keys))}"):
            machine.open()
    assert ground.cloud.resources() == {}


def test_the_address_moves_to_a_machine_that_lives(ground: Ground) -> None:
    machines, ssh = ground.machines(3)
    open_all(machines)
    ground.cloud.delete_behind(machines[0].name)
    ground.cloud.wait(lambda cloud: len(cloud.resources()["instances"]) == 2, "the head is gone")
    machines[2].open()
    assert ssh.heads[machines[2].name] == machines[1].name
    # The first one is made again when it is wanted, as one of the others.
    machines[0].open()
    assert ssh.heads[machines[0].name] == machines[1].name
    assert len(ground.cloud.resources()["floating_ips"]) == 1


def test_one_that_was_ready_and_does_not_answer_is_left_alone(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lithops.backends.ibm_vpc.machine._REOPEN", 0.1)
    (machine,), ssh = ground.machines(1)
    machine.open()
    there = ground.cloud.resources()
    ssh.silent.add(machine.name)
    with pytest.raises(HostError) as caught:
        machine.open()
    assert caught.value.retryable
    assert ground.cloud.resources() == there


def test_one_that_is_off_is_started_again(ground: Ground) -> None:
    (machine,), _ = ground.machines(1, delete_on_dismantle=False)
    machine.open()
    told: list[str] = []
    machine.dismantle(lambda link, how: told.append(link.host))
    assert told == [machine.name]
    assert ground.cloud.instance(machine.name).status == "stopped"
    machine.open()
    assert ground.cloud.instance(machine.name).status == "running"


def test_dismantling_ends_the_wait_for_a_boot(ground: Ground) -> None:
    ground.cloud.next_instances("stuck")
    (machine,), _ = ground.machines(1, start_timeout=600)
    came: list[Any] = []
    thread = threading.Thread(target=lambda: came.extend(open_all([machine])))
    thread.start()
    ground.cloud.wait(lambda cloud: "instances" in cloud.resources(), "it is being made")
    machine.dismantle(ignore)
    thread.join(10)
    assert not thread.is_alive()
    assert "not wanted any more while it came up" in str(came[0])
    assert ground.cloud.resources() == {}


def test_a_trusted_profile_gives_machines_what_they_end_themselves_with(ground: Ground) -> None:
    profile = ground.cloud.trusted_profile()
    machines, ssh = ground.machines(2, profile_id=profile.id)
    open_all(machines)
    instance = ground.cloud.instance(machines[0].name)
    assert instance.metadata_enabled
    assert instance.trusted_profile == profile.id
    by_name = {each["name"]: each for each in ssh.started}
    assert by_name[machines[0].name]["instance_id"] == instance.id
    assert by_name[machines[0].name]["address_id"]
    assert not by_name[machines[1].name]["address_id"]
