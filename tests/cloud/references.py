"""References to resources, as the answers of the service have them."""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING, Any

from . import catalogue
from .resources import (
    FloatingIp,
    Interface,
    Resource,
)

if TYPE_CHECKING:
    from .region import Region

Answer = dict[str, Any]
RULES_RENAMED = "2025-12-09"
"""From this version of the API on, what was the protocol 'all' is 'icmp_tcp_udp', and 'any' is new."""


def moment(at: float) -> str:
    """An instant as the service writes it."""
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class References:
    """Shows the resources of a region to one request: ``base`` begins the URLs, ``version`` is the API's."""

    def __init__(self, region: Region, base: str, version: str) -> None:
        self.region = region
        self.base = base
        self.version = version

    # References.

    def reference(self, resource: Resource, kind: str, **more: Any) -> Answer:
        """What every reference has."""
        return {
            "crn": self.region.crn(kind, resource.id),
            "href": f"{self.base}/{resource.kind}/{resource.id}",
            "id": resource.id,
            "name": resource.name,
            **more,
        }

    def resource_group(self) -> Answer:
        """The only resource group."""
        id = self.region.resource_group_id
        return {
            "href": f"https://resource-controller.cloud.ibm.com/v2/resource_groups/{id}",
            "id": id,
            "name": "Default",
        }

    def zone_reference(self, name: str) -> Answer:
        """A zone."""
        return {"href": f"{self.base}/regions/{self.region.name}/zones/{name}", "name": name}

    def vpc_reference(self, id: str) -> Answer:
        """A VPC."""
        return self.reference(self.region.store["vpcs"][id], "vpc", resource_type="vpc")

    def subnet_reference(self, id: str) -> Answer:
        """A subnet."""
        return self.reference(self.region.store["subnets"][id], "subnet", resource_type="subnet")

    def group_reference(self, id: str) -> Answer:
        """A security group."""
        return self.reference(self.region.store["security_groups"][id], "security-group")

    def ip_reference(self, ip: FloatingIp) -> Answer:
        """A floating IP address."""
        return self.reference(ip, "floating-ip", address=ip.address)

    def reserved_ip(self, interface: Interface) -> Answer:
        """The private address of an interface."""
        return {
            "address": interface.address,
            "href": f"{self.base}/subnets/{interface.subnet}/reserved_ips/{interface.id}-ip",
            "id": f"{interface.id}-ip",
            "name": f"{interface.name}-ip",
            "resource_type": "subnet_reserved_ip",
        }

    def image_reference(self, image: catalogue.Image) -> Answer:
        """An image."""
        return {
            "crn": self.region.crn("image", image.id),
            "href": f"{self.base}/images/{image.id}",
            "id": image.id,
            "name": image.name,
        }

    def virtual(self, interface: Interface) -> Answer:
        """The virtual network interface of an instance that was made with an attachment."""
        return {
            "crn": self.region.crn("virtual-network-interface", str(interface.virtual)),
            "href": f"{self.base}/virtual_network_interfaces/{interface.virtual}",
            "id": interface.virtual,
            "name": interface.name,
            "resource_type": "virtual_network_interface",
        }


def status_of(deleting: bool, available: bool) -> str:
    """The status of what is either there, or not yet, or not any more."""
    return "deleting" if deleting else "available" if available else "pending"


def overlap(one: str, other: str) -> bool:
    """Whether two networks share addresses."""
    return ipaddress.IPv4Network(one).overlaps(ipaddress.IPv4Network(other))
