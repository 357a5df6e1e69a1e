"""The value of `vm.hosts`: a list of hosts, or the path of an inventory."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from lithops.config.host import HostSettings, host_from
from lithops.config.kinds import AUTO, Problem, Refused


@dataclass(frozen=True, kw_only=True)
class HostList:
    """Kind: several hosts. An inventory is read too, so that its mistakes are told with the others."""

    name: str = "a list of hosts, or the path of an Ansible inventory"

    def take(self, value: object) -> Any:
        read_hosts(value)
        return deepcopy(list(value) if isinstance(value, tuple) else value)


def read_hosts(value: object, *, processes: str | int = AUTO) -> tuple[HostSettings, ...]:
    """Give the hosts that a value of `vm.hosts` means; raises `Refused` with everything wrong in it."""
    if isinstance(value, str) and value.strip():
        from lithops.config.inventory import read_inventory

        return _without_repeats(read_inventory(value, processes=processes), path="")
    if not isinstance(value, (list, tuple)):
        raise Refused
    if not value:
        raise Refused("must name one host at least")
    found: list[HostSettings] = []
    problems: list[Problem] = []
    for index, entry in enumerate(value):
        try:
            found.append(host_from(entry, processes=processes))
        except Refused as refused:
            problems += [
                Problem(path=f"[{index}]{p.path}", text=p.text, not_yet=p.not_yet) for p in refused.problems
            ]
    if problems:
        raise Refused(problems=tuple(problems))
    return _without_repeats(tuple(found), path="[{index}]")


def _without_repeats(hosts: tuple[HostSettings, ...], *, path: str) -> tuple[HostSettings, ...]:
    """Refuse a host that is listed twice: its two agents would be one, with twice the work."""
    seen: set[tuple[str, int | None, str | None]] = set()
    problems: list[Problem] = []
    for index, host in enumerate(hosts):
        identity = (host.address, host.port, host.username)
        if identity in seen:
            text = f"`{host.name}` is listed twice: {host.address} with the same user and port"
            problems.append(Problem(path=path.format(index=index), text=text))
        seen.add(identity)
    if problems:
        raise Refused(problems=tuple(problems))
    return hosts
