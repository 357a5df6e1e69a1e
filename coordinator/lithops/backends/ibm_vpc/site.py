"""What the machines of one scope share: the network, which is made before the first one and removed after
the last, and one public address, of the machine that the others are reached through."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.api import ADDRESS, GATEWAY, INSTANCE, WORDS, VpcApi
from lithops.backends.ibm_vpc.fleet import COMING_UP, DELETING, elect
from lithops.backends.ibm_vpc.ground import complete
from lithops.backends.ibm_vpc.network import KINDS, ORDER, Step, body_of, plan, rule_between
from lithops.backends.ibm_vpc.notebook import Notebook
from lithops.backends.ibm_vpc.removal import REMOVAL_TIMEOUT, remove
from lithops.config.settings import IbmVpcSettings, Settings
from lithops.errors import CloudError, ConfigError
from lithops.ssh.deadline import Deadline

logger = logging.getLogger(__name__)

_AVAILABLE_PAUSES = (0.1, 0.2, 0.5, 1.0)
_FRESH = 0.5
"""Seconds for which the list of instances is taken for true."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where machines are put. ``section`` is the configuration with all that was found out."""

    vpc_id: str
    subnet_id: str
    group_id: str
    zone: str
    section: IbmVpcSettings


@dataclass(frozen=True, kw_only=True)
class Head:
    """The machine that has the public address."""

    name: str
    address: str
    address_id: str
    is_given: bool
    """Whether the address is the user's own."""


