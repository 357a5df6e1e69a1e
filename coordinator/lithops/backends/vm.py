"""Hosts that exist and are reached over SSH."""

from __future__ import annotations

from collections.abc import Sequence

from lithops.backends.machine import Link
from lithops.bootstrap.bundle import build_bundle
from lithops.bootstrap.start import AgentEndpoint, ensure_agent
from lithops.config.host import HostSettings
from lithops.config.settings import StandaloneSettings, VmSettings
from lithops.errors import HostError
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.http import SocketLike
from lithops.ssh.local import local_login
from lithops.ssh.target import HostKeyPolicy, resolve_target

_OPEN_TIMEOUT = 60.0
"""Seconds for connecting, probing, sending the bundle and starting the agent on a host that is up."""
_LOOPBACK = "127.0.0.1"


class VmMachine:
    """One host of the section ``vm``."""

    def __init__(self, host: HostSettings, vm: VmSettings, standalone: StandaloneSettings) -> None:
        self.name = host.name
        self._host = host
        self._vm = vm
        self._standalone = standalone

    def open(self) -> Link:
        """Connect over SSH, and make sure that the agent runs. Raises HostError."""
        deadline = Deadline.after(min(_OPEN_TIMEOUT, self._standalone.start_timeout))
        connection = self._connect(deadline)
        try:
            endpoint = ensure_agent(
                connection,
                build_bundle(),
                host=self.name,
                deadline=deadline,
                runtime=self._standalone.runtime,
                options=self._options(),
            )
        except BaseException:
            connection.close()
            raise
        return _link(self._host, connection, endpoint)

    def _connect(self, deadline: Deadline) -> SshConnection:
        host = self._host
        policy: HostKeyPolicy = "accept-new" if self._vm.host_keys == "accept-new" else "strict"
        target = resolve_target(
            host.address,
            login=local_login(),
            name=host.name,
            username=host.username,
            port=host.port,
            key_filename=host.key_filename,
            password=host.password,
            key_passphrase=host.key_passphrase,
            jump=host.jump,
            host_keys=policy,
            known_hosts=self._vm.known_hosts,
        )
        return SshConnection.connect(target, deadline)

    def _options(self) -> list[str]:
        soft = self._standalone.soft_dismantle_timeout if self._standalone.auto_dismantle else -1
        return ["--soft", f"{soft:g}"]


def _link(host: HostSettings, connection: SshConnection, endpoint: AgentEndpoint) -> Link:
    def opener(timeout: float) -> SocketLike:
        try:
            return connection.open_channel(_LOOPBACK, endpoint.port, Deadline.after(timeout))
        except HostError as exc:
            if connection.is_alive:
                raise
            raise ConnectionError(str(exc)) from exc

    return Link(
        host=host.name,
        agent_id=endpoint.agent_id,
        token=endpoint.token,
        runtime=endpoint.python,
        opener=opener,
        close=connection.close,
        processes=host.processes,
    )


def machines(vm: VmSettings, standalone: StandaloneSettings) -> Sequence[VmMachine]:
    """The hosts of a configuration."""
    return [VmMachine(host, vm, standalone) for host in vm.hosts[: vm.max_workers]]
