"""The bodies of requests as the service documents them; unknown, missing and wrong fields are refused.

Fields that the service knows and the fake does not act on are left out on purpose: a client that sends them
must see them work, and here they would not.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Annotated, Any, Literal, Optional, TypeVar, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from .problems import Refused

Name = Annotated[str, StringConstraints(pattern=r"^([a-z]|[a-z][-a-z0-9]*[a-z0-9])$", max_length=63)]
_USER_DATA_BYTES = 65536


def _address(text: str) -> str:
    ipaddress.IPv4Address(text)
    return text


def _network(text: str) -> str:
    ipaddress.IPv4Network(text)
    return text


def _small(text: str) -> str:
    if len(text.encode()) > _USER_DATA_BYTES:
        raise ValueError(f"has more than {_USER_DATA_BYTES} bytes")
    return text


Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
UserData = Annotated[str, AfterValidator(_small)]


class Body(BaseModel):
    """A body, or a part of one."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Identity(Body):
    """One of the ways to name a thing."""

    id: Optional[str] = None
    crn: Optional[str] = None
    href: Optional[str] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Identity:
        if len(self.model_fields_set) != 1:
            raise ValueError("takes exactly one of id, crn and href")
        return self


class NameIdentity(Body):
    """A zone or a profile, by its name or its URL."""

    name: Optional[str] = None
    href: Optional[str] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> NameIdentity:
        if len(self.model_fields_set) != 1:
            raise ValueError("takes exactly one of name and href")
        return self


class GroupIdentity(Body):
    """A resource group."""

    id: str


class VpcPrototype(Body):
    """POST /vpcs."""

    name: Optional[Name] = None
    resource_group: Optional[GroupIdentity] = None
    address_prefix_management: Literal["auto", "manual"] = "auto"
    classic_access: Literal[False] = False


class AddressPrefixPrototype(Body):
    """POST /vpcs/{id}/address_prefixes."""

    cidr: Network
    zone: NameIdentity
    name: Optional[Name] = None
    is_default: bool = False


class SubnetPrototype(Body):
    """POST /subnets: by its addresses, or by how many of them."""

    vpc: Identity
    name: Optional[Name] = None
    resource_group: Optional[GroupIdentity] = None
    ip_version: Literal["ipv4"] = "ipv4"
    zone: Optional[NameIdentity] = None
    ipv4_cidr_block: Optional[Network] = None
    total_ipv4_address_count: Optional[int] = Field(default=None, ge=8, le=8388608)
    public_gateway: Optional[Identity] = None

    @model_validator(mode="after")
    def _sized_one_way(self) -> SubnetPrototype:
        if (self.ipv4_cidr_block is None) == (self.total_ipv4_address_count is None):
            raise ValueError("takes exactly one of ipv4_cidr_block and total_ipv4_address_count")
        if self.total_ipv4_address_count is not None:
            if self.zone is None:
                raise ValueError("needs a zone together with total_ipv4_address_count")
            if self.total_ipv4_address_count & (self.total_ipv4_address_count - 1):
                raise ValueError("total_ipv4_address_count must be a power of 2")
        return self


class GatewayPrototype(Body):
    """POST /public_gateways."""

    vpc: Identity
    zone: NameIdentity
    name: Optional[Name] = None
    resource_group: Optional[GroupIdentity] = None
    floating_ip: Optional[Identity] = None


class FloatingIpPrototype(Body):
    """POST /floating_ips: in a zone, or bound to an interface."""

    name: Optional[Name] = None
    resource_group: Optional[GroupIdentity] = None
    zone: Optional[NameIdentity] = None
    target: Optional[Identity] = None

    @model_validator(mode="after")
    def _one_place(self) -> FloatingIpPrototype:
        if (self.zone is None) == (self.target is None):
            raise ValueError("takes exactly one of zone and target")
        return self


class FloatingIpPatch(Body):
    """PATCH /floating_ips/{id}."""

    name: Optional[Name] = None
    target: Optional[Identity] = None


