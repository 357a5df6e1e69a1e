"""The machines of an executor, by the mode."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.agents import Agents
from lithops.backends.ibm_vpc.api import INSTANCE, VpcApi
from lithops.backends.ibm_vpc.consumed import ConsumedMachine
from lithops.backends.ibm_vpc.fleet import how_many, numbers_for, processes_of
from lithops.backends.ibm_vpc.identity import Identity
from lithops.backends.ibm_vpc.lead import Lead
from lithops.backends.ibm_vpc.machine import VpcMachine
from lithops.backends.ibm_vpc.notebook import Notebook
from lithops.backends.ibm_vpc.reach import Reach
from lithops.backends.ibm_vpc.site import Site
from lithops.backends.ibm_vpc.turn import give_back
from lithops.backends.machine import FixedSupply, Machine, Supply
from lithops.config.ibm import CONSUME
from lithops.config.settings import IbmVpcSettings, Settings
from lithops.errors import ConfigError

REUSE = "reuse"
_OF_A_KIND = (
    "region", "resource_group_id", "zone", "endpoint", "vpc_id", "vpc_name", "subnet_id", "security_group_id",
    "gateway_id", "public_gateway", "floating_ip", "ssh_source", "ssh_key_id", "image_id",
    "worker_profile_name", "master_profile_name", "boot_volume_profile", "boot_volume_capacity",
    "ssh_username", "ssh_key_filename", "profile_id",
)  # fmt: skip
"""The settings in which machines that executors share must not differ."""


class VpcSupply:
    """Machines that are created when calls need them. Thread-safe.

    Those of an executor with the mode `create` are its own. With `reuse`, all executors of this client with
    the same settings share theirs, and those that are there are used before others are created.
    """

    def __init__(self, settings: Settings, executor_id: str, *, folder: Path | None = None) -> None:
        assert isinstance(settings.backend, IbmVpcSettings)
        self._settings = settings
        self._section = settings.backend
        self._identity = Identity(folder)
        self._shared = settings.standalone.exec_mode == REUSE
        self._executor_id = executor_id
        self._folder = folder
        self._lock = threading.Lock()
        self._machines: dict[int, VpcMachine] = {}
        self._site: Site | None = None

    def machines(self, calls: int) -> Sequence[Machine]:
        """As many as the calls need, and the configuration allows; never less than before."""
        section = self._section
        first = section.worker_processes or processes_of(section.master_profile_name)
        each = section.worker_processes or processes_of(section.worker_profile_name)
        count = how_many(calls, first, each, section.max_workers)
        with self._lock:
            if count > len(self._machines):
                for number in numbers_for(count, self._machines, self._there()):
                    self._machine(number)
            return list(self._machines.values())

    def named(self, wanted: Iterable[str]) -> Sequence[Machine]:
        """The machines with these names, if they can be this executor's."""
        parsed = [name for text in wanted if (name := names.parse(text)) is not None]
        with self._lock:
            return [
                self._machine(name.number)
                for name in parsed
                if name.scope == self._sited().scope and name.role == names.VM and name.number is not None
            ]

    def leave(self) -> None:
        """Delete machines that are not up yet, and let the one go that others are reached through."""
        with self._lock:
            machines = list(self._machines.values())
            lead = self._lead if self._site is not None else None
        if lead is not None:
            lead.release()
        give_back(machines)

    def end(self) -> None:
        """Remove the network. Raises HostError."""
        with self._lock:
            site = self._site
        if site is not None:
            self._reach.close()
            site.tear_down()

    def _there(self) -> list[int]:
        """The numbers of machines that executors share, as far as the records know."""
        if not self._shared:
            return []
        left = [names.parse(each.name) for each in self._sited().notebook.left() if each.kind == INSTANCE]
        return [name.number for name in left if name is not None and name.number is not None]

    def _machine(self, number: int) -> VpcMachine:
        if number not in self._machines:
            site = self._sited()
            self._machines[number] = VpcMachine(
                number, self._settings, site, self._reach, self._agents, self._lead, self._identity
            )
        return self._machines[number]

    def _sited(self) -> Site:
        if self._site is None:
            client = self._identity.client
            if self._shared:
                scope = names.Scope.of_kind(client, kind_of(self._section))
            else:
                scope = names.Scope.of_executor(client, self._executor_id)
            notebook = Notebook(scope, self._executor_id, self._section.region, folder=self._folder)
            self._site = Site(self._settings, scope, VpcApi(self._section), notebook)
            self._reach = Reach(self._settings, self._site, self._identity)
            self._agents = Agents(self._settings)
            self._lead = Lead()
        return self._site


class ConsumedSupply(FixedSupply):
    """The one instance that the user names."""

    def __init__(self, machine: ConsumedMachine) -> None:
        super().__init__([machine])
        self._machine = machine

    def leave(self) -> None:
        """Stop it, when it was started and is not up yet."""
        give_back([self._machine])


def kind_of(section: IbmVpcSettings) -> str:
    """What machines are like: the same for all executors that could share theirs."""
    text = json.dumps([getattr(section, key) for key in _OF_A_KIND])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def supply_for(settings: Settings, executor_id: str) -> Supply:
    """The supply of an executor.

    Raises:
        ConfigError: the SDK is not installed.
    """
    require_sdk()
    assert isinstance(settings.backend, IbmVpcSettings)
    if settings.standalone.exec_mode == CONSUME:
        api, agents = VpcApi(settings.backend), Agents(settings)
        return ConsumedSupply(ConsumedMachine(settings, api, agents))
    return VpcSupply(settings, executor_id)


def require_sdk() -> None:
    """Raise ConfigError, with what to do, when IBM's SDK is not installed."""
    if find_spec("ibm_vpc") is None:
        raise ConfigError(
            "the backend ibm_vpc needs IBM's SDK, which is not installed: "
            "pip install 'lithops-standalone[ibm]'"
        )
