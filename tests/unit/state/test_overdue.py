"""Hosts whose agents should have ended: found in the records, and ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from lithops.backends.machine import FixedSupply, Link
from lithops.config import default_config
from lithops.config.secrets import without_secrets
from lithops.errors import HostUnreachable
from lithops.inspection import hosts
from lithops.overdue import end_overdue
from lithops.state.ledger import Ledger
from lithops.state.records import HostRecord, Records
from lithops.testing_agent import FakeAgent
from lithops.testing_machine import FakeMachine
from tests.unit.state.test_spool import a_job, info

CONFIG = {"lithops": {"backend": "vm"}, "vm": {"ip_address": "h", "ssh_password": "secret"}}


class Machine(FakeMachine):
    """A machine whose end is noted."""

    def __init__(self, name: str, agent: Optional[FakeAgent]) -> None:
        super().__init__(name, agent)  # type: ignore[arg-type]
        self.ended = 0
        self.unreachable = False

    def find(self) -> Optional[Link]:
        if self.unreachable:
            raise HostUnreachable("no route", host=self.name)
        return None if self.agent is None else self.open()

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        self.ended += 1


class Agent(FakeAgent):
    """An agent that tells how long it means to run on."""

    left: Optional[float] = 0.0

    def status(self, asked: Any) -> dict[str, Any]:
        return {**super().status(asked), "time_to_dismantle": self.left}


@pytest.fixture
def agent() -> Iterator[Agent]:
    made = Agent()
    yield made
    made.close()


@pytest.fixture
def machine(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine("h", agent)
    monkeypatch.setattr(hosts, "supply_of", lambda settings, executor_id: FixedSupply([made]))
    return made


@pytest.fixture
def folder(tmp_path: Path, empty_home: None) -> Path:
    config = without_secrets(default_config(config_data=CONFIG))
    ledger = Ledger("x-0", "vm", config, folder=tmp_path, clock=lambda: 1000.0)
    ledger.submitted("x-0-M000", a_job(), info(a_job()), [(0, b"a")])
    ledger.released(["x-0-M000"])
    ledger.host_used("h", "agent", 100.0)
    ledger.close()
    return tmp_path


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def recorded(folder: Path) -> HostRecord:
    records = Records(folder)
    (found,) = records.hosts()
    records.close()
    return found


@pytest.mark.parametrize(("now", "ended"), [(1159.0, 0), (1161.0, 1)])
def test_a_host_is_ended_a_grace_after_its_deadline(
    folder: Path, machine: Machine, now: float, ended: int
) -> None:
    assert end_overdue(folder, grace=60, now=now) == ["h"] * ended
    assert machine.ended == ended
    assert recorded(folder).ended_at == (now if ended else None)
    assert end_overdue(folder, grace=60, now=now) == []


@pytest.mark.parametrize(("left", "deadline"), [(30.0, 2030.0), (None, None)])
def test_an_agent_that_was_used_since_goes_on(
    folder: Path, machine: Machine, agent: Agent, left: Optional[float], deadline: Optional[float]
) -> None:
    agent.left = left
    assert end_overdue(folder, now=2000.0) == []
    assert machine.ended == 0
    assert (recorded(folder).deadline_at, recorded(folder).ended_at) == (deadline, None)


def test_what_is_left_of_a_dead_agent_is_removed(folder: Path, machine: Machine) -> None:
    machine.agent = None  # type: ignore[assignment]
    assert end_overdue(folder, now=2000.0) == []
    assert machine.ended == 1
    assert recorded(folder).ended_at == 2000.0


def test_results_that_may_be_asked_for_are_left_alone(folder: Path, machine: Machine) -> None:
    ledger = Ledger("x-0", "vm", {}, folder=folder)
    ledger.submitted("x-0-M001", a_job("M001"), info(a_job("M001")), [(0, b"a")])
    machine.agent = None  # type: ignore[assignment]
    assert end_overdue(folder, now=2000.0) == []
    assert machine.ended == 0
    assert recorded(folder).ended_at == 2000.0


def test_a_host_that_cant_be_reached_is_tried_the_next_time(folder: Path, machine: Machine) -> None:
    machine.unreachable = True
    assert end_overdue(folder, now=2000.0) == []
    assert recorded(folder).ended_at is None
    machine.unreachable = False
    assert end_overdue(folder, now=2000.0) == ["h"]


def test_without_records_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert end_overdue(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
