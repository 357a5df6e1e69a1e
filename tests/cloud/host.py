"""A host of the testbed as an instance of the cloud: its first boot is that of cloud-init."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import flask

from tests.testbed.booted import BootedHost, Hardware
from tests.testbed.commands import run
from tests.testbed.credentials import Credentials
from tests.testbed.disk import Disk
from tests.testbed.network import inside

from .server import Server

METADATA_ADDRESS = "169.254.169.254"
_SEED = "/var/lib/cloud/seed/nocloud"


class CloudHost(BootedHost):
    """A host that nobody can log in to but whom its user data, and its keys, let in."""

    def __init__(
        self, name: str, hardware: Hardware, credentials: Credentials, *,
        user_data: str, public_keys: list[str], instance_id: str, sshd: bool,
        metadata: flask.Flask, ruleset: Callable[[], str], when_off: Callable[[], None],
    ) -> None:  # fmt: skip
        self._user_data = user_data
        self._public_keys = public_keys
        self._instance_id = instance_id
        self._sshd = sshd
        self._metadata = metadata
        self._ruleset = ruleset
        self._when_off = when_off
        self._server: Server | None = None
        self._rules = ""
        super().__init__(name, hardware, credentials)

    def make_identity(self) -> None:
        """Its keys come from its user data, or are made at its first boot; nobody knows them here."""
        self._keys.mkdir(exist_ok=True)

    def let_users_in(self, disk: Disk) -> None:
        """Write the seed that cloud-init reads."""
        disk.hold(_SEED).mkdir(parents=True, exist_ok=True)
        meta = {
            "instance-id": self._instance_id, "local-hostname": self.name, "public-keys": self._public_keys,
        }  # fmt: skip
        disk.hold(f"{_SEED}/meta-data").write_text(json.dumps(meta))
        disk.hold(f"{_SEED}/user-data").write_text(self._user_data)
        disk.hold(f"{_SEED}/user-data").chmod(0o600)
        if not self._sshd:
            disk.hold("/etc/systemd/system/ssh.service").symlink_to("/dev/null")

    def lay_network(self) -> None:
        """Make the network, with the firewall and the metadata service in it."""
        super().lay_network()
        self._stop_metadata()
        path = self.hardware.namespace.path
        run("ip", "-netns", path.name, "addr", "add", f"{METADATA_ADDRESS}/32", "dev", "lo")
        self._rules = ""
        self.apply_rules()
        listener = inside(path, lambda: socket.create_server((METADATA_ADDRESS, 80), backlog=64))
        self._server = Server(self._metadata, METADATA_ADDRESS, listener)

    def apply_rules(self) -> None:
        """Let the firewall be as the security groups are now."""
        rules = self._ruleset()
        path = self.hardware.namespace.path
        if rules != self._rules and path.exists():
            run("nsenter", f"--net={path}", "nft", "-f", "-", input=rules)
            self._rules = rules

    def _stop_metadata(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    def went_off(self) -> None:
        """The host has ended; the cloud gets to know."""
        super().went_off()
        self._stop_metadata()
        self._when_off()
