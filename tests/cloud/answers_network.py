"""VPCs, subnets, gateways, addresses and security groups, as the service shows them."""

from __future__ import annotations

import ipaddress

from .references import RULES_RENAMED, Answer, References, moment, overlap, status_of
from .resources import FloatingIp, Gateway, Instance, Prefix, Rule, SecurityGroup, Subnet, Vpc


class NetworkView(References):
    """Shows the network."""

    def vpc(self, vpc: Vpc) -> Answer:
        """A VPC."""
        region = self.region
        table = {
            "id": f"{vpc.id}-table",
            "name": "table",
            "href": f"{self.base}/vpcs/{vpc.id}/routing_tables/1",
        }
        acl = {"id": f"{vpc.id}-acl", "name": "acl", "href": f"{self.base}/network_acls/{vpc.id}-acl"}
        return {
            **self.reference(vpc, "vpc", resource_type="vpc"),
            "classic_access": False,
            "created_at": moment(vpc.created_at),
            "cse_source_ips": [
                {"ip": {"address": f"10.12.{number}.45"}, "zone": self.zone_reference(zone)}
                for number, zone in enumerate(region.zones)
            ],
            "default_network_acl": {**acl, "crn": region.crn("network-acl", acl["id"])},
            "default_routing_table": {
                **table,
                "crn": region.crn("vpc-routing-table", table["id"]),
                "resource_type": "routing_table",
            },
            "default_security_group": self.group_reference(vpc.default_group),
            "dns": {
                "enable_hub": False,
                "resolution_binding_count": 0,
                "resolver": {
                    "configuration": "default",
                    "type": "system",
                    "servers": [{"address": "161.26.0.10"}, {"address": "161.26.0.11"}],
                },
            },
            "health_reasons": [],
            "health_state": "ok",
            "public_address_ranges": [],
            "resource_group": self.resource_group(),
            "status": status_of(vpc.deleting, vpc.available),
        }

    def prefix(self, vpc: Vpc, prefix: Prefix) -> Answer:
        """An address prefix."""
        subnets = self.region.of_vpc("subnets", vpc.id)
        return {
            "cidr": prefix.cidr,
            "created_at": moment(prefix.created_at),
            "has_subnets": any(overlap(subnet.cidr, prefix.cidr) for subnet in subnets),
            "href": f"{self.base}/vpcs/{vpc.id}/address_prefixes/{prefix.id}",
            "id": prefix.id,
            "is_default": prefix.is_default,
            "name": prefix.name,
            "zone": self.zone_reference(prefix.zone),
        }

    def subnet(self, subnet: Subnet) -> Answer:
        """A subnet."""
        vpc = self.vpc(self.region.store["vpcs"][subnet.vpc])
        size = ipaddress.IPv4Network(subnet.cidr).num_addresses
        answer = {
            **self.reference(subnet, "subnet", resource_type="subnet"),
            "available_ipv4_address_count": size - 5 - len(subnet.taken),
            "created_at": moment(subnet.created_at),
            "ip_version": "ipv4",
            "ipv4_cidr_block": subnet.cidr,
            "network_acl": vpc["default_network_acl"],
            "resource_group": self.resource_group(),
            "routing_table": vpc["default_routing_table"],
            "status": status_of(subnet.deleting, subnet.available),
            "total_ipv4_address_count": size,
            "vpc": self.vpc_reference(subnet.vpc),
            "zone": self.zone_reference(subnet.zone),
        }
        if subnet.gateway:
            gateway = self.region.store["public_gateways"][subnet.gateway]
            answer["public_gateway"] = self.reference(
                gateway, "public-gateway", resource_type="public_gateway"
            )
        return answer

    def gateway(self, gateway: Gateway) -> Answer:
        """A public gateway."""
        return {
            **self.reference(gateway, "public-gateway", resource_type="public_gateway"),
            "created_at": moment(gateway.created_at),
            "floating_ip": self.ip_reference(self.region.store["floating_ips"][gateway.floating_ip]),
            "resource_group": self.resource_group(),
            "status": status_of(gateway.deleting, gateway.available),
            "vpc": self.vpc_reference(gateway.vpc),
            "zone": self.zone_reference(gateway.zone),
        }

    def floating_ip(self, ip: FloatingIp) -> Answer:
        """A floating IP address."""
        answer = {
            **self.ip_reference(ip),
            "created_at": moment(ip.created_at),
            "resource_group": self.resource_group(),
            "status": status_of(ip.deleting, ip.available),
            "zone": self.zone_reference(ip.zone),
        }
        gateway = self.region.store["public_gateways"].get(ip.target or "")
        owner = self.region.owner(ip.target) if ip.target else None
        if gateway:
            answer["target"] = self.reference(gateway, "public-gateway", resource_type="public_gateway")
        elif owner:
            answer["target"] = self._target(owner)
        return answer

    def _target(self, instance: Instance) -> Answer:
        """An interface, as what refers to it shows it."""
        interface = instance.interface
        shown = {
            "href": f"{self.base}/instances/{instance.id}/network_interfaces/{interface.id}",
            "id": interface.id,
            "name": interface.name,
            "primary_ip": self.reserved_ip(interface),
            "resource_type": "network_interface",
        }
        if interface.virtual:
            shown |= self.virtual(interface) | {
                "primary_ip": self.reserved_ip(interface),
                "subnet": self.subnet_reference(interface.subnet),
            }
        return shown

    def security_group(self, group: SecurityGroup) -> Answer:
        """A security group."""
        targets = [
            self._target(instance)
            for instance in self.region.store["instances"].values()
            if group.id in instance.interface.groups
        ]
        return {
            **self.reference(group, "security-group"),
            "created_at": moment(group.created_at),
            "resource_group": self.resource_group(),
            "rules": [self.rule(group, rule) for rule in group.rules.values()],
            "targets": targets,
            "vpc": self.vpc_reference(group.vpc),
        }

    def rule(self, group: SecurityGroup, rule: Rule) -> Answer:
        """A rule of a security group."""
        protocol = rule.protocol
        if protocol in ("any", "icmp_tcp_udp") and self.version < RULES_RENAMED:
            protocol = "all"
        remote: Answer = dict(rule.remote)
        if "id" in remote:
            remote = self.group_reference(remote["id"])
        answer = {
            "direction": rule.direction,
            "href": f"{self.base}/security_groups/{group.id}/rules/{rule.id}",
            "id": rule.id,
            "ip_version": "ipv4",
            "local": {"cidr_block": "0.0.0.0/0"},
            "name": rule.name,
            "protocol": protocol,
            "remote": remote,
            "resource_type": "security_group_rule",
            **rule.icmp,
        }
        if rule.ports:
            answer.update(port_min=rule.ports[0], port_max=rule.ports[1])
        return answer