class Site:
    """See above. Thread-safe; each method may wait for the API, and raises CloudError."""

    def __init__(
        self,
        settings: Settings,
        scope: names.Scope,
        api: VpcApi,
        notebook: Notebook,
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert isinstance(settings.backend, IbmVpcSettings)
        self.scope = scope
        self.api = api
        self.notebook = notebook
        self._settings = settings
        self._pause = pause
        self._clock = clock
        self._lock = threading.RLock()
        self._network: Network | None = None
        self._tries = 0
        self._failure: CloudError | None = None
        self._users: set[str] = set()
        self._head: Head | None = None
        self._list_lock = threading.Lock()
        self._instances: dict[str, dict[str, Any]] = {}
        self._listed_at = float("-inf")
        self._changes = object()

    # -- the network --

    def join(self, machine: str) -> Network:
        """The network, made now when it is not there. ``machine`` needs it until it leaves."""
        tries = self._tries
        with self._lock:
            self._users.add(machine)
            if self._network is None:
                if self._tries != tries and self._failure is not None:
                    # It was being made while this one waited, and could not be.
                    self._users.discard(machine)
                    raise self._failure.on(machine)
                self._make_network(machine)
            assert self._network is not None
            return self._network

    def leave(self, machine: str) -> None:
        """A machine is gone, or could not be had; with the last one the network goes.

        Raises:
            CloudError: what is left, and why.
        """
        with self._lock:
            self._users.discard(machine)
            if self._head is not None and self._head.name == machine:
                self._head = None
            if not self._users:
                self.tear_down()

    def _make_network(self, machine: str) -> None:
        self._tries += 1
        try:
            self._network = self._set_up()
        except (CloudError, ConfigError) as exc:
            error = exc if isinstance(exc, CloudError) else CloudError(str(exc), phase="create")
            self._failure = error
            self._users.discard(machine)
            if self._users:
                raise error from exc
            try:
                self.tear_down()
            except CloudError as left:
                raise CloudError(f"{error.args[0]}; moreover, {left.args[0]}", phase="create") from exc
            if error is exc:
                raise
            raise error from exc

    def _set_up(self) -> Network:
        section = complete(self.api, self._settings)
        zone = section.zone or ""
        ids: dict[str, str] = {}
        for step in plan(section, internet=wants_internet(self._settings)):
            ids[step.role] = step.given or self._made(step, ids, zone, section)
        return Network(
            vpc_id=ids[names.VPC],
            subnet_id=ids[names.SUBNET],
            group_id=ids[names.GROUP],
            zone=zone,
            section=section,
        )

    def _made(self, step: Step, ids: Mapping[str, str], zone: str, section: IbmVpcSettings) -> str:
        """The id of what is there already, or is created."""
        name = self.scope.name(step.role)
        if step.role == names.GATEWAY:
            existing = self._gateway_of(ids[names.VPC], zone)
            if existing is not None:
                return existing
        made = self.api.find(step.kind, name) if self.notebook.knows(name) else None
        if made is None:
            made = self.notebook.create(self.api, step.kind, body_of(step, name, ids, zone, section))
        if step.role == names.GROUP:
            self._complete_group(made)
        else:
            self._wait_available(step.kind, made)
        return str(made["id"])

    def _gateway_of(self, vpc_id: str, zone: str) -> str | None:
        """The gateway that a VPC has in a zone, for there can be one only."""
        for gateway in self.api.list(GATEWAY):
            if gateway["vpc"]["id"] == vpc_id and gateway["zone"]["name"] == zone:
                return str(gateway["id"])
        return None

    def _complete_group(self, group: Mapping[str, Any]) -> None:
        wanted = rule_between(str(group["id"]))
        if not any((rule.get("remote") or {}).get("id") == group["id"] for rule in group["rules"]):
            self.api.ask("create_security_group_rule", group["id"], wanted)

    def _wait_available(self, kind: str, thing: Mapping[str, Any]) -> None:
        deadline, attempt = Deadline.after(REMOVAL_TIMEOUT, self._clock), 0
        while thing["status"] != "available":
            what = f"the {WORDS.get(kind, kind)} {thing['name']}"
            if thing["status"] in ("failed", "deleting") or deadline.expired:
                raise CloudError(f"{what} does not become available: it is {thing['status']}")
            self._pause(_AVAILABLE_PAUSES[min(attempt, len(_AVAILABLE_PAUSES) - 1)])
            attempt += 1
            thing = self.api.get(kind, str(thing["id"]))

    def tear_down(self) -> None:
        """Remove what was created and is not in use, in the reverse order.

        Raises:
            CloudError: what is left, and why.
        """
        with self._lock:
            if self._users:
                return
            self._network, self._head = None, None
            if self._others_there():
                return
            deadline = Deadline.after(REMOVAL_TIMEOUT, self._clock)
            left = [
                text for role in (names.ADDRESS, *reversed(ORDER)) if (text := self._drop(role, deadline))
            ]
        if left:
            raise CloudError(
                f"not removed, and to be removed by `lithops clean`: {'; '.join(left)}", phase="dismantle"
            )

    def _others_there(self) -> bool:
        """Whether the scope has machines that stay: other programs use them, or they were stopped."""
        if not any(record.kind == INSTANCE for record in self.notebook.left()):
            return False
        return any(instance["status"] != DELETING for instance in self.members(fresh=True).values())

    def _drop(self, role: str, deadline: Deadline) -> str:
        """Remove what has this role, if it was created; what to tell when that fails."""
        name = self.scope.name(role)
        if not self.notebook.knows(name):
            return ""
        kind = KINDS.get(role, ADDRESS)
        try:
            thing = self.api.find(kind, name)
            if thing is not None:
                remove(self.api, kind, str(thing["id"]), deadline, self._pause)
        except CloudError as exc:
            return f"{WORDS.get(kind, kind)} {name} ({exc.args[0]})"
        self.notebook.gone(name)
        return ""

    # -- its machines --

    def members(self, *, fresh: bool = False) -> dict[str, dict[str, Any]]:
        """The instances of the scope by name; not ``fresh``: as they were a moment ago.

        All who wait for their machine share one request.
        """
        with self._list_lock:
            if fresh or self._clock() - self._listed_at >= _FRESH:
                # What changes while it is listed is not in the list, so that it serves nobody else.
                began, changes = self._clock(), self._changes
                found = {}
                for instance in self.api.list(INSTANCE):
                    name = names.parse(instance["name"])
                    if name is not None and name.scope == self.scope and name.role == names.VM:
                        found[instance["name"]] = instance
                self._instances = found
                self._listed_at = began if self._changes is changes else float("-inf")
            return self._instances

    def stale(self) -> None:
        """Something has changed: no list of instances is true any more, nor one that is being made."""
        self._changes = object()
        self._listed_at = float("-inf")

    # -- the public address --

    def head(self) -> Head | None:
        """The machine with the public address, which is bound now if it is not; None: there is none yet."""
        with self._lock:
            members = {_number(name): (name, instance) for name, instance in self.members().items()}
            states = {number: instance["status"] for number, (_, instance) in members.items()}
            current = None if self._head is None else _number(self._head.name)
            chosen = elect(states, current, map(_number, self._users))
            if chosen is None or states.get(chosen) not in COMING_UP:
                return None
            name, instance = members[chosen]
            self._head = self._bound(name, instance)
            return self._head

    def _bound(self, name: str, instance: Mapping[str, Any]) -> Head:
        nic = str(instance["primary_network_interface"]["id"])
        if self._head is not None and self._head.name == name and self._bound_to == nic:
            return self._head
        thing = self._address()
        if thing is None:
            body = {
                "name": self.scope.name(names.ADDRESS),
                "target": {"id": nic},
                "resource_group": {"id": self._section.resource_group_id},
            }
            thing = self.notebook.create(self.api, ADDRESS, body)
        if (thing.get("target") or {}).get("id") != nic:
            thing = self.api.ask("update_floating_ip", thing["id"], {"target": {"id": nic}})
        self._bound_to = nic
        return Head(
            name=name,
            address=str(thing["address"]),
            address_id=str(thing["id"]),
            is_given=self._section.floating_ip is not None,
        )

    _bound_to = ""

    @property
    def _section(self) -> IbmVpcSettings:
        assert isinstance(self._settings.backend, IbmVpcSettings)
        return self._settings.backend

    def _address(self) -> dict[str, Any] | None:
        """The address that is there, or that the user named."""
        given = self._section.floating_ip
        if given is None:
            name = self.scope.name(names.ADDRESS)
            return self.api.find(ADDRESS, name) if self.notebook.knows(name) else None
        for thing in self.api.list(ADDRESS):
            if given in (thing["id"], thing["address"], thing["name"]):
                self._refuse_taken(thing)
                return thing
        raise CloudError(
            f"ibm_vpc.floating_ip: the account has no address {given} in this region", phase="create"
        )

    def _refuse_taken(self, thing: Mapping[str, Any]) -> None:
        target = thing.get("target")
        ours = {instance["primary_network_interface"]["id"] for instance in self.members().values()}
        if target and target.get("id") not in ours:
            raise CloudError(
                f"ibm_vpc.floating_ip: {thing['address']} is bound to something else, {target.get('name')}",
                phase="create",
            )


def wants_internet(settings: Settings) -> bool:
    """Whether machines without an address of their own have to reach the internet."""
    section, standalone = settings.backend, settings.standalone
    assert isinstance(section, IbmVpcSettings)
    if section.public_gateway is not None:
        return section.public_gateway
    fetching = bool(standalone.requirements) and standalone.requirements_from == "host"
    return settings.image is not None or fetching


def _number(name: str) -> int:
    parsed = names.parse(name)
    return -1 if parsed is None or parsed.number is None else parsed.number
