"""Machines of the fake cloud without hosts: what would go over SSH is left out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from lithops.backends.ibm_vpc.agents import Agents
from lithops.backends.ibm_vpc.api import VpcApi
from lithops.backends.ibm_vpc.identity import Identity
from lithops.backends.ibm_vpc.lead import Lead
from lithops.backends.ibm_vpc.machine import VpcMachine
from lithops.backends.ibm_vpc.names import Scope
from lithops.backends.ibm_vpc.notebook import Notebook
from lithops.backends.ibm_vpc.reach import Reach
from lithops.backends.ibm_vpc.site import Head, Site
from lithops.backends.machine import Link
from lithops.config.settings import Settings, resolve
from lithops.errors import HostUnreachable
from lithops.ssh.deadline import Deadline
from tests.cloud import Cloud, Delays

QUICK = Delays(pending=0, boot=0, shutdown=0, destroy=0, network=0, volume=0)


@dataclass
class FakeConnection:
    """A connection that is up until it is closed."""

    name: str
    is_alive: bool = True

    def close(self) -> None:
        """Close it."""
        self.is_alive = False


@dataclass
class FakeSsh:
    """Stands for `Reach` and `Agents`: machines with a way to them answer, but for those in ``silent``."""

    site: Site
    silent: set[str] = field(default_factory=set)
    heads: dict[str, str] = field(default_factory=dict)
    """The head that each machine was reached through at last."""
    started: list[dict[str, Any]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def connect(self, name: str, instance: Mapping[str, Any], deadline: Deadline) -> FakeConnection:
        """See `Reach`."""
        head = self.site.head()
        if head is None or name in self.silent:
            raise HostUnreachable("nobody answers", host=name, phase="connect")
        self.heads[name] = head.name
        return FakeConnection(name)

    def target(self, name: str, instance: Mapping[str, Any], head: Head) -> object:
        """Not needed here."""
        raise AssertionError

    def start(self, name: str, connection: FakeConnection, deadline: Deadline, **options: Any) -> Link:
        """See `Agents`."""
        self.started.append({"name": name, **options})
        return _link(name)

    def end(
        self,
        name: str,
        connection: FakeConnection,
        ask: Callable[[Link, str], None],
        deadline: Deadline,
    ) -> None:
        """See `Agents`."""
        ask(_link(name), "poweroff")


def _link(name: str) -> Link:
    nothing = cast(Any, None)
    return Link(host=name, agent_id=name, token="", runtime="", opener=nothing, close=lambda: None)


@dataclass
class Ground:
    """A client of a cloud."""

    cloud: Cloud
    folder: Path
    executor_id: str = "0123456789ab-0"

    def settings(self, **section: Any) -> Settings:
        """What a user has configured; ``start_timeout`` and ``exec_mode`` are for `standalone`."""
        timeout, mode = section.pop("start_timeout", 20), section.pop("exec_mode", "create")
        section = {"ssh_source": "192.0.2.1/32", "worker_processes": 1, **section}
        return resolve(self.cloud.config(mode, ibm_vpc=section, standalone={"start_timeout": timeout}))

    def site(self, **section: Any) -> Site:
        """The site of an executor."""
        settings = self.settings(**section)
        backend = cast(Any, settings.backend)
        scope = Scope.of_executor(Identity(self.folder).client, self.executor_id)
        notebook = Notebook(scope, self.executor_id, backend.region, folder=self.folder)
        api = VpcApi(backend, timeouts=(5, 5), pause=_pause)
        return Site(settings, scope, api, notebook, pause=_pause)

    def machines(self, count: int, **section: Any) -> tuple[list[VpcMachine], FakeSsh]:
        """Machines of one site, and what is heard of them over SSH."""
        site = self.site(**section)
        ssh = FakeSsh(site)
        settings, identity = self.settings(**section), Identity(self.folder)
        reach, agents = cast(Reach, ssh), cast(Agents, ssh)
        lead = Lead(say=lambda link, name, seconds: None, again=0.01)
        made = [VpcMachine(n, settings, site, reach, agents, lead, identity) for n in range(count)]
        return made, ssh


def _pause(seconds: float) -> None:
    """Let other threads run; what is waited for takes no time here."""
    threading.Event().wait(min(seconds, 0.002))


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """A client with an empty folder, and an empty cloud in which nothing takes long."""
    from lithops.backends.ibm_vpc import machine, removal, site, sweeping

    for module in (machine, site, sweeping):
        monkeypatch.setattr(module, "REMOVAL_TIMEOUT", 5.0)
    monkeypatch.setattr(machine, "_PAUSE", 0.002)
    monkeypatch.setattr(removal, "_PAUSES", (0.002,))
    monkeypatch.setattr(site, "_FRESH", 0.0)
    with Cloud(delays=QUICK) as cloud:
        yield Ground(cloud, tmp_path)
