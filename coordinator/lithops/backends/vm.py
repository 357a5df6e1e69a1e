"""Hosts that exist and are reached over SSH."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from lithops.backends.agent_link import link_over
from lithops.backends.ending import END_TIMEOUT, Ending
from lithops.backends.machine import Link
from lithops.bootstrap.bundle import build_bundle
from lithops.bootstrap.end import look
from lithops.bootstrap.start import ensure_agent
from lithops.config.host import HostSettings
from lithops.config.settings import StandaloneSettings, VmSettings
from lithops.errors import HostError
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.local import local_login
from lithops.ssh.target import HostKeyPolicy, SshTarget, resolve_target
from lithops_agent.protocol import HOST_ENDINGS

if TYPE_CHECKING:
    from lithops.shell.access import SshAccess

_OPEN_TIMEOUT = 60.0
"""Seconds for connecting, probing, sending the bundle and starting the agent on a host that is up."""


class VmMachine:
    """One host of the section ``vm``."""

    def __init__(self, host: HostSettings, vm: VmSettings, standalone: StandaloneSettings) -> None:
        self.name = host.name
        self._host = host
        self._vm = vm
        self._standalone = standalone
        self._ending = standalone.ending("vm")

    def open(self) -> Link:
        """Connect over SSH, and make sure that the agent runs. Raises HostError."""
        deadline = Deadline.after(min(_OPEN_TIMEOUT, self._standalone.start_timeout))
        connection = self.connect(deadline)
        try:
            endpoint = ensure_agent(
                connection,
                build_bundle(),
                host=self.name,
                deadline=deadline,
                runtime=self._standalone.runtime,
                options=self._options(),
                root=self._ending in HOST_ENDINGS,
            )
        except BaseException:
            connection.close()
            raise
        return self._link(connection, vars(endpoint), endpoint.python)

    def find(self) -> Link | None:
        """Connect over SSH to the agent that runs there, if one does. Raises HostError."""
        deadline = Deadline.after(min(_OPEN_TIMEOUT, self._standalone.start_timeout))
        connection = self.connect(deadline)
        try:
            found = look(connection, host=self.name, deadline=deadline)
        except BaseException:
            connection.close()
            raise
        if found.agent is None:
            connection.close()
            return None
        return self._link(connection, found.agent)

    def is_left(self) -> bool:
        """Whether there is an agent, or anything that one has left. Raises HostError."""
        deadline = Deadline.after(min(_OPEN_TIMEOUT, self._standalone.start_timeout))
        with self.connect(deadline) as connection:
            found = look(connection, host=self.name, deadline=deadline)
        return found.left or found.agent is not None

    def enter(self) -> SshAccess:
        """Connect over SSH, whether an agent runs there or not. Raises HostError."""
        from lithops.shell.access import SshAccess

        connection = self.connect(Deadline.after(min(_OPEN_TIMEOUT, self._standalone.start_timeout)))
        return SshAccess(connection, lambda state: self._link(connection, state))

    def equivalent(self, command: Optional[str], *, with_terminal: bool) -> list[str]:
        """The same over `ssh`."""
        from lithops.shell.equivalent import ssh_command

        return ssh_command(self.target(), command, with_terminal=with_terminal)

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        """End the agent, and wait until it is gone. Raises HostError."""
        deadline = Deadline.after(END_TIMEOUT)
        ending = Ending(self.name, self._ending, deadline)
        while not self._end_over(self.connect(deadline), ending, ask, deadline):
            pass

    def _end_over(
        self,
        connection: SshConnection,
        ending: Ending,
        ask: Callable[[Link, str], None],
        deadline: Deadline,
    ) -> bool:
        """See to the end of the agent over a connection; False: it broke, and another one may do."""
        with connection:
            try:
                ending.run(
                    lambda end: look(connection, host=self.name, deadline=deadline, end=end),
                    lambda state: ask(self._link(connection, state), self._ending),
                )
            except HostError:
                if connection.is_alive or not ending.asked or deadline.expired:
                    raise
                return self._ending in HOST_ENDINGS
        return True

    def connect(self, deadline: Deadline) -> SshConnection:
        """A connection of one's own. Raises HostError."""
        return SshConnection.connect(self.target(), deadline)

    def target(self) -> SshTarget:
        """Whom to connect to, and as whom. Raises HostError."""
        host = self._host
        policy: HostKeyPolicy = "accept-new" if self._vm.host_keys == "accept-new" else "strict"
        return resolve_target(
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

    def _options(self) -> list[str]:
        soft = self._standalone.soft
        return ["--soft", f"{-1 if soft is None else soft:g}", "--ending", self._ending]

    def _link(self, connection: SshConnection, state: Mapping[str, Any], python: str = "python3") -> Link:
        processes = self._host.processes
        return link_over(connection, state, host=self.name, processes=processes, python=python)


def machines(vm: VmSettings, standalone: StandaloneSettings) -> Sequence[VmMachine]:
    """The hosts of a configuration."""
    return [VmMachine(host, vm, standalone) for host in vm.hosts[: vm.max_workers]]
