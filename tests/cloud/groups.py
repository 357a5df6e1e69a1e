"""The operations on security groups and keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from .bodies import KeyPrototype, NamePatch, Remote, RulePatch, RulePrototype, SecurityGroupPrototype
from .problems import Refused, bad_field, in_use, not_found
from .references import RULES_RENAMED
from .region import Region
from .resources import Instance, Key, Rule, SecurityGroup

_LOCAL = {"cidr_block": "0.0.0.0/0"}


class Groups:
    """What can be done with security groups and keys."""

    def __init__(self, region: Region) -> None:
        self.region = region

    def create(self, body: SecurityGroupPrototype, version: str) -> SecurityGroup:
        """Make a security group; without rules it lets nothing through."""
        region = self.region
        region.check_group(body.resource_group)
        vpc = region.meant("vpcs", body.vpc, "vpc")
        if body.name:
            region.unique("security_groups", body.name, vpc.id)
        group = SecurityGroup(**region.common("security_groups", body.name), vpc=vpc.id)
        for rule in body.rules:
            self._add(group, rule, version)
        region.store["security_groups"][group.id] = group
        return group

    def rename(self, group: SecurityGroup, body: NamePatch) -> None:
        """Give a security group another name."""
        if body.name and body.name != group.name:
            self.region.unique("security_groups", body.name, group.vpc)
            group.name = body.name

    def delete(self, group: SecurityGroup) -> None:
        """Delete a security group that nothing refers to."""
        if self.region.store["vpcs"][group.vpc].default_group == group.id:
            raise in_use("The default security group of a VPC can't be deleted.", group.id)
        for instance in self.region.store["instances"].values():
            if group.id in instance.interface.groups:
                message = f"The security group is used by the instance {instance.name}."
                raise in_use(message, group.id)
        for other in self.region.store["security_groups"].values():
            if other is not group and any(rule.remote.get("id") == group.id for rule in other.rules.values()):
                raise in_use(f"The security group is referenced by a rule of {other.name}.", group.id)
        del self.region.store["security_groups"][group.id]

    def create_rule(self, group: SecurityGroup, body: RulePrototype, version: str) -> Rule:
        """Add a rule."""
        rule = self._add(group, body, version)
        self.region.hypervisor.network_changed()
        return rule

    def _add(self, group: SecurityGroup, body: RulePrototype, version: str) -> Rule:
        protocol = body.protocol
        if version < RULES_RENAMED:
            if protocol in ("any", "icmp_tcp_udp"):
                raise bad_field("protocol", f"{protocol} is not known before version {RULES_RENAMED}.")
            protocol = "icmp_tcp_udp" if protocol == "all" else protocol
        elif protocol == "all":
            raise bad_field("protocol", f"all is not known from version {RULES_RENAMED} on.")
        if body.name and any(rule.name == body.name for rule in group.rules.values()):
            message = f"Provided Name ({body.name}) is not unique"
            raise Refused(400, "validation_unique_failed", message, target="name")
        id = self.region.new_id()
        ports = None
        if body.port_min is not None and body.port_max is not None:
            ports = (body.port_min, body.port_max)
        icmp = {key: value for key in ("type", "code") if (value := getattr(body, key)) is not None}
        rule = Rule(
            id=id, name=body.name or f"rule-{id[-12:]}", direction=body.direction, protocol=protocol,
            remote=self._remote(body.remote), ports=ports, icmp=icmp,
        )  # fmt: skip
        group.rules[id] = rule
        return rule

    def _remote(self, remote: Remote | None) -> dict[str, str]:
        if remote is None:
            return dict(_LOCAL)
        if remote.address:
            return {"address": remote.address}
        if remote.cidr_block:
            return {"cidr_block": remote.cidr_block}
        named = remote.id or (remote.href or remote.crn or "").rpartition("/")[2].rpartition(":")[2]
        if named not in self.region.store["security_groups"]:
            raise Refused(404, "not_found", f"The security group {named} was not found.", target="remote")
        return {"id": named}

    def change_rule(self, rule: Rule, body: RulePatch) -> None:
        """Change a rule."""
        rule.name = body.name or rule.name
        rule.direction = body.direction or rule.direction
        if body.remote:
            rule.remote = self._remote(body.remote)
        if body.port_min is not None and body.port_max is not None:
            rule.ports = (body.port_min, body.port_max)
        self.region.hypervisor.network_changed()

    def rule(self, group: SecurityGroup, id: str) -> Rule:
        """A rule of a group. Raises Refused."""
        if id not in group.rules:
            raise not_found("security group rule", id)
        return group.rules[id]

    def delete_rule(self, group: SecurityGroup, rule: Rule) -> None:
        """Take a rule away."""
        del group.rules[rule.id]
        self.region.hypervisor.network_changed()

    def target(self, id: str) -> Instance:
        """The instance that a target of a group belongs to. Raises Refused."""
        owner = self.region.owner(id)
        if owner is None:
            raise not_found("security group target", id)
        return owner

    def add_target(self, group: SecurityGroup, instance: Instance) -> None:
        """Apply a group to an interface."""
        if group.vpc != instance.vpc:
            raise bad_field("id", "The security group is in another VPC than the instance.")
        if group.id not in instance.interface.groups:
            instance.interface.groups.append(group.id)
        self.region.hypervisor.network_changed()

    def remove_target(self, group: SecurityGroup, instance: Instance) -> None:
        """Apply a group no longer; the last one of an interface stays."""
        if group.id not in instance.interface.groups:
            raise not_found("security group target", instance.interface.id)
        if len(instance.interface.groups) == 1:
            raise in_use("An interface needs a security group.", instance.interface.id)
        instance.interface.groups.remove(group.id)
        self.region.hypervisor.network_changed()

    # Keys.

    def create_key(self, body: KeyPrototype) -> Key:
        """Take a public key; each can be there once."""
        region = self.region
        region.check_group(body.resource_group)
        digest, length = _look_at(body.public_key, body.type)
        for key in region.store["keys"].values():
            if key.fingerprint == digest:
                message = f"Key with fingerprint already exists: {key.name}"
                raise Refused(400, "validation_unique_failed", message, target="public_key")
        key = Key(
            **region.common("keys", body.name), public_key=body.public_key.strip(), type=body.type,
            length=length, fingerprint=digest,
        )  # fmt: skip
        region.store["keys"][key.id] = key
        return key

    def rename_key(self, key: Key, body: NamePatch) -> None:
        """Give a key another name."""
        if body.name and body.name != key.name:
            self.region.unique("keys", body.name)
            key.name = body.name

    def delete_key(self, key: Key) -> None:
        """Forget a key; instances that have it keep it."""
        del self.region.store["keys"][key.id]


def _look_at(public_key: str, kind: str) -> tuple[str, int]:
    """The fingerprint and the length in bits of a public key. Raises Refused."""
    words = public_key.split()
    wanted = {"rsa": "ssh-rsa", "ed25519": "ssh-ed25519"}[kind]
    try:
        data = base64.b64decode(words[1], validate=True)
        fields: list[bytes] = []
        start = 0
        while start < len(data):
            size = int(struct.unpack_from(">I", data, start)[0])
            fields.append(data[start + 4 : start + 4 + size])
            start += 4 + size
    except (IndexError, binascii.Error, struct.error):
        raise bad_field("public_key", "The public key can't be read.") from None
    if words[0] != wanted or not fields or fields[0] != wanted.encode():
        raise bad_field("public_key", f"The public key is none of type {kind}.")
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    length = 256 if kind == "ed25519" else int.from_bytes(fields[2], "big").bit_length()
    if kind == "rsa" and length not in (2048, 4096):
        raise bad_field("public_key", "An RSA key must have 2048 or 4096 bits.")
    return f"SHA256:{digest}", length
