"""The instance that the user names, in the mode `consume`: started, used and stopped, and never deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lithops.backends.ending import END_TIMEOUT
from lithops.backends.ibm_vpc.agents import Agents
from lithops.backends.ibm_vpc.api import ADDRESS, INSTANCE, VpcApi
from lithops.backends.ibm_vpc.fleet import RUNNING, Action, next_action
from lithops.backends.ibm_vpc.removal import REMOVAL_TIMEOUT, switch_off, switch_on
from lithops.backends.ibm_vpc.turn import Turn
from lithops.backends.machine import Link
from lithops.config.settings import IbmVpcSettings, Settings
from lithops.errors import (
    AuthenticationError,
    CloudError,
    CloudNotFound,
    HostError,
    HostKeyError,
    HostTimeout,
)
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.local import local_login
from lithops.ssh.target import SshTarget, resolve_target

if TYPE_CHECKING:
    from lithops.shell.access import SshAccess

logger = logging.getLogger(__name__)

_TRY = 15.0
_PAUSE = 0.5
_LOOK_TIMEOUT = 60.0


class ConsumedMachine:
    """See above. Its name is the id of the instance."""

    def __init__(self, settings: Settings, api: VpcApi, agents: Agents) -> None:
        assert isinstance(settings.backend, IbmVpcSettings)
        assert settings.backend.instance_id is not None
        self.name = settings.backend.instance_id
        self._settings = settings
        self._section = settings.backend
        self._api = api
        self._agents = agents
        self._turn = Turn(self.name)
        self._started = False
        """Whether it was off, and no agent that could end it has run since it was started."""

    def open(self) -> Link:
        """Start the instance if it is stopped, and make sure that the agent runs.

        Raises:
            HostError: it can't be used; if it was started for this, it is off again.
        """
        deadline = Deadline.after(self._settings.standalone.start_timeout)
        with self._turn:
            try:
                connection = self._connected(deadline)
                link = self._agents.start(self.name, connection, deadline, instance_id=self.name)
            except HostError as exc:
                self._give_up(exc)
                raise (exc.on(self.name) if isinstance(exc, CloudError) else exc) from exc
            self._started = False
            return link

    def find(self) -> Link | None:
        """Connect to the agent that runs there; None when there is none, or the instance is off."""
        instance = self._look()
        if instance["status"] != RUNNING:
            return None
        deadline = Deadline.after(_LOOK_TIMEOUT)
        connection = SshConnection.connect(self._target(instance), deadline)
        return self._agents.find(self.name, connection, deadline)

    def enter(self) -> SshAccess:
        """Connect over SSH, whether an agent runs there or not; the machine must be up. Raises HostError."""
        connection = SshConnection.connect(self.target(), Deadline.after(_LOOK_TIMEOUT))
        return self._agents.access(self.name, connection)

    def equivalent(self, command: str | None, *, with_terminal: bool) -> list[str]:
        """The same over `ssh`. Raises HostError."""
        from lithops.shell.equivalent import ssh_command

        return ssh_command(self.target(), command, with_terminal=with_terminal)

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        """End the agent and stop the instance, and wait until it is off. Raises HostError."""
        with self._turn.instead():
            try:
                instance = self._look()
                if instance["status"] == RUNNING:
                    self._end_agent(instance, ask)
                switch_off(self._api, self.name, Deadline.after(REMOVAL_TIMEOUT))
            except CloudError as exc:
                raise exc.on(self.name) from exc
            self._started = False

    def stop_coming_up(self) -> Turn | None:
        """See `ComingUp`."""
        return self._turn if self._turn.stop() else None

    def target(self) -> SshTarget:
        """Whom to connect to, and as whom. Raises HostError."""
        return self._target(self._look())

    def _end_agent(self, instance: Mapping[str, Any], ask: Callable[[Link, str], None]) -> None:
        deadline = Deadline.after(END_TIMEOUT)
        try:
            connection = SshConnection.connect(self._target(instance), Deadline.after(_TRY))
        except HostError:
            return  # Whoever can't be asked is stopped all the same.
        self._agents.end(self.name, connection, ask, deadline)

    def _connected(self, deadline: Deadline) -> SshConnection:
        trouble = "it does not run yet"
        while True:
            self._turn.check()
            instance = self._look()
            action = next_action(instance["status"])
            if action is Action.REPLACE:
                raise CloudError("the instance has failed, and is not this program's to make again")
            if action is Action.START:
                self._started = True
                switch_on(self._api, self.name)
            elif action is Action.CONNECT:
                target = self._target(instance)
                try:
                    return SshConnection.connect(target, Deadline.after(deadline.remaining(_TRY)))
                except (AuthenticationError, HostKeyError):
                    raise  # It was there before; waiting changes nothing.
                except HostError as exc:
                    trouble = str(exc.args[0])
            if deadline.expired:
                raise HostTimeout(
                    f"it can't be reached in time (standalone.start_timeout): it is {instance['status']}; "
                    f"{trouble}",
                    host=self.name,
                    phase="connect",
                )
            self._turn.wait(deadline.remaining(_PAUSE))

    def _give_up(self, why: HostError) -> None:
        """Have the instance off again; when that fails it is told with the error."""
        if not self._started:
            return
        try:
            switch_off(self._api, self.name, Deadline.after(REMOVAL_TIMEOUT))
            self._started = False
        except CloudError as exc:
            why.args = (f"{why.args[0]}; moreover, it was started and is not off: {exc.args[0]}",)
            if self._turn.is_unwanted:
                logger.warning("%s", why)  # Nobody waits for the error.

    def _look(self) -> dict[str, Any]:
        instance = self._api.look(INSTANCE, self.name)
        if instance is None:
            region = self._section.region
            raise CloudNotFound(
                f"ibm_vpc.instance_id: the region {region} has no such instance", host=self.name, status=404
            )
        return instance

    def _target(self, instance: Mapping[str, Any]) -> SshTarget:
        return resolve_target(
            self._address(instance),
            login=local_login(),
            name=self.name,
            username=self._section.ssh_username,
            key_filename=self._section.ssh_key_filename,
        )

    def _address(self, instance: Mapping[str, Any]) -> str:
        """The public address of the instance: the one that is named, or one that is bound to it."""
        given = self._section.floating_ip
        if given is not None:
            # It may be any address that leads there, also one that the cloud knows nothing of.
            named = (thing for thing in self._api.list(ADDRESS) if given in (thing["id"], thing["name"]))
            return str(next(named, {"address": given})["address"])
        for interface in instance["network_interfaces"]:
            bound = self._api.ask("list_instance_network_interface_floating_ips", self.name, interface["id"])[
                "floating_ips"
            ]
            if bound:
                return str(bound[0]["address"])
        raise CloudError(
            "the instance has no floating IP: bind one to it, or set ibm_vpc.floating_ip to an address that "
            "leads there",
            host=self.name,
            phase="connect",
        )
