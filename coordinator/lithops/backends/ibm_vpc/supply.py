"""The machines of an executor, by the mode."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.api import VpcApi
from lithops.backends.ibm_vpc.fleet import how_many, processes_of
from lithops.backends.ibm_vpc.identity import Identity
from lithops.backends.ibm_vpc.machine import VpcMachine
from lithops.backends.ibm_vpc.notebook import Notebook
from lithops.backends.ibm_vpc.reach import Reach
from lithops.backends.ibm_vpc.site import Site
from lithops.backends.machine import Machine, Supply
from lithops.config.settings import IbmVpcSettings, Settings


class VpcSupply:
    """Machines that are created for one executor. Thread-safe."""

    def __init__(self, settings: Settings, executor_id: str, *, folder: Path | None = None) -> None:
        assert isinstance(settings.backend, IbmVpcSettings)
        self._settings = settings
        self._section = settings.backend
        identity = Identity(folder)
        scope = names.Scope.of_executor(identity.client, executor_id or "none")
        notebook = Notebook(scope, executor_id, self._section.region, folder=folder)
        self._identity = identity
        self._site = Site(settings, scope, VpcApi(self._section), notebook)
        self._reach = Reach(settings, self._site, identity)
        self._lock = threading.Lock()
        self._machines: dict[int, VpcMachine] = {}

    def machines(self, calls: int) -> Sequence[Machine]:
        """As many as the calls need, of those that the configuration allows; never less than before."""
        section = self._section
        first = section.worker_processes or processes_of(section.master_profile_name)
        each = section.worker_processes or processes_of(section.worker_profile_name)
        count = how_many(calls, first, each, section.max_workers)
        with self._lock:
            for number in range(count):
                self._machine(number)
            return list(self._machines.values())

    def named(self, wanted: Iterable[str]) -> Sequence[Machine]:
        """The machines of this scope with these names."""
        parsed = [name for text in wanted if (name := names.parse(text)) is not None]
        with self._lock:
            return [
                self._machine(name.number)
                for name in parsed
                if name.scope == self._site.scope and name.role == names.VM and name.number is not None
            ]

    def end(self) -> None:
        """Remove the network. Raises HostError."""
        self._reach.close()
        self._site.tear_down()

    def _machine(self, number: int) -> VpcMachine:
        if number not in self._machines:
            self._machines[number] = VpcMachine(
                number, self._settings, self._site, self._reach, self._identity
            )
        return self._machines[number]


def supply_for(settings: Settings, executor_id: str) -> Supply:
    """The supply of an executor."""
    return VpcSupply(settings, executor_id)
