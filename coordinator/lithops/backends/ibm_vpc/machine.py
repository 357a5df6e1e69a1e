"""Machines that are created when they are wanted, and deleted when they are not any more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lithops.backends.ending import END_TIMEOUT
from lithops.backends.ibm_vpc.agents import Agents
from lithops.backends.ibm_vpc.api import INSTANCE
from lithops.backends.ibm_vpc.cloud_init import user_data
from lithops.backends.ibm_vpc.fleet import RUNNING, Action, next_action
from lithops.backends.ibm_vpc.identity import Identity, public_key, public_key_of_file
from lithops.backends.ibm_vpc.lead import Lead
from lithops.backends.ibm_vpc.reach import Reach
from lithops.backends.ibm_vpc.removal import REMOVAL_TIMEOUT, remove, switch_off, switch_on
from lithops.backends.ibm_vpc.site import Network, Site
from lithops.backends.ibm_vpc.turn import Turn
from lithops.backends.machine import Link
from lithops.config.settings import IbmVpcSettings, Settings
from lithops.errors import (
    CloudError,
    HostError,
    HostTimeout,
    HostUnreachable,
    InstanceFailed,
)
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline

if TYPE_CHECKING:
    from lithops.shell.access import SshAccess

logger = logging.getLogger(__name__)

_ATTEMPTS = 2
"""How often a machine is made that does not come up."""
_TRY = 15.0
"""Seconds for one try to connect."""
_REOPEN = 60.0
"""Seconds for connecting again to a machine that was ready before: its session tries on."""
_PAUSE = 0.5


class VpcMachine:
    """One machine of a site, by its number; the first one may have a profile of its own."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        site: Site,
        reach: Reach,
        agents: Agents,
        lead: Lead,
        identity: Identity,
    ) -> None:
        assert isinstance(settings.backend, IbmVpcSettings)
        self.name = site.scope.name("vm", number)
        self._number = number
        self._settings = settings
        self._section = settings.backend
        self._site = site
        self._reach = reach
        self._agents = agents
        self._lead = lead
        self._identity = identity
        self._turn = Turn(self.name)
        self._was_up = False

    # -- what a session asks for --

    def open(self) -> Link:
        """Create the machine if it is not there, wait for it, and make sure that the agent runs.

        Raises:
            HostError: it can't be had, and nothing of it is left; or it was ready and can't be reached.
        """
        deadline = Deadline.after(self._settings.standalone.start_timeout)
        with self._turn:
            try:
                network = self._site.join(self.name)
            except CloudError as exc:
                raise exc.on(self.name) from exc
            try:
                return self._brought_up(network, deadline)
            except HostError as exc:
                if not self._site.notebook.was_ready(self.name):
                    self._give_up(exc)
                raise (exc.on(self.name) if isinstance(exc, CloudError) else exc) from exc

    def find(self) -> Link | None:
        """Connect to the agent that runs there; None when there is none, or no machine. Raises HostError."""
        instance = self._site.api.find(INSTANCE, self.name)
        if instance is None or instance["status"] != RUNNING:
            return None
        deadline = Deadline.after(_REOPEN)
        return self._agents.find(self.name, self._reach.connect(self.name, instance, deadline), deadline)

    def enter(self) -> SshAccess:
        """Connect over SSH, whether an agent runs there or not; the machine must be up. Raises HostError."""
        connection = self._reach.connect(self.name, self._running(), Deadline.after(_REOPEN))
        return self._agents.access(self.name, connection)

    def equivalent(self, command: str | None, *, with_terminal: bool) -> list[str]:
        """The same over `ssh`. Raises HostError."""
        from lithops.shell.equivalent import ssh_command

        return ssh_command(
            self._reach.target_of(self.name, self._running()), command, with_terminal=with_terminal
        )

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        """Delete or stop the machine, and wait until that is done. Raises HostError."""
        with self._turn.instead():
            try:
                if self._section.delete_on_dismantle:
                    self._remove()
                else:
                    self._stop(ask)
                self._site.leave(self.name)
            except CloudError as exc:
                raise exc.on(self.name) from exc

    def stop_coming_up(self) -> Turn | None:
        """See `ComingUp`; one that was up before stays."""
        return self._turn if not self._was_up and self._turn.stop() else None

    def _running(self) -> Mapping[str, Any]:
        instance = self._site.api.find(INSTANCE, self.name)
        if instance is None or instance["status"] != RUNNING:
            status = instance["status"] if instance else "not there"
            raise HostUnreachable(f"the instance is {status}", host=self.name, phase="connect")
        return instance

    # -- coming up --

    def _brought_up(self, network: Network, deadline: Deadline) -> Link:
        for attempt in range(1, _ATTEMPTS + 1):
            share = Deadline.after(deadline.remaining() / (_ATTEMPTS - attempt + 1))
            try:
                connection = self._connected(network, share)
                return self._with_agent(connection, deadline)
            except InstanceFailed as exc:
                if attempt == _ATTEMPTS or self._turn.is_unwanted:
                    raise
                logger.warning("%s; it is made again", exc.on(self.name))
                self._remove()
        raise AssertionError("not reached")

    def _connected(self, network: Network, deadline: Deadline) -> SshConnection:
        """See to the machine until it can be connected to. Raises HostError."""
        created, trouble = False, "it does not run yet"
        known = self._site.notebook.was_ready(self.name)
        if known:
            deadline = Deadline.after(deadline.remaining(_REOPEN))
        while True:
            self._turn.check()
            instance = self._site.members().get(self.name)
            action = next_action(instance["status"] if instance else None)
            if action is Action.CREATE:
                if created:
                    raise InstanceFailed("it was deleted by somebody else while it came up", host=self.name)
                self._create(network)
                created, known = True, False
            elif action is Action.REPLACE:
                raise _failed(instance or {}, self.name)
            elif action is Action.START and instance is not None:
                switch_on(self._site.api, instance["id"])
                self._site.stale()
            elif action is Action.CONNECT and instance is not None:
                try:
                    return self._reach.connect(self.name, instance, Deadline.after(deadline.remaining(_TRY)))
                except CloudError:
                    raise
                except HostError as exc:
                    trouble = str(exc.args[0])
            if deadline.expired:
                raise self._not_up(instance, trouble, known=known)
            if action not in (Action.CREATE, Action.START):
                self._turn.wait(deadline.remaining(_PAUSE))

    def _not_up(self, instance: Mapping[str, Any] | None, trouble: str, *, known: bool) -> HostError:
        status = instance["status"] if instance else "not there"
        if known:
            return HostTimeout(f"it can't be reached: {trouble}", host=self.name, phase="connect")
        return InstanceFailed(
            f"the instance did not come up in time (standalone.start_timeout): it is {status}; {trouble}",
            host=self.name,
        )

    def _create(self, network: Network) -> None:
        section = network.section
        body: dict[str, Any] = {
            "name": self.name,
            "zone": {"name": network.zone},
            "vpc": {"id": network.vpc_id},
            "resource_group": {"id": section.resource_group_id},
            "image": {"id": section.image_id},
            "profile": {"name": self.profile},
            "primary_network_interface": {
                "name": "eth0",
                "subnet": {"id": network.subnet_id},
                "security_groups": [{"id": network.group_id}],
            },
            "boot_volume_attachment": {
                "delete_volume_on_instance_delete": True,
                "volume": {
                    "name": self._site.scope.name("disk", self._number),
                    "capacity": section.boot_volume_capacity,
                    "profile": {"name": section.boot_volume_profile},
                },
            },
            "user_data": self._user_data(),
        }
        if section.ssh_key_id is not None:
            body["keys"] = [{"id": section.ssh_key_id}]
        if section.profile_id is not None:
            kind = "crn" if section.profile_id.startswith("crn:") else "id"
            body["metadata_service"] = {"enabled": True}
            body["default_trusted_profile"] = {"target": {kind: section.profile_id}, "auto_link": True}
        self._site.notebook.create(self._site.api, INSTANCE, body, profile=self.profile)
        self._site.stale()

    @property
    def profile(self) -> str:
        """The profile that it is created with."""
        section = self._section
        return section.master_profile_name if self._number == 0 else section.worker_profile_name

    def _user_data(self) -> str:
        section, standalone = self._section, self._settings.standalone
        try:
            if section.ssh_key_filename is not None:
                login = public_key_of_file(section.ssh_key_filename)
            else:
                with open(self._identity.login_key, encoding="ascii") as file:
                    login = f"{public_key(file.read())} lithops"
            key = self._identity.host_key(self.name)
        except (OSError, ValueError) as exc:
            raise CloudError(str(exc), host=self.name, phase="create") from exc
        return user_data(
            username=section.ssh_username,
            public_key=login,
            host_key=key.private,
            host_key_public=key.public,
            unclaimed_after=standalone.start_timeout + standalone.soft_dismantle_timeout,
            each_boot=standalone.soft is not None,
        )

    def _with_agent(self, connection: SshConnection, deadline: Deadline) -> Link:
        instance = self._site.members()[self.name]
        head = self._site.head()
        link = self._agents.start(
            self.name,
            connection,
            Deadline.after(max(deadline.remaining(), _REOPEN)),
            instance_id=str(instance["id"]),
            address_id=head.address_id if head and head.name == self.name and not head.is_given else "",
        )
        self._site.notebook.ready(self.name)
        self._was_up = True
        if head is not None and head.name == self.name:
            self._lead.leads(link)
        else:
            self._lead.leans(self.name, connection)
        return link

    # -- going away --

    def _give_up(self, why: HostError) -> None:
        """Leave nothing of a machine that can't be had; what is left all the same is told with the error."""
        try:
            self._remove()
            self._site.leave(self.name)
        except HostError as exc:
            why.args = (f"{why.args[0]}; moreover, {exc.args[0]}",)
            if self._turn.is_unwanted:
                logger.warning("host %s: %s", self.name, exc.args[0])  # Nobody waits for the error.

    def _remove(self) -> None:
        """Delete the instance, and wait until it is gone."""
        site, self._was_up = self._site, False
        if not site.notebook.knows(self.name):
            return
        instance = site.api.find(INSTANCE, self.name)
        if instance is not None:
            remove(site.api, INSTANCE, instance["id"], Deadline.after(REMOVAL_TIMEOUT))
        site.stale()
        site.notebook.gone(self.name)
        self._identity.forget(self.name)

    def _stop(self, ask: Callable[[Link, str], None]) -> None:
        """Have the agent end, and switch the instance off."""
        site = self._site
        instance = site.api.find(INSTANCE, self.name) if site.notebook.knows(self.name) else None
        if instance is None:
            return
        if instance["status"] == RUNNING:
            try:
                connection = self._reach.connect(self.name, instance, Deadline.after(_TRY))
            except HostError as exc:
                logger.debug("host %s: its agent can't be told to end: %s", self.name, exc)
            else:
                self._agents.end(self.name, connection, ask, Deadline.after(END_TIMEOUT))
        switch_off(site.api, instance["id"], Deadline.after(REMOVAL_TIMEOUT))
        site.stale()


def _failed(instance: Mapping[str, Any], name: str) -> HostError:
    """Why the cloud could not start an instance, in its words."""
    reasons = instance.get("status_reasons") or []
    told = "; ".join(str(reason.get("message")) for reason in reasons) or "the cloud gives no reason"
    text = f"the instance could not be started: {told}"
    return InstanceFailed(text, host=name, code=str(reasons[0].get("code", "")) if reasons else "")
