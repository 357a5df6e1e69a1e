"""The operations on VPCs, subnets, gateways and floating IP addresses."""

from __future__ import annotations

import ipaddress
from typing import Any

from . import catalogue
from .bodies import (
    AddressPrefixPrototype,
    FloatingIpPatch,
    FloatingIpPrototype,
    GatewayPrototype,
    Identity,
    NamePatch,
    SubnetPrototype,
    VpcPrototype,
)
from .problems import Refused, bad_field, in_use, not_found, wrong_state
from .references import overlap
from .region import Region
from .resources import FloatingIp, Gateway, Instance, Prefix, Rule, SecurityGroup, Subnet, Vpc


class Networks:
    """What can be done with the network of a region."""

    def __init__(self, region: Region) -> None:
        self.region = region

    # VPCs.

    def create_vpc(self, body: VpcPrototype) -> Vpc:
        """Make a VPC with a security group, and with address prefixes if wanted."""
        region = self.region
        region.check_group(body.resource_group)
        vpc = Vpc(**region.common("vpcs", body.name))
        group = SecurityGroup(**region.common("security_groups", None), vpc=vpc.id)
        for direction, remote in (("outbound", {"cidr_block": "0.0.0.0/0"}), ("inbound", {"id": group.id})):
            id = region.new_id()
            rule = Rule(id=id, name=id[:40], direction=direction, protocol="icmp_tcp_udp", remote=remote)
            group.rules[id] = rule
        region.store["security_groups"][group.id] = group
        vpc.default_group = group.id
        if body.address_prefix_management == "auto":
            for zone, cidr in zip(region.zones, catalogue.ADDRESS_PREFIXES, strict=True):
                self._add_prefix(vpc, zone, cidr, is_default=True)
        return region.add(vpc)

    def _add_prefix(
        self, vpc: Vpc, zone: str, cidr: str, *, is_default: bool, name: str | None = None
    ) -> Prefix:
        id = self.region.new_id()
        prefix = Prefix(
            id=id, name=name or f"prefix-{id[-12:]}", created_at=self.region.clock.now(),
            number=len(vpc.prefixes), zone=zone, cidr=cidr, is_default=is_default,
        )  # fmt: skip
        vpc.prefixes[id] = prefix
        return prefix

    def rename_vpc(self, vpc: Vpc, body: NamePatch) -> None:
        """Give a VPC another name."""
        if body.name and body.name != vpc.name:
            self.region.unique("vpcs", body.name)
            vpc.name = body.name

    def delete_vpc(self, vpc: Vpc) -> None:
        """Delete a VPC in which nothing is left."""
        if vpc.deleting:
            raise wrong_state("The VPC is being deleted.", vpc.id)
        for kind in ("instances", "subnets", "public_gateways"):
            names = [each.name for each in self.region.of_vpc(kind, vpc.id)]
            if names:
                raise in_use(f"The VPC still has {kind.replace('_', ' ')}: {', '.join(names)}", vpc.id)

        def with_groups() -> None:
            for group in list(self.region.of_vpc("security_groups", vpc.id)):
                del self.region.store["security_groups"][group.id]

        self.region.drop(vpc, with_groups)

    def create_prefix(self, vpc: Vpc, body: AddressPrefixPrototype) -> Prefix:
        """Give a VPC more addresses."""
        for prefix in vpc.prefixes.values():
            if overlap(prefix.cidr, body.cidr):
                raise bad_field("cidr", f"{body.cidr} overlaps with {prefix.cidr}.")
        zone = self.region.meant_zone(body.zone)
        return self._add_prefix(vpc, zone, body.cidr, is_default=body.is_default, name=body.name)

    # Subnets.

    def create_subnet(self, body: SubnetPrototype) -> Subnet:
        """Make a subnet within an address prefix of its VPC."""
        region = self.region
        region.check_group(body.resource_group)
        vpc: Vpc = region.meant("vpcs", body.vpc, "vpc")
        if not vpc.available:
            raise wrong_state("The VPC is not available yet.", vpc.id)
        if body.name:
            region.unique("subnets", body.name, vpc.id)
        zone = region.meant_zone(body.zone) if body.zone else None
        prefix, cidr = self._addresses(vpc, zone, body)
        gateway = self._gateway_for(body.public_gateway, vpc.id, prefix.zone) if body.public_gateway else None
        common = region.common("subnets", body.name, prefix.zone)
        return region.add(Subnet(**common, vpc=vpc.id, zone=prefix.zone, cidr=cidr, gateway=gateway))

    def _addresses(self, vpc: Vpc, zone: str | None, body: SubnetPrototype) -> tuple[Prefix, str]:
        taken = [subnet.cidr for subnet in self.region.of_vpc("subnets", vpc.id)]
        mine = [prefix for prefix in vpc.prefixes.values() if zone in (None, prefix.zone)]
        if body.ipv4_cidr_block:
            wanted = ipaddress.IPv4Network(body.ipv4_cidr_block)
            around = [prefix for prefix in mine if wanted.subnet_of(ipaddress.IPv4Network(prefix.cidr))]
            if not around:
                raise bad_field("ipv4_cidr_block", f"{wanted} is in no address prefix of the VPC and zone.")
            if any(overlap(cidr, str(wanted)) for cidr in taken):
                raise bad_field("ipv4_cidr_block", f"{wanted} overlaps with another subnet of the VPC.")
            return around[0], str(wanted)
        assert body.total_ipv4_address_count is not None
        length = 32 - (body.total_ipv4_address_count.bit_length() - 1)
        for prefix in mine:
            network = ipaddress.IPv4Network(prefix.cidr)
            for part in network.subnets(new_prefix=length) if length >= network.prefixlen else ():
                if not any(overlap(cidr, str(part)) for cidr in taken):
                    return prefix, str(part)
        raise bad_field("total_ipv4_address_count", "The address prefixes of the zone have no such room.")

    def _gateway_for(self, identity: Identity, vpc: str, zone: str) -> str:
        gateway: Gateway = self.region.meant("public_gateways", identity, "public_gateway")
        if (gateway.vpc, gateway.zone) != (vpc, zone):
            raise bad_field("public_gateway", "The public gateway is in another VPC or zone.")
        return gateway.id

    def rename_subnet(self, subnet: Subnet, body: NamePatch) -> None:
        """Give a subnet another name."""
        if body.name and body.name != subnet.name:
            self.region.unique("subnets", body.name, subnet.vpc)
            subnet.name = body.name

    def delete_subnet(self, subnet: Subnet) -> None:
        """Delete a subnet that no interface is in."""
        if subnet.deleting:
            raise wrong_state("The subnet is being deleted.", subnet.id)
        for instance in self.region.of_vpc("instances", subnet.vpc):
            if instance.interface.subnet == subnet.id:
                raise in_use(f"The subnet is used by the instance {instance.name}.", subnet.id)
        subnet.gateway = None
        self.region.drop(subnet)

    def attach_gateway(self, subnet: Subnet, body: Identity) -> Gateway:
        """Let a subnet use a gateway of its VPC and zone."""
        subnet.gateway = self._gateway_for(body, subnet.vpc, subnet.zone)
        found: Gateway = self.region.store["public_gateways"][subnet.gateway]
        return found

    def gateway_of(self, subnet: Subnet) -> Gateway:
        """The gateway of a subnet. Raises Refused."""
        if subnet.gateway is None:
            raise not_found("public gateway of subnet", subnet.id)
        found: Gateway = self.region.store["public_gateways"][subnet.gateway]
        return found

    def detach_gateway(self, subnet: Subnet) -> None:
        """Take its gateway from a subnet."""
        self.gateway_of(subnet)
        subnet.gateway = None

    # Public gateways.

    def create_gateway(self, body: GatewayPrototype) -> Gateway:
        """Make a public gateway, one for each zone of a VPC."""
        region = self.region
        region.check_group(body.resource_group)
        vpc = region.meant("vpcs", body.vpc, "vpc")
        zone = region.meant_zone(body.zone)
        for other in region.of_vpc("public_gateways", vpc.id):
            if other.zone == zone:
                message = f"The VPC already has the public gateway {other.name} in {zone}."
                raise Refused(409, "public_gateway_exists", message, target="zone")
        if body.name:
            region.unique("public_gateways", body.name, vpc.id)
        common = region.common("public_gateways", body.name)
        if body.floating_ip:
            ip: FloatingIp = region.meant("floating_ips", body.floating_ip, "floating_ip")
            if ip.target:
                raise in_use("The floating IP is bound already.", ip.id)
        else:
            ip = self._new_ip(None, zone)
        ip.target = common["id"]
        own = body.floating_ip is None
        gateway = Gateway(**common, vpc=vpc.id, zone=zone, floating_ip=ip.id, own_ip=own)
        return region.add(gateway)

    def delete_gateway(self, gateway: Gateway) -> None:
        """Delete a gateway that no subnet uses; an address that came with it goes, too."""
        if gateway.deleting:
            raise wrong_state("The public gateway is being deleted.", gateway.id)
        for subnet in self.region.store["subnets"].values():
            if subnet.gateway == gateway.id:
                raise in_use(f"The public gateway is attached to the subnet {subnet.name}.", gateway.id)

        def release() -> None:
            ip = self.region.store["floating_ips"][gateway.floating_ip]
            ip.target = None
            if gateway.own_ip:
                del self.region.store["floating_ips"][ip.id]

        self.region.drop(gateway, release)

    # Floating IP addresses.

    def create_ip(self, body: FloatingIpPrototype) -> FloatingIp:
        """Reserve a floating IP address, and bind it if wanted."""
        region = self.region
        region.check_group(body.resource_group)
        if body.zone:
            return self._new_ip(body.name, region.meant_zone(body.zone))
        assert body.target is not None
        owner = self._target(body.target)
        self._refuse_second(owner)
        ip = self._new_ip(body.name, owner.zone)
        self._bind(ip, owner)
        return ip

    def _new_ip(self, name: str | None, zone: str) -> FloatingIp:
        common = self.region.common("floating_ips", name)
        return self.region.add(FloatingIp(**common, zone=zone, address=self.region.new_address()))

    def _target(self, identity: Identity) -> Instance:
        """The instance whose interface a body names."""
        wanted = identity.id or (identity.href or identity.crn or "").rpartition("/")[2].rpartition(":")[2]
        owner = self.region.owner(wanted)
        if owner is None or owner.deleting:
            raise Refused(404, "not_found", f"The target {wanted} was not found.", target="target")
        return owner

    def _refuse_second(self, owner: Instance) -> None:
        if self.region.bound_to(owner.interface):
            raise in_use("The network interface already has a floating IP.", owner.interface.id)

    def _bind(self, ip: FloatingIp, owner: Instance) -> None:
        ip.target = owner.interface.virtual or owner.interface.id
        self.region.hypervisor.network_changed()

    def bind_ip(self, ip: FloatingIp, owner: Instance) -> None:
        """Bind an address to an interface, in place of the one that it may have."""
        if ip.target and self.region.owner(ip.target) is None:
            raise in_use("The floating IP is required by a public gateway.", ip.id)
        if ip.zone != owner.zone:
            raise bad_field("zone", "The floating IP is in another zone than the instance.")
        for other in self.region.bound_to(owner.interface):
            other.target = None
        self._bind(ip, owner)

    def unbind_ip(self, ip: FloatingIp, owner: Instance) -> None:
        """Take an address from an interface."""
        if ip not in self.region.bound_to(owner.interface):
            raise not_found("floating IP of the network interface", ip.id)
        ip.target = None
        self.region.hypervisor.network_changed()

    def change_ip(self, ip: FloatingIp, body: FloatingIpPatch) -> None:
        """Rename an address, or bind it elsewhere."""
        if body.name and body.name != ip.name:
            self.region.unique("floating_ips", body.name)
            ip.name = body.name
        if body.target:
            self.bind_ip(ip, self._target(body.target))
        elif "target" in body.model_fields_set:
            ip.target = None
            self.region.hypervisor.network_changed()

    def delete_ip(self, ip: FloatingIp) -> None:
        """Release an address; what it is bound to loses it."""
        if ip.deleting:
            raise wrong_state("The floating IP is being deleted.", ip.id)
        if ip.target and ip.target in self.region.store["public_gateways"]:
            raise in_use("The floating IP is required by a public gateway.", ip.id)
        ip.target = None
        self.region.drop(ip)
        self.region.hypervisor.network_changed()

    def describe(self, kind: str) -> list[Any]:
        """All of a kind, the newest first as the service lists them."""
        return sorted(self.region.store[kind].values(), key=lambda each: -each.number)
