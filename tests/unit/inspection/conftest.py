"""Hosts of a configuration that are agents in this process, and records in a home of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from lithops.backends.machine import FixedSupply, Link
from lithops.config import default_config, resolve
from lithops.config.secrets import without_secrets
from lithops.config.settings import Settings
from lithops.errors import HostUnreachable
from lithops.inspection import hosts
from lithops.state.records import ExecutorRecord, HostRecord, Records
from lithops.testing_agent import FakeAgent, FakeMachine


class Machine(FakeMachine):
    """A machine that may have no agent, or not be there at all."""

    def __init__(self, name: str, agent: Optional[FakeAgent], *, unreachable: bool = False) -> None:
        super().__init__(name, agent)  # type: ignore[arg-type]
        self.unreachable = unreachable

    def find(self) -> Optional[Link]:
        if self.unreachable:
            raise HostUnreachable("no route", host=self.name)
        return None if self.agent is None else self.open()


class Cluster:
    """What the configuration leads to."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.agents: list[FakeAgent] = []

    def add(self, name: str, *, agent: bool = True, unreachable: bool = False, **options: Any) -> FakeAgent:
        made = FakeAgent(agent_id=f"agent of {name}", **options)
        self.agents.append(made)
        self.machines[name] = Machine(name, made if agent else None, unreachable=unreachable)
        return made

    def of(self, settings: Settings, executor_id: str) -> FixedSupply:
        names = [
            host["address"] if isinstance(host, dict) else host for host in settings.config["vm"]["hosts"]
        ]
        return FixedSupply([self.machines[name] for name in names])

    def settings(self, *names: str) -> Settings:
        return resolve({"lithops": {"backend": "vm"}, "vm": {"hosts": list(names)}})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Cluster()
    monkeypatch.setattr(hosts, "supply_of", made.of)
    yield made
    for agent in made.agents:
        agent.close()


@pytest.fixture
def records(cluster: Cluster) -> Iterator[Records]:
    made = Records()
    yield made
    made.close()


def use(records: Records, host: str, executor_id: str = "x-0", **changed: Any) -> None:
    """A program has used a host of its own configuration."""
    config = without_secrets(
        default_config(config_data={"lithops": {"backend": "vm"}, "vm": {"hosts": [host]}})
    )
    records.executor_opened(
        ExecutorRecord(executor_id=executor_id, backend="vm", config=config, pid=1, created_at=1.0)
    )
    record = HostRecord(backend="vm", host=host, executor_id=executor_id, agent_id="a", seen_at=2.0)
    records.host_used(record)
    if "ended_at" in changed:
        records.host_ended("vm", host, changed["ended_at"])
