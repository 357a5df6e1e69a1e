"""What was left is found by names alone, and nothing of anybody else's."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from lithops.backends.ibm_vpc.sweeping import find_leftovers, reap
from lithops.overdue import reap_clouds
from lithops.state.records import ExecutorRecord, HostRecord, Records
from tests.unit.backends.ibm_vpc.conftest import Ground

ENDED = 2**22 + 1
"""The number of a process that can't be."""


def opened(ground: Ground, pid: int) -> None:
    """An executor with machines, of a program with this number."""
    records = Records(ground.folder)
    records.executor_opened(
        ExecutorRecord(
            executor_id=ground.executor_id,
            backend="ibm_vpc",
            config=dict(ground.settings().config),
            pid=pid,
            created_at=time.time(),
        )
    )
    records.close()


def heard(ground: Ground, host: str, ends_in: float) -> None:
    records = Records(ground.folder)
    now = time.time()
    records.host_used(
        HostRecord(
            backend="ibm_vpc",
            host=host,
            executor_id=ground.executor_id,
            agent_id="agent",
            seen_at=now,
            deadline_at=now + ends_in,
        )
    )
    records.close()


def test_all_of_it_is_found_without_records(ground: Ground) -> None:
    (machine,), _ = ground.machines(1)
    machine.open()
    for path in ground.folder.glob("state.db*"):
        path.unlink()
    found = find_leftovers(ground.settings(), everything=True, folder=ground.folder)
    assert [each.kind for each in found] == ["instance", "floating IP", "security group", "subnet", "VPC"]
    for each in found:
        each.remove()
    assert ground.cloud.resources() == {}


def test_another_client_touches_nothing(ground: Ground, tmp_path: Path) -> None:
    (machine,), _ = ground.machines(1)
    machine.open()
    other = Ground(ground.cloud, tmp_path / "other")
    (its,), _ = other.machines(1)
    its.open()
    reap(other.settings(), folder=other.folder)
    for each in find_leftovers(other.settings(), everything=True, folder=other.folder):
        each.remove()
    assert ground.cloud.resources()["instances"] == [machine.name]
    assert find_leftovers(other.settings(), everything=True, folder=other.folder) == []


def test_what_a_killed_program_left_goes_and_what_a_living_one_uses_stays(ground: Ground) -> None:
    (machine,), _ = ground.machines(1)
    opened(ground, os.getpid())
    machine.open()
    assert find_leftovers(ground.settings(), everything=False, folder=ground.folder) == []
    assert reap_clouds(folder=ground.folder) == []
    opened(ground, ENDED)
    assert machine.name in reap_clouds(folder=ground.folder)
    assert ground.cloud.resources() == {}
    assert reap_clouds(folder=ground.folder) == []


def test_a_machine_that_works_on_without_its_program_stays_until_it_is_off(ground: Ground) -> None:
    (machine,), _ = ground.machines(1)
    machine.open()
    opened(ground, ENDED)
    heard(ground, machine.name, ends_in=300)
    assert reap_clouds(folder=ground.folder) == []
    ground.cloud.power_off(machine.name)
    assert machine.name in reap_clouds(folder=ground.folder)
    assert ground.cloud.resources() == {}


def test_nothing_is_asked_when_nothing_was_created(ground: Ground) -> None:
    opened(ground, ENDED)
    assert reap_clouds(folder=ground.folder) == []
    assert ground.cloud.calls == []
    shutil.rmtree(ground.folder)
    assert reap_clouds(folder=ground.folder) == []
