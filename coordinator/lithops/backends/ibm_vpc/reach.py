"""Connections to the machines of a site: to the head by its public address, to the others through it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from lithops.backends.ibm_vpc.identity import Identity
from lithops.backends.ibm_vpc.site import Head, Site
from lithops.config.settings import IbmVpcSettings, Settings
from lithops.errors import HostUnreachable
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.target import SshTarget

_JUMP_CAP = 10.0
"""Seconds that the head may take to be connected to, while others wait."""


class Reach:
    """One connection to the head carries those to all others. Thread-safe."""

    def __init__(self, settings: Settings, site: Site, identity: Identity) -> None:
        assert isinstance(settings.backend, IbmVpcSettings)
        self._section = settings.backend
        self._site = site
        self._identity = identity
        self._lock = threading.Lock()
        self._jump: SshConnection | None = None

    @property
    def key_filename(self) -> str:
        """The key to log in with."""
        return self._section.ssh_key_filename or self._identity.login_key

    def target(self, name: str, instance: Mapping[str, Any], head: Head) -> SshTarget:
        """How to connect to a machine."""
        if head.name == name:
            return self._target(name, head.address)
        private = str(instance["primary_network_interface"]["primary_ip"]["address"])
        return self._target(name, private, self._target(head.name, head.address))

    def target_of(self, name: str, instance: Mapping[str, Any]) -> SshTarget:
        """How to connect to a machine as things are now. Raises HostError."""
        head = self._site.head()
        if head is None:
            raise HostUnreachable("no machine has the public address yet", host=name, phase="connect")
        return self.target(name, instance, head)

    def connect(self, name: str, instance: Mapping[str, Any], deadline: Deadline) -> SshConnection:
        """Connect to a machine that runs. Raises HostError."""
        target = self.target_of(name, instance)
        if target.jump is None:
            return SshConnection.connect(target, deadline)
        return SshConnection.through(self._jump_over(target.jump), target, deadline)

    def close(self) -> None:
        """Close the connection to the head, and with it those through it."""
        with self._lock:
            jump, self._jump = self._jump, None
        if jump is not None:
            jump.close()

    def _jump_over(self, target: SshTarget) -> SshConnection:
        with self._lock:
            jump = self._jump
            if jump is None or not jump.is_alive or jump.target != target:
                if jump is not None:
                    jump.close()
                self._jump = None
                jump = self._jump = SshConnection.connect(target, Deadline.after(_JUMP_CAP))
            return jump

    def _target(self, name: str, address: str, jump: SshTarget | None = None) -> SshTarget:
        return SshTarget(
            name=name,
            address=address,
            username=self._section.ssh_username,
            key_filenames=(self.key_filename,),
            jump=jump,
            use_agent=self._section.ssh_key_filename is not None,
            host_keys="strict",
            known_hosts=(self._identity.known_hosts(name),),
            host_key_alias=name,
        )