class NamePatch(Body):
    """PATCH of what can only be renamed here."""

    name: Optional[Name] = None


class Remote(Body):
    """Where traffic comes from or goes to: one way to say it."""

    address: Optional[Address] = None
    cidr_block: Optional[Network] = None
    id: Optional[str] = None
    crn: Optional[str] = None
    href: Optional[str] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Remote:
        if len(self.model_fields_set) != 1:
            raise ValueError("takes exactly one of address, cidr_block, id, crn and href")
        return self


class RulePrototype(Body):
    """POST /security_groups/{id}/rules, and an element of ``rules`` of a new group."""

    direction: Literal["inbound", "outbound"]
    protocol: Literal["all", "any", "icmp_tcp_udp", "icmp", "tcp", "udp"]
    ip_version: Literal["ipv4"] = "ipv4"
    name: Optional[Name] = None
    remote: Optional[Remote] = None
    port_min: Optional[int] = Field(default=None, ge=1, le=65535)
    port_max: Optional[int] = Field(default=None, ge=1, le=65535)
    type: Optional[int] = Field(default=None, ge=0, le=254)
    code: Optional[int] = Field(default=None, ge=0, le=255)

    @model_validator(mode="after")
    def _ports_of_ports(self) -> RulePrototype:
        if self.protocol not in ("tcp", "udp") and {"port_min", "port_max"} & self.model_fields_set:
            raise ValueError("ports are for tcp and udp")
        if self.protocol != "icmp" and {"type", "code"} & self.model_fields_set:
            raise ValueError("type and code are for icmp")
        if (self.port_min is None) != (self.port_max is None):
            raise ValueError("port_min and port_max come together")
        if self.port_min is not None and self.port_max is not None and self.port_min > self.port_max:
            raise ValueError("port_min is above port_max")
        return self


class RulePatch(Body):
    """PATCH of a rule."""

    name: Optional[Name] = None
    direction: Optional[Literal["inbound", "outbound"]] = None
    remote: Optional[Remote] = None
    port_min: Optional[int] = Field(default=None, ge=1, le=65535)
    port_max: Optional[int] = Field(default=None, ge=1, le=65535)


class SecurityGroupPrototype(Body):
    """POST /security_groups."""

    vpc: Identity
    name: Optional[Name] = None
    resource_group: Optional[GroupIdentity] = None
    rules: list[RulePrototype] = []


class KeyPrototype(Body):
    """POST /keys."""

    public_key: str
    name: Optional[Name] = None
    resource_group: Optional[GroupIdentity] = None
    type: Literal["rsa", "ed25519"] = "rsa"


class VolumePrototype(Body):
    """POST /volumes."""

    profile: NameIdentity
    zone: NameIdentity
    capacity: int = Field(ge=10, le=16000)
    name: Optional[Name] = None
    resource_group: Optional[GroupIdentity] = None
    iops: Optional[int] = None
    user_tags: list[str] = []


class VolumePatch(Body):
    """PATCH /volumes/{id}."""

    name: Optional[Name] = None
    capacity: Optional[int] = Field(default=None, ge=10, le=16000)
    user_tags: Optional[list[str]] = None


class AttachmentPrototype(Body):
    """POST /instances/{id}/volume_attachments, of a volume that is there."""

    volume: Identity
    name: Optional[Name] = None
    delete_volume_on_instance_delete: bool = False


class BootVolume(Body):
    """The volume of a boot_volume_attachment."""

    profile: NameIdentity
    capacity: int = Field(default=100, ge=10, le=250)
    name: Optional[Name] = None
    resource_group: Optional[GroupIdentity] = None
    user_tags: list[str] = []


class BootAttachment(Body):
    """boot_volume_attachment of a new instance."""

    volume: BootVolume
    name: Optional[Name] = None
    delete_volume_on_instance_delete: bool = True


class PrimaryIp(Body):
    """The address that an interface asks for."""

    address: Optional[Address] = None
    auto_delete: bool = True
    name: Optional[Name] = None


