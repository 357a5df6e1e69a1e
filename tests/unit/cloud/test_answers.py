"""Every answer of the fake cloud is one that the SDK's models accept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibm_vpc.vpc_v1 as models
import pytest

from .conftest import PUBLIC_KEY, Site


@pytest.fixture
def full(site: Site) -> dict[str, Any]:
    """One of everything, all of it connected."""
    client = site.client
    vpc = site.vpc()
    zone = {"name": site.cloud.zone}
    gateway = client.create_public_gateway(vpc={"id": vpc["id"]}, zone=zone, name="way").get_result()
    site.later()
    subnet = site.subnet(vpc)
    client.set_subnet_public_gateway(subnet["id"], {"id": gateway["id"]})
    group = client.create_security_group(vpc={"id": vpc["id"]}, name="wall").get_result()
    for rule in (
        {"direction": "inbound", "protocol": "tcp", "port_min": 22, "port_max": 22,
         "remote": {"cidr_block": "192.0.2.0/24"}},
        {"direction": "inbound", "protocol": "icmp_tcp_udp", "remote": {"id": group["id"]}},
        {"direction": "inbound", "protocol": "icmp", "type": 8, "remote": {"address": "192.0.2.7"}},
        {"direction": "outbound", "protocol": "any"},
    ):  # fmt: skip
        made = client.create_security_group_rule(group["id"], rule).get_result()
    key = client.create_key(PUBLIC_KEY, type="ed25519", name="login").get_result()
    profile = site.cloud.trusted_profile()
    instance = site.instance(
        subnet, keys=[{"id": key["id"]}], user_data="#cloud-config\n", metadata_service={"enabled": True},
        default_trusted_profile={"target": {"id": profile.id}, "auto_link": True},
    )  # fmt: skip
    nic = instance["primary_network_interface"]["id"]
    ip = client.create_floating_ip({"name": "door", "target": {"id": nic}}).get_result()
    spare = client.create_floating_ip({"name": "spare", "zone": zone}).get_result()
    volume = client.create_volume(
        {"name": "data", "profile": {"name": "general-purpose"}, "zone": zone, "capacity": 20}
    ).get_result()
    attachment = client.create_instance_volume_attachment(
        instance["id"], {"id": volume["id"]}, name="more"
    ).get_result()
    client.create_security_group_target_binding(group["id"], nic)
    site.later()
    return {
        "vpc": vpc["id"], "subnet": subnet["id"], "gateway": gateway["id"], "group": group["id"],
        "rule": made["id"], "key": key["id"], "instance": instance["id"], "nic": nic, "ip": ip["id"],
        "spare": spare["id"], "volume": volume["id"], "attachment": attachment["id"],
        "image": site.cloud.image_id, "region": site.cloud.region, "zone": site.cloud.zone,
    }  # fmt: skip


Look = Callable[[Any, dict[str, Any]], Any]
LOOKS: list[tuple[str, Look]] = [
    ("VPC", lambda c, a: c.get_vpc(a["vpc"])),
    ("VPCCollection", lambda c, a: c.list_vpcs()),
    ("AddressPrefixCollection", lambda c, a: c.list_vpc_address_prefixes(a["vpc"])),
    ("DefaultSecurityGroup", lambda c, a: c.get_vpc_default_security_group(a["vpc"])),
    ("Subnet", lambda c, a: c.get_subnet(a["subnet"])),
    ("SubnetCollection", lambda c, a: c.list_subnets(vpc_id=a["vpc"])),
    ("PublicGateway", lambda c, a: c.get_subnet_public_gateway(a["subnet"])),
    ("PublicGateway", lambda c, a: c.get_public_gateway(a["gateway"])),
    ("PublicGatewayCollection", lambda c, a: c.list_public_gateways()),
    ("SecurityGroup", lambda c, a: c.get_security_group(a["group"])),
    ("SecurityGroupCollection", lambda c, a: c.list_security_groups(vpc_id=a["vpc"])),
    ("SecurityGroupRuleCollection", lambda c, a: c.list_security_group_rules(a["group"])),
    ("SecurityGroupRule", lambda c, a: c.get_security_group_rule(a["group"], a["rule"])),
    ("SecurityGroupTargetCollection", lambda c, a: c.list_security_group_targets(a["group"])),
    ("FloatingIP", lambda c, a: c.get_floating_ip(a["ip"])),
    ("FloatingIP", lambda c, a: c.get_floating_ip(a["spare"])),
    ("FloatingIPCollection", lambda c, a: c.list_floating_ips()),
    ("Key", lambda c, a: c.get_key(a["key"])),
    ("KeyCollection", lambda c, a: c.list_keys()),
    ("Instance", lambda c, a: c.get_instance(a["instance"])),
    ("InstanceCollection", lambda c, a: c.list_instances(vpc_id=a["vpc"], name="worker")),
    ("InstanceInitialization", lambda c, a: c.get_instance_initialization(a["instance"])),
    ("InstanceAction", lambda c, a: c.create_instance_action(a["instance"], "reboot")),
    ("NetworkInterfaceUnpaginatedCollection", lambda c, a: c.list_instance_network_interfaces(a["instance"])),
    ("NetworkInterface", lambda c, a: c.get_instance_network_interface(a["instance"], a["nic"])),
    ("FloatingIPUnpaginatedCollection",
     lambda c, a: c.list_instance_network_interface_floating_ips(a["instance"], a["nic"])),
    ("InstanceNetworkAttachmentCollection", lambda c, a: c.list_instance_network_attachments(a["instance"])),
    ("Volume", lambda c, a: c.get_volume(a["volume"])),
    ("VolumeCollection", lambda c, a: c.list_volumes(attachment_state="attached")),
    ("VolumeAttachmentCollection", lambda c, a: c.list_instance_volume_attachments(a["instance"])),
    ("VolumeAttachment", lambda c, a: c.get_instance_volume_attachment(a["instance"], a["attachment"])),
    ("Image", lambda c, a: c.get_image(a["image"])),
    ("ImageCollection", lambda c, a: c.list_images(visibility="public")),
    ("InstanceProfile", lambda c, a: c.get_instance_profile("cx2-2x4")),
    ("InstanceProfileCollection", lambda c, a: c.list_instance_profiles()),
    ("VolumeProfile", lambda c, a: c.get_volume_profile("general-purpose")),
    ("VolumeProfileCollection", lambda c, a: c.list_volume_profiles()),
    ("Region", lambda c, a: c.get_region(a["region"])),
    ("RegionCollection", lambda c, a: c.list_regions()),
    ("Zone", lambda c, a: c.get_region_zone(a["region"], a["zone"])),
    ("ZoneCollection", lambda c, a: c.list_region_zones(a["region"])),
]  # fmt: skip


def test_all_answers_fit_the_models(site: Site, full: dict[str, Any]) -> None:
    for name, look in LOOKS:
        answer = look(site.client, full).get_result()
        shown = getattr(models, name).from_dict(answer)
        assert shown.to_dict().keys() >= answer.keys(), name


def test_all_routes_that_show_something_are_looked_at(site: Site, full: dict[str, Any]) -> None:
    for _, look in LOOKS:
        look(site.client, full)
    seen = {rule for call in site.cloud.calls if (rule := _rule(site, call.method, call.path))}
    rules = {f"{m} {r.rule}" for r in site.cloud.app.url_map.iter_rules() for m in r.methods or ()}
    unseen = sorted(rule for rule in rules - seen if rule.startswith("GET /v1"))
    assert unseen == []


def _rule(site: Site, method: str, path: str) -> str | None:
    if not path.startswith("/identity"):
        path = f"/v1{path}"
    endpoint, _ = site.cloud.app.url_map.bind("").match(path, method)
    return endpoint.replace(" /", " /v1/", 1) if endpoint != "token" else None


def test_an_instance_made_with_an_attachment_shows_both(site: Site) -> None:
    subnet = site.subnet(site.vpc())
    prototype = site.prototype(subnet)
    del prototype["primary_network_interface"]
    prototype["primary_network_attachment"] = {
        "virtual_network_interface": {"subnet": {"id": subnet["id"]}, "name": "vni"}
    }
    instance = site.client.create_instance(prototype).get_result()
    shown = models.Instance.from_dict(instance)
    virtual = shown.primary_network_attachment.virtual_network_interface
    assert shown.primary_network_interface.primary_ip.address == "10.240.0.4"
    ip = site.client.create_floating_ip({"name": "door", "target": {"id": virtual.id}}).get_result()
    target = models.FloatingIPTargetVirtualNetworkInterfaceReference.from_dict(ip["target"])
    assert target.id == virtual.id
    listed = site.client.list_instance_network_attachments(instance["id"]).get_result()
    assert models.InstanceNetworkAttachmentCollection.from_dict(listed).network_attachments


def test_older_versions_know_the_protocol_all(site: Site) -> None:
    vpc = site.vpc()
    group = site.client.create_security_group(vpc={"id": vpc["id"]}, name="wall").get_result()
    site.client.version = "2024-04-30"
    rule = site.client.create_security_group_rule(
        group["id"], {"direction": "inbound", "protocol": "all"}
    ).get_result()
    assert rule["protocol"] == "all"
    site.client.version = "2025-12-09"
    (shown,) = site.client.list_security_group_rules(group["id"]).get_result()["rules"]
    assert shown["protocol"] == "icmp_tcp_udp"
