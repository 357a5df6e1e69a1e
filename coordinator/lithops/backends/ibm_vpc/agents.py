"""The agents of machines in the cloud: started, found, and told to end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lithops.backends.agent_link import link_over
from lithops.backends.ending import Ending
from lithops.backends.ibm_vpc.api import VERSION, endpoint_of
from lithops.backends.machine import Link
from lithops.bootstrap.bundle import build_bundle
from lithops.bootstrap.end import look
from lithops.bootstrap.start import ensure_agent
from lithops.config.settings import IbmVpcSettings, Settings
from lithops.errors import HostError
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline

if TYPE_CHECKING:
    from lithops.shell.access import SshAccess

logger = logging.getLogger(__name__)


class Agents:
    """What is done over a connection to a machine. The connection is closed when that fails."""

    def __init__(self, settings: Settings) -> None:
        assert isinstance(settings.backend, IbmVpcSettings)
        self._settings = settings
        self._section = settings.backend

    def start(
        self,
        name: str,
        connection: SshConnection,
        deadline: Deadline,
        *,
        instance_id: str,
        address_id: str = "",
    ) -> Link:
        """Make sure that the agent runs. ``address_id`` is the public address that goes with the machine.

        Raises:
            HostError: it does not.
        """
        standalone, ending = self._settings.standalone, self._settings.ending
        soft = standalone.soft
        options = ["--soft", f"{-1 if soft is None else soft:g}", "--ending", ending]
        if self._section.profile_id:
            options += ["--cloud", self._cloud_identity(instance_id, address_id)]
        try:
            endpoint = ensure_agent(
                connection,
                build_bundle(),
                host=name,
                deadline=deadline,
                runtime=standalone.runtime,
                options=options,
                root=True,
            )
        except BaseException:
            connection.close()
            raise
        return self._link(name, connection, vars(endpoint), endpoint.python)

    def find(self, name: str, connection: SshConnection, deadline: Deadline) -> Link | None:
        """The agent that runs there, if one does. Raises HostError."""
        try:
            found = look(connection, host=name, deadline=deadline)
        except BaseException:
            connection.close()
            raise
        if found.agent is None:
            connection.close()
            return None
        return self._link(name, connection, found.agent)

    def access(self, name: str, connection: SshConnection) -> SshAccess:
        """The way into the machine, for a person."""
        from lithops.shell.access import SshAccess

        return SshAccess(connection, lambda state: self._link(name, connection, state))

    def end(
        self, name: str, connection: SshConnection, ask: Callable[[Link, str], None], deadline: Deadline
    ) -> None:
        """Have the agent end, and its machine go off; whether it does is for the cloud to tell."""
        how = self._settings.ending
        with connection:
            try:
                Ending(name, how, deadline).run(
                    lambda end: look(connection, host=name, deadline=deadline, end=end),
                    lambda state: ask(self._link(name, connection, state), how),
                )
            except HostError as exc:
                logger.debug("host %s: its agent did not end by itself: %s", name, exc)

    def _link(
        self, name: str, connection: SshConnection, state: Mapping[str, Any], python: str = "python3"
    ) -> Link:
        processes = self._section.worker_processes
        return link_over(connection, state, host=name, processes=processes, python=python)

    def _cloud_identity(self, instance_id: str, address_id: str) -> str:
        """How the machine ends itself; no secret is in it."""
        from lithops_agent.cloud import CloudIdentity

        section = self._section
        private = f"https://{section.region}.private.iaas.cloud.ibm.com/v1"
        if section.endpoint:
            private = section.endpoint if ".private." in section.endpoint else ""
        return CloudIdentity(
            instance_id=instance_id,
            endpoint=endpoint_of(section),
            private_endpoint=private,
            floating_ip_id=address_id,
            profile=section.profile_id or "",
            version=VERSION,
        ).to_text()