class InterfacePrototype(Body):
    """primary_network_interface of a new instance."""

    subnet: Identity
    name: Optional[Name] = None
    allow_ip_spoofing: bool = False
    primary_ip: Optional[PrimaryIp] = None
    security_groups: Optional[list[Identity]] = Field(default=None, min_length=1, max_length=5)


class VirtualInterface(Body):
    """virtual_network_interface of an attachment, made with it."""

    subnet: Identity
    name: Optional[Name] = None
    allow_ip_spoofing: bool = False
    auto_delete: Literal[True] = True
    enable_infrastructure_nat: Literal[True] = True
    primary_ip: Optional[PrimaryIp] = None
    protocol_state_filtering_mode: Literal["auto"] = "auto"
    resource_group: Optional[GroupIdentity] = None
    security_groups: Optional[list[Identity]] = Field(default=None, min_length=1, max_length=5)


class NetworkAttachmentPrototype(Body):
    """primary_network_attachment of a new instance."""

    virtual_network_interface: VirtualInterface
    name: Optional[Name] = None


class MetadataService(Body):
    """metadata_service of an instance; off unless asked for."""

    enabled: bool = False
    protocol: Literal["http", "https"] = "http"
    response_hop_limit: int = Field(default=1, ge=1, le=64)


class ProfileTarget(Body):
    """A trusted profile."""

    id: Optional[str] = None
    crn: Optional[str] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> ProfileTarget:
        if len(self.model_fields_set) != 1:
            raise ValueError("takes exactly one of id and crn")
        return self


class TrustedProfile(Body):
    """default_trusted_profile of a new instance."""

    target: ProfileTarget
    auto_link: bool = True


class AvailabilityPolicy(Body):
    """What is done when the machine below fails."""

    host_failure: Literal["restart", "stop"] = "restart"


class InstancePrototype(Body):
    """POST /instances, by an image."""

    image: Identity
    zone: NameIdentity
    profile: NameIdentity
    name: Optional[Name] = None
    vpc: Optional[Identity] = None
    resource_group: Optional[GroupIdentity] = None
    keys: list[Identity] = []
    user_data: Optional[UserData] = None
    boot_volume_attachment: Optional[BootAttachment] = None
    primary_network_interface: Optional[InterfacePrototype] = None
    primary_network_attachment: Optional[NetworkAttachmentPrototype] = None
    metadata_service: MetadataService = MetadataService()
    default_trusted_profile: Optional[TrustedProfile] = None
    availability_policy: AvailabilityPolicy = AvailabilityPolicy()

    @model_validator(mode="after")
    def _one_network(self) -> InstancePrototype:
        if (self.primary_network_interface is None) == (self.primary_network_attachment is None):
            raise ValueError("takes exactly one of primary_network_interface and primary_network_attachment")
        return self


class InstancePatch(Body):
    """PATCH /instances/{id}."""

    name: Optional[Name] = None
    metadata_service: Optional[MetadataService] = None
    profile: Optional[NameIdentity] = None


class ActionPrototype(Body):
    """POST /instances/{id}/actions."""

    type: Literal["start", "stop", "reboot"]
    force: bool = False


class Empty(Body):
    """A body that is not looked at."""

    model_config = ConfigDict(extra="ignore")


AnyBody = TypeVar("AnyBody", bound=Body)


def parse(model: type[AnyBody], data: bytes) -> AnyBody:
    """The body of a request. Raises Refused."""
    try:
        content: Union[dict[str, Any], list[Any], None] = json.loads(data)
    except ValueError:
        raise Refused(400, "invalid_json", "The request body is not valid JSON.") from None
    try:
        return model.model_validate(content)
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        code = {"missing": "missing_field", "extra_forbidden": "unknown_field"}.get(
            first["type"], "bad_field"
        )
        raise Refused(400, code, f"{field or 'body'}: {first['msg']}", target=field or "body") from None
