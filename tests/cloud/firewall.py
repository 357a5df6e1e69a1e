"""Security groups as a ruleset of nftables, for the network namespace of an instance."""

from __future__ import annotations

from .region import Region
from .resources import Instance, Rule

_HEAD = """\
add table inet cloud
delete table inet cloud
table inet cloud {
"""


def ruleset(region: Region, instance: Instance) -> str:
    """What lets through what the security groups of an instance let through, and nothing else."""
    rules = [
        rule
        for id in instance.interface.groups
        for rule in region.store["security_groups"][id].rules.values()
    ]
    return (
        _HEAD
        + _chain(
            "input", "iif lo accept", [line for rule in rules for line in _lines(region, rule, "inbound")]
        )
        + _chain(
            "output", "oif lo accept", [line for rule in rules for line in _lines(region, rule, "outbound")]
        )
        + "}\n"
    )


def _chain(hook: str, loopback: str, lines: list[str]) -> str:
    begin = f"type filter hook {hook} priority 0; policy drop;"
    # Groups are stateful: what belongs to a connection that was let through is let through.
    return "\n".join(
        [f"chain {hook} {{", begin, loopback, "ct state established,related accept", *lines, "}\n"]
    )


def _lines(region: Region, rule: Rule, direction: str) -> list[str]:
    if rule.direction != direction:
        return []
    remotes = _remotes(region, rule)
    if not remotes:
        return []
    side = "saddr" if direction == "inbound" else "daddr"
    where = f"ip {side} {{ {', '.join(remotes)} }}"
    if rule.protocol == "any":
        return [f"{where} accept"]
    if rule.protocol == "icmp_tcp_udp":
        return [f"{where} meta l4proto {{ icmp, tcp, udp }} accept"]
    if rule.protocol == "icmp":
        kind = f" icmp type {rule.icmp['type']}" if "type" in rule.icmp else ""
        return [f"{where} meta l4proto icmp{kind} accept"]
    ports = (
        f"{rule.protocol} dport {rule.ports[0]}-{rule.ports[1]}"
        if rule.ports
        else f"meta l4proto {rule.protocol}"
    )
    return [f"{where} {ports} accept"]


def _remotes(region: Region, rule: Rule) -> list[str]:
    """The addresses that a rule is about."""
    if "id" not in rule.remote:
        remote = rule.remote.get("address") or rule.remote["cidr_block"]
        return [remote]
    members = (
        instance.interface.address
        for instance in region.store["instances"].values()
        if rule.remote["id"] in instance.interface.groups
    )
    return sorted(set(members))
