"""What exists in a region."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(kw_only=True)
class Resource:
    """Something with an id and a name."""

    kind: ClassVar[str]
    """As in the path of the API."""
    id: str
    name: str
    created_at: float
    number: int
    """Counts resources in the order in which they were made."""
    deleting: bool = False
    """It is on its way out, and refuses all else."""


@dataclass(kw_only=True)
class Vpc(Resource):
    """A network of one account in all zones of the region."""

    kind: ClassVar[str] = "vpcs"
    available: bool = False
    default_group: str = ""
    prefixes: dict[str, Prefix] = field(default_factory=dict)


@dataclass(kw_only=True)
class Prefix(Resource):
    """Addresses that subnets of a zone take theirs from."""

    kind: ClassVar[str] = "address_prefixes"
    zone: str
    cidr: str
    is_default: bool


@dataclass(kw_only=True)
class Subnet(Resource):
    """A part of a VPC in one zone."""

    kind: ClassVar[str] = "subnets"
    vpc: str
    zone: str
    cidr: str
    available: bool = False
    gateway: str | None = None
    taken: dict[str, str] = field(default_factory=dict)
    """Which interface has which address."""

    def free_address(self) -> str | None:
        """An address that nobody has; the service keeps the first four and the last."""
        hosts = list(ipaddress.IPv4Network(self.cidr))[4:-1]
        return next((str(host) for host in hosts if str(host) not in self.taken), None)


@dataclass(kw_only=True)
class Gateway(Resource):
    """The way of subnets to the internet."""

    kind: ClassVar[str] = "public_gateways"
    vpc: str
    zone: str
    floating_ip: str
    own_ip: bool
    available: bool = False


@dataclass(kw_only=True)
class FloatingIp(Resource):
    """A public address."""

    kind: ClassVar[str] = "floating_ips"
    zone: str
    address: str
    target: str | None = None
    """An interface, or a public gateway."""
    available: bool = False


@dataclass(kw_only=True)
class Rule:
    """A rule of a security group."""

    id: str
    name: str
    direction: str
    protocol: str
    remote: dict[str, str]
    """One of: address, cidr_block, id (of a security group)."""
    ports: tuple[int, int] | None = None
    icmp: dict[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class SecurityGroup(Resource):
    """Rules, and the interfaces that they are for."""

    kind: ClassVar[str] = "security_groups"
    vpc: str
    rules: dict[str, Rule] = field(default_factory=dict)


@dataclass(kw_only=True)
class Key(Resource):
    """A public key for logins."""

    kind: ClassVar[str] = "keys"
    public_key: str
    type: str
    length: int
    fingerprint: str


@dataclass(kw_only=True)
class Volume(Resource):
    """A disk."""

    kind: ClassVar[str] = "volumes"
    zone: str
    profile: str
    capacity: int
    image: str | None = None
    tags: list[str] = field(default_factory=list)
    available: bool = False


@dataclass(kw_only=True)
class Attachment:
    """A disk on an instance."""

    id: str
    name: str
    created_at: float
    volume: str
    delete_volume: bool
    boot: bool


@dataclass(kw_only=True)
class Interface:
    """The network card of an instance."""

    id: str
    name: str
    created_at: float
    subnet: str
    address: str
    groups: list[str]
    virtual: str | None = None
    """The id of the virtual network interface, of an instance that was made with a network attachment."""
    attachment: str | None = None
    attachment_name: str = ""


@dataclass(kw_only=True)
class Instance(Resource):
    """A virtual server."""

    kind: ClassVar[str] = "instances"
    vpc: str
    zone: str
    profile: str
    image: str
    keys: list[str]
    user_data: str
    interface: Interface
    attachments: list[Attachment]
    metadata_enabled: bool
    trusted_profile: str | None
    linked: bool
    host_failure: str
    fate: str
    """What becomes of it, as the test has it: see `Region.fates`."""
    status: str = "pending"
    reasons: list[dict[str, str]] = field(default_factory=list)
    actions: int = 0
    turn: int = 0
    """Counts changes of what is wanted of it: what an earlier wish still has in store is void."""


Store = dict[str, dict[str, Any]]
"""All resources of a region: by kind, then by id."""
