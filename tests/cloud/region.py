"""A region: what exists in it, what its rules are, and what happens in it as time goes by."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from . import catalogue
from .bodies import Identity, NameIdentity
from .iam import Iam
from .problems import Refused, bad_field, not_found
from .resources import Attachment, FloatingIp, Instance, Interface, Resource, Store, Volume
from .schedule import Clock, Schedule

KINDS = (
    "vpcs", "subnets", "public_gateways", "floating_ips", "security_groups", "keys", "volumes", "instances",
)  # fmt: skip
_SINGULAR = {"vpcs": "VPC", "floating_ips": "floating IP"}
AnyResource = TypeVar("AnyResource", bound=Resource)


@dataclass(kw_only=True)
class Delays:
    """How long things take, in seconds. Those of instances are for simulated ones; hosts take their time."""

    pending: float = 0.05
    boot: float = 0.2
    shutdown: float = 0.1
    destroy: float = 0.1
    network: float = 0.05
    """Until a VPC, a subnet, a gateway or an address is available, and until it is gone."""
    volume: float = 0.02


@dataclass(kw_only=True)
class Quota:
    """How much there may be at most."""

    instances: int = 1000
    floating_ips: int = 100
    vpcs: int = 10
    subnets: int = 15
    security_groups: int = 50
    keys: int = 200
    public_gateways: int = 30
    volumes: int = 2000


class Hypervisor(Protocol):
    """What instances run on. Methods return at once; ``done`` is called later, from any thread."""

    def boot(self, instance: Instance, done: Callable[[], None]) -> None:
        """Switch it on."""

    def shut_down(self, instance: Instance, force: bool, done: Callable[[], None]) -> None:
        """Switch it off: in order, or with ``force`` at once."""

    def reboot(self, instance: Instance, force: bool, done: Callable[[], None]) -> None:
        """Switch it off and on."""

    def destroy(self, instance: Instance, done: Callable[[], None]) -> None:
        """Take it away with all that it has."""

    def network_changed(self) -> None:
        """Addresses or security groups may have changed."""


class Simulated:
    """Instances without anything behind them: all that they do is take time."""

    def __init__(self, schedule: Schedule, delays: Delays) -> None:
        self._schedule = schedule
        self._delays = delays

    def boot(self, instance: Instance, done: Callable[[], None]) -> None:
        """Wait as long as a boot takes."""
        self._schedule.after(self._delays.boot, done)

    def shut_down(self, instance: Instance, force: bool, done: Callable[[], None]) -> None:
        """Wait as long as a shutdown takes."""
        self._schedule.after(self._delays.shutdown, done)

    def reboot(self, instance: Instance, force: bool, done: Callable[[], None]) -> None:
        """Wait as long as both take."""
        self._schedule.after(self._delays.shutdown + self._delays.boot, done)

    def destroy(self, instance: Instance, done: Callable[[], None]) -> None:
        """Wait as long as a removal takes."""
        self._schedule.after(self._delays.destroy, done)

    def network_changed(self) -> None:
        """Nobody is there to notice."""


@dataclass
class Region:
    """The region. What it does is done under ``lock``."""

    name: str
    clock: Clock
    iam: Iam
    delays: Delays
    quota: Quota = field(default_factory=Quota)
    page_size: int = 3
    """The most that a page of a list has, whatever the client asks for."""

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.schedule = Schedule(self.clock)
        self.resource_group_id = uuid.uuid4().hex
        self.zones = tuple(f"{self.name}-{number}" for number in (1, 2, 3))
        self.images = catalogue.images()
        self.store: Store = {kind: {} for kind in KINDS}
        self.hypervisor: Hypervisor = Simulated(self.schedule, self.delays)
        self.new_address: Callable[[], str] = self._documentation_address
        """Gives a public address that nobody has."""
        self.fates: list[str] = []
        """What becomes of the next instances, in turn: '' (all is well), 'failed', 'stuck' or 'no_sshd'."""
        self.seen_as: str | None = None
        """The address that clients have when they come to instances; the one that they ask from otherwise."""
        self.bugs: list[Exception] = []
        """Where the fake itself has failed."""
        self._count = 0

    # What all operations use.

    def soon(self, action: Callable[[], None]) -> None:
        """Do something as a part of what happens in the region."""
        with self.lock:
            action()

    def settle(self) -> None:
        """Let all happen that is due."""
        with self.lock:
            self.schedule.run_due()

    def crn(self, kind: str, id: str) -> str:
        """The name of a resource all over the cloud."""
        return f"crn:v1:bluemix:public:is:{self.name}:a/{self.iam.account}::{kind}:{id}"

    def new_id(self, zone: str | None = None) -> str:
        """An id as the service makes it: it begins with a number of the region, or of the zone."""
        return f"{f'071{zone[-1]}_' if zone else 'r006-'}{uuid.uuid4()}"

    def common(self, kind: str, name: str | None, zone: str | None = None) -> dict[str, Any]:
        """What every new resource has; makes sure that it may be made."""
        given = self.store[kind].values()
        if len(given) >= getattr(self.quota, kind):
            what = _SINGULAR.get(kind, kind[:-1].replace("_", " "))
            limit = getattr(self.quota, kind)
            message = (
                f"Creating a new {what} will put the user over quota. "
                f"Allocated: {len(given)}, Requested: 1, Quota: {limit}"
            )
            raise Refused(400, "over_quota", message, target=kind, kind="parameter")
        if name is not None and kind not in ("security_groups", "subnets", "public_gateways"):
            self.unique(kind, name)
        self._count += 1
        return {
            "id": self.new_id(zone),
            "name": name or f"random-{secrets.token_hex(4)}",
            "created_at": self.clock.now(),
            "number": self._count,
        }

    def unique(self, kind: str, name: str, vpc: str | None = None) -> None:
        """Refuse a name that another resource of the kind has, in the region or in a VPC."""
        for resource in self.store[kind].values():
            if resource.name == name and vpc in (None, getattr(resource, "vpc", None)):
                message = f"Provided Name ({name}) is not unique"
                raise Refused(400, "validation_unique_failed", message, target="name")

    def check_group(self, group: Any) -> None:
        """Refuse a resource group that the account does not have."""
        if group is not None and group.id != self.resource_group_id:
            raise Refused(
                400, "bad_field", f"The resource group {group.id} was not found.", target="resource_group.id"
            )

    def get(self, kind: str, id: str) -> Any:
        """The resource that a path names. Raises Refused."""
        if id not in self.store[kind]:
            raise not_found(_SINGULAR.get(kind, kind[:-1].replace("_", " ")), id)
        return self.store[kind][id]

    def meant(self, kind: str, identity: Identity, field: str) -> Any:
        """The resource that a body names; one that is being deleted will not do. Raises Refused."""
        for resource in self.store[kind].values():
            names = (resource.id, f"/{kind}/{resource.id}", f":{resource.id}")
            if (
                identity.id == names[0]
                or (identity.href or "").endswith(names[1])
                or (identity.crn or "").endswith(names[2])
            ):
                found = resource
            else:
                continue
            if found.deleting:
                raise Refused(409, "conflict_invalid_state", f"{found.name} is being deleted", target=field)
            return found
        what = identity.id or identity.crn or identity.href
        raise Refused(404, "not_found", f"{field}: {what} was not found.", target=field)

    def meant_zone(self, identity: NameIdentity) -> str:
        """The zone that a body names. Raises Refused."""
        name = identity.name or (identity.href or "").rpartition("/")[2]
        if name not in self.zones:
            raise bad_field("zone", f"The zone {name} was not found.")
        return name

    # Looks at what exists.

    def of_vpc(self, kind: str, vpc: str) -> Iterator[Any]:
        """The resources of a kind in a VPC."""
        return (each for each in self.store[kind].values() if each.vpc == vpc)

    def owner(self, interface: str | None) -> Instance | None:
        """The instance that has an interface, by the interface's id or that of its virtual one."""
        for instance in self.store["instances"].values():
            if interface is not None and interface in (instance.interface.id, instance.interface.virtual):
                return instance  # type: ignore[no-any-return]
        return None

    def bound_to(self, interface: Interface) -> list[FloatingIp]:
        """The floating IP addresses of an interface."""
        return [
            ip for ip in self.store["floating_ips"].values()
            if ip.target is not None and ip.target in (interface.id, interface.virtual)
        ]  # fmt: skip

    def attachments_of(self, volume: Volume) -> list[tuple[Instance, Attachment]]:
        """Where a volume is attached."""
        return [
            (instance, attachment)
            for instance in self.store["instances"].values()
            for attachment in instance.attachments
            if attachment.volume == volume.id
        ]

    # The lives of simple resources.

    def add(self, resource: AnyResource, delay: float | None = None) -> AnyResource:
        """Let it exist, and be available after a while."""
        self.store[resource.kind][resource.id] = resource
        self.schedule.after(self.delays.network if delay is None else delay, lambda: _available(resource))
        return resource

    def drop(self, resource: Resource, then: Callable[[], None] = lambda: None) -> None:
        """Let it be deleted, which takes a while."""
        resource.deleting = True

        def gone() -> None:
            self.store[resource.kind].pop(resource.id, None)
            then()

        self.schedule.after(self.delays.network, gone)

    def _documentation_address(self) -> str:
        taken = {ip.address for ip in self.store["floating_ips"].values()}
        return next(f"198.51.100.{n}" for n in range(1, 255) if f"198.51.100.{n}" not in taken)


def _available(resource: Any) -> None:
    resource.available = True
