"""Hosts of a configuration that are agents in this process, and records in a home of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from lithops.backends.machine import FixedSupply, Link
from lithops.config import default_config, resolve
from lithops.config.secrets import without_secrets
from lithops.config.settings import Settings
from lithops.errors import HostTimeout, HostUnreachable
from lithops.inspection import hosts
from lithops.state.records import ExecutorRecord, HostRecord, JobRecord, Records
from lithops.testing_agent import FakeAgent
from lithops.testing_machine import FakeMachine
from lithops_agent.protocol import JobSpec


class Machine(FakeMachine):
    """A machine that may have no agent, or not be there at all."""

    def __init__(self, name: str, agent: Optional[FakeAgent], *, unreachable: bool = False) -> None:
        super().__init__(name, agent)  # type: ignore[arg-type]
        self.unreachable = unreachable
        self.stubborn = False

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        if self.stubborn:
            raise HostTimeout("its agent did not end in time", host=self.name)
        super().dismantle(ask)
        self.agent = None  # type: ignore[assignment]

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

    def run(self, name: str, job: str, numbers: range, session: str = "x-0") -> None:
        """The agent of a host has these calls of a job."""
        agent = self.machines[name].agent
        with agent.changed:
            agent.specs[job] = JobSpec(
                job=job, session=session, function="ab" * 32, total=9, runtime="python3", function_name="f"
            )
            agent.calls.update({(job, number): b"" for number in numbers})
            agent._begin()

    def settings(self, *names: str, **standalone: Any) -> Settings:
        return resolve({"lithops": {"backend": "vm"}, "standalone": standalone, "vm": {"hosts": list(names)}})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    """An empty one, in a home of its own."""
    (tmp_path / "home").mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made = Cluster()
    monkeypatch.setattr(hosts, "supply_of", made.of)
    yield made
    for agent in made.agents:
        agent.close()


@pytest.fixture
def records(cluster: Cluster) -> Iterator[Records]:
    """The records of that home."""
    made = Records()
    yield made
    made.close()


def use(records: Records, host: str, executor_id: str = "x-0", **changed: Any) -> None:
    """A program has used a host of its own configuration."""
    config = without_secrets(
        default_config(config_data={"lithops": {"backend": "vm"}, "vm": {"hosts": [host]}})
    )
    records.executor_opened(
        ExecutorRecord(
            executor_id=executor_id,
            backend="vm",
            config=config,
            pid=changed.get("pid", 1),
            created_at=changed.get("created_at", 1.0),
        )
    )
    record = HostRecord(
        backend="vm",
        host=host,
        executor_id=executor_id,
        agent_id="a",
        seen_at=2.0,
        deadline_at=changed.get("deadline_at"),
    )
    records.host_used(record)
    if "ended_at" in changed:
        records.host_ended("vm", host, changed["ended_at"])


def submit(records: Records, key: str = "x-0-M000", calls: int = 4, at: float = 5.0) -> JobRecord:
    """A program has submitted a job."""
    executor_id, _, job_id = key.rpartition("-")
    job = JobRecord(
        job_key=key,
        executor_id=executor_id,
        job_id=job_id,
        function_name="f",
        total_calls=calls,
        created_at=at,
    )
    records.job_submitted(job)
    return job
