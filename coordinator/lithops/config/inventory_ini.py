"""The INI form of an Ansible inventory."""

from __future__ import annotations

import shlex
from typing import Any

from lithops.config.inventory import Group, Groups, Vars, expand_ranges
from lithops.config.kinds import Problem, Refused


def parse_ini(text: str, path: str) -> Groups:
    """Read groups, their hosts, variables and children; raises `Refused` with each unreadable line."""
    groups: Groups = {"all": Group()}
    problems: list[Problem] = []
    name, part = "ungrouped", "hosts"
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        try:
            if line.startswith("["):
                name, part = _heading(line)
                groups.setdefault(name, Group())
            else:
                _add(groups, groups.setdefault(name, Group()), part, line)
        except (Refused, ValueError) as exc:
            # The line itself may hold a password, so that only its number is told.
            texts = [p.text for p in exc.problems] if isinstance(exc, Refused) else ["can't read this line"]
            problems += [Problem(path="", text=f"{path}, line {number}: {text}") for text in texts]
    if problems:
        raise Refused(problems=tuple(problems))
    return groups


def _heading(line: str) -> tuple[str, str]:
    inside, bracket, rest = line[1:].partition("]")
    if not bracket or (rest.strip() and not rest.strip().startswith(("#", ";"))):
        raise Refused("a group must be `[name]`")
    name, _, part = inside.strip().partition(":")
    if not name or part not in ("", "vars", "children", "hosts"):
        raise Refused("a group must be `[name]`, `[name:vars]` or `[name:children]`")
    return name, part or "hosts"


def _add(groups: Groups, group: Group, part: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    if part == "children":
        group.children.append(words[0])
        groups.setdefault(words[0], Group())
    elif part == "vars":
        group.variables.update(_assigned(line))
    else:
        variables: Vars = {}
        for word in words[1:]:
            variables.update(_assigned(word))
        for host in expand_ranges(words[0]):
            bare, port = _port_of(host)
            known = group.hosts.setdefault(bare, {})
            known.update({**port, **variables})


def _assigned(text: str) -> dict[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise Refused("variables must be `name=value`")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return {name.strip(): value}


def _port_of(host: str) -> tuple[str, Vars]:
    """Take the port of `host:port` off; colons of a bare IPv6 address stay."""
    bare, _, port = host.rpartition(":")
    if host.count(":") == 1 and port.isdecimal():
        return bare, {"ansible_port": port}
    if bare.startswith("[") and bare.endswith("]") and port.isdecimal():
        return bare[1:-1], {"ansible_port": port}
    return host, {}
