"""The network of machines: what of the user's is used, what is created, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.api import GATEWAY, GROUP, SUBNET, VPC
from lithops.config.settings import IbmVpcSettings

ORDER = (names.VPC, names.GATEWAY, names.SUBNET, names.GROUP)
"""The order of creation; what is removed goes in the reverse one."""
KINDS = {names.VPC: VPC, names.GATEWAY: GATEWAY, names.SUBNET: SUBNET, names.GROUP: GROUP}
ADDRESSES = 256
"""The size of a subnet: five of them the service keeps for itself."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that is needed: ``given`` is the id that the user named, None: it is created."""

    role: str
    given: str | None = None

    @property
    def kind(self) -> str:
        """What it is in the API."""
        return KINDS[self.role]


def plan(settings: IbmVpcSettings, *, internet: bool) -> list[Step]:
    """What machines need, in order. ``internet``: also those without an address of their own reach it.

    A subnet that is the user's is in a VPC that is, and has the gateway that it has.
    """
    given = {
        names.VPC: settings.vpc_id,
        names.GATEWAY: settings.gateway_id,
        names.SUBNET: settings.subnet_id,
        names.GROUP: settings.security_group_id,
    }
    wanted = [names.VPC]
    if settings.subnet_id is None and (internet or settings.gateway_id):
        wanted.append(names.GATEWAY)
    wanted += [names.SUBNET, names.GROUP]
    return [Step(role=role, given=given[role]) for role in wanted]


def body_of(
    step: Step, name: str, ids: Mapping[str, str], zone: str, settings: IbmVpcSettings
) -> dict[str, Any]:
    """What the API is asked to create; ``ids`` are those of what came before."""
    body: dict[str, Any] = {"name": name, "resource_group": {"id": settings.resource_group_id}}
    if step.role == names.VPC:
        return body
    body["vpc"] = {"id": ids[names.VPC]}
    if step.role == names.GROUP:
        return {**body, "rules": rules(settings.ssh_source)}
    body["zone"] = {"name": zone}
    if step.role == names.SUBNET:
        body["total_ipv4_address_count"] = ADDRESSES
        if names.GATEWAY in ids:
            body["public_gateway"] = {"id": ids[names.GATEWAY]}
    return body


def rules(sources: tuple[str, ...]) -> list[dict[str, Any]]:
    """SSH in from these networks only, and everything out."""
    ssh = {"direction": "inbound", "protocol": "tcp", "port_min": 22, "port_max": 22}
    inward = [{**ssh, "remote": _remote(source)} for source in sources]
    return [*inward, {"direction": "outbound", "protocol": "all", "remote": {"cidr_block": "0.0.0.0/0"}}]


def rule_between(group_id: str) -> dict[str, Any]:
    """SSH from each member of a group to each other one."""
    return {
        "direction": "inbound",
        "protocol": "tcp",
        "port_min": 22,
        "port_max": 22,
        "remote": {"id": group_id},
    }


def _remote(source: str) -> dict[str, str]:
    address, _, bits = source.partition("/")
    return {"address": address} if bits in ("", "32") else {"cidr_block": source}
