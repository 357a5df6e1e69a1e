"""Machines of IBM VPC that fail, are too many, or are made at the same time, on simulated instances."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lithops.backends import ibm_vpc
from lithops.backends.machine import Machine, Supply
from tests.cloud import Cloud, Delays
from tests.faults.cloud_scenario import QUICK, error_of, settings_on, without_ssh


@pytest.fixture(autouse=True)
def no_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No host is behind the cloud, and nobody has used it from here before."""
    without_ssh(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def quick_cloud() -> Iterator[Cloud]:
    """A cloud in which nothing takes time."""
    with Cloud(delays=QUICK) as cloud:
        yield cloud


def all_at_once(machines: Sequence[Machine], act: Callable[[Machine], object]) -> Counter[str]:
    """Do it with all machines in parallel, as a session does; count the classes of errors ('': none)."""
    with ThreadPoolExecutor(max_workers=len(machines)) as pool:
        return Counter(pool.map(lambda machine: error_of(lambda: act(machine)), machines))


def opened(machine: Machine) -> object:
    """Have the machine, if it can be had."""
    return machine.open()


def end(supply: Supply, machines: Sequence[Machine]) -> None:
    """Dismantle all, without an error."""
    assert all_at_once(machines, lambda machine: machine.dismantle(lambda link, how: None)) == {
        "": len(machines)
    }
    supply.end()


def test_an_instance_that_fails_is_made_again(quick_cloud: Cloud) -> None:
    quick_cloud.next_instances("failed")
    supply = ibm_vpc.supply(settings_on(quick_cloud), "run-0")
    (machine,) = supply.machines(1)
    machine.open()
    made = [call for call in quick_cloud.calls if (call.method, call.path) == ("POST", "/instances")]
    assert len(made) == 2
    end(supply, [machine])
    assert quick_cloud.resources() == {}


@pytest.mark.parametrize("fate", ["failed", "stuck"])
def test_instances_that_never_come_up_are_told_and_leave_nothing(quick_cloud: Cloud, fate: str) -> None:
    quick_cloud.next_instances(*[fate] * 10)
    supply = ibm_vpc.supply(settings_on(quick_cloud, start_timeout=1), "run-0")
    (machine,) = supply.machines(1)
    began = time.monotonic()
    assert error_of(machine.open) == "InstanceFailed"
    assert time.monotonic() - began < 10
    assert quick_cloud.resources() == {}


def test_a_quota_of_three_with_ten_wanted_gives_three(quick_cloud: Cloud) -> None:
    quick_cloud.quota.instances = 3
    supply = ibm_vpc.supply(settings_on(quick_cloud), "run-0")
    machines = supply.machines(10)
    assert all_at_once(machines, opened) == {"": 3, "CloudQuotaExceeded": 7}
    assert len(quick_cloud.resources()["instances"]) == 3
    end(supply, machines)
    assert quick_cloud.resources() == {}


def test_without_any_machine_the_network_goes_too(quick_cloud: Cloud) -> None:
    quick_cloud.quota.instances = 0
    supply = ibm_vpc.supply(settings_on(quick_cloud), "run-0")
    assert all_at_once(supply.machines(4), opened) == {"CloudQuotaExceeded": 4}
    assert quick_cloud.resources() == {}


def test_tokens_that_end_in_the_middle_are_renewed(quick_cloud: Cloud) -> None:
    def revoke() -> None:
        for _ in range(3):
            count = len(quick_cloud.calls) + 8
            quick_cloud.wait(lambda cloud, count=count: len(cloud.calls) >= count, "requests")  # type: ignore[misc]
            quick_cloud.iam.revoke_all()

    thread = threading.Thread(target=revoke)
    supply = ibm_vpc.supply(settings_on(quick_cloud), "run-0")
    machines = supply.machines(4)
    thread.start()
    assert all_at_once(machines, opened) == {"": 4}
    end(supply, machines)
    thread.join()
    assert quick_cloud.iam.issued > 2
    assert quick_cloud.resources() == {}


def test_two_executors_at_once_keep_to_their_own(quick_cloud: Cloud) -> None:
    supplies = [ibm_vpc.supply(settings_on(quick_cloud), f"run-{number}") for number in range(2)]
    machines = [supply.machines(3) for supply in supplies]
    assert all_at_once([*machines[0], *machines[1]], opened) == {"": 6}
    there = quick_cloud.resources()
    assert len(there["instances"]) == 6
    assert (len(there["vpcs"]), len(there["floating_ips"])) == (2, 2)
    end(supplies[0], machines[0])
    assert sorted(quick_cloud.resources()["instances"]) == sorted(machine.name for machine in machines[1])
    end(supplies[1], machines[1])
    assert quick_cloud.resources() == {}


def test_sixty_four_machines_come_and_go(quick_cloud: Cloud) -> None:
    quick_cloud.state.page_size = 50
    supply = ibm_vpc.supply(settings_on(quick_cloud, max_workers=64), "run-0")
    machines = supply.machines(1000)
    assert len(machines) == 64
    assert all_at_once(machines, opened) == {"": 64}
    assert len(quick_cloud.resources()["instances"]) == 64
    assert len(quick_cloud.resources()["floating_ips"]) == 1
    end(supply, machines)
    assert quick_cloud.resources() == {}


def test_twenty_machines_take_not_much_longer_than_one() -> None:
    def took(count: int) -> float:
        with Cloud(delays=Delays(pending=0.5, boot=2.0, network=0.2)) as cloud:
            cloud.state.page_size = 50
            supply = ibm_vpc.supply(settings_on(cloud), f"run-{count}")
            machines = supply.machines(count)
            began = time.monotonic()
            assert all_at_once(machines, opened) == {"": count}
            taken = time.monotonic() - began
            end(supply, machines)
            assert cloud.resources() == {}
        return taken

    one, twenty = took(1), took(20)
    print(f"one machine: {one:.2f} s, twenty: {twenty:.2f} s")
    assert twenty <= 2 * one
