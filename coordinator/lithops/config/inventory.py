"""Ansible inventories: the hosts of a file in the INI or the YAML form.

Read are groups, groups of groups, variables of hosts and groups, and ranges (`web[01:03]`). Not read are
folders, scripts, `group_vars/` and templates (`{{ … }}`), which need Ansible itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

from lithops.config.host import HostSettings, host_from
from lithops.config.kinds import AUTO, Problem, Refused

Vars = dict[str, Any]

# Variables of Ansible (the older name last, the newer one wins), and the key of a host that each one means.
_MEANINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("address", ("ansible_host", "ansible_ssh_host")),
    ("username", ("ansible_user", "ansible_ssh_user")),
    ("port", ("ansible_port", "ansible_ssh_port")),
    ("key", ("ansible_ssh_private_key_file", "ansible_private_key_file")),
    ("password", ("ansible_password", "ansible_ssh_password", "ansible_ssh_pass")),
    ("processes", ("lithops_processes",)),
)
_ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
_WHOLE = ("port", "processes")


@dataclass(kw_only=True)
class Group:
    """A group while the file is read."""

    hosts: dict[str, Vars] = field(default_factory=dict)
    variables: Vars = field(default_factory=dict)
    children: list[str] = field(default_factory=list)


Groups = dict[str, Group]


def read_inventory(path: str, *, processes: str | int = AUTO) -> tuple[HostSettings, ...]:
    """Give the hosts of an inventory in the order of the file; raises `Refused` with all that is wrong."""
    groups = _groups_of(path)
    depths = _depths(groups)
    merged: dict[str, Vars] = {}
    for name in sorted(groups, key=lambda name: depths[name]):
        for host in _members(groups, name):
            merged.setdefault(host, {}).update(groups[name].variables)
    found: list[HostSettings] = []
    problems: list[Problem] = []
    own = [(host, given) for group in groups.values() for host, given in group.hosts.items()]
    for host in dict.fromkeys(host for host, _ in own):
        variables = merged.get(host, {})
        for _, given in (pair for pair in own if pair[0] == host):
            variables.update(given)
        try:
            found.append(_host(host, variables, processes))
        except Refused as refused:
            problems += [
                Problem(path="", text=f"{path}: host `{host}`: {(p.path + ' ').lstrip(' .')}{p.text}")
                for p in refused.problems
            ]
    if problems:
        raise Refused(problems=tuple(problems))
    if not found:
        raise Refused(f"{path}: no host in this inventory")
    return tuple(found)


def _groups_of(path: str) -> Groups:
    full = os.path.expanduser(path)
    try:
        with open(full, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        one = "" if os.sep in path else "; a single host is written as `ip_address`, several as a list"
        raise Refused(f"no such inventory: {path}{one}") from None
    except IsADirectoryError:
        raise Refused(f"{path} is a folder: name one file of the inventory") from None
    except OSError as exc:
        raise Refused(f"can't read the inventory {path}: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"{path} is no text in UTF-8") from None
    if _looks_like_yaml(full, text):
        from lithops.config.inventory_yaml import parse_yaml

        return parse_yaml(text, path)
    from lithops.config.inventory_ini import parse_ini

    return parse_ini(text, path)


def _looks_like_yaml(path: str, text: str) -> bool:
    if path.endswith((".yml", ".yaml", ".json")):
        return True
    if path.endswith(".ini"):
        return False
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith(("#", ";"))), "")
    return first.startswith(("---", "{")) or first.endswith(":")


def _members(groups: Groups, name: str) -> set[str]:
    """Give the hosts of a group and of the groups in it."""
    if name == "all":
        return {host for group in groups.values() for host in group.hosts}
    todo, seen = [name], {name}
    hosts: set[str] = set()
    while todo:
        group = groups[todo.pop()]
        hosts.update(group.hosts)
        fresh = [child for child in group.children if child in groups and child not in seen]
        seen.update(fresh)
        todo += fresh
    return hosts


def _depths(groups: Groups) -> dict[str, int]:
    """Give how deep each group lies: the variables of a deeper one win. Rings of groups end too."""
    depths = {name: 0 if name == "all" else 1 for name in groups}
    for _ in groups:
        for name, group in groups.items():
            for child in group.children:
                if child in depths:
                    depths[child] = max(depths[child], depths[name] + 1)
    return depths


def _host(name: str, variables: Vars, processes: str | int) -> HostSettings:
    entry: Vars = {"address": name}
    for key, names in _MEANINGS:
        value = next((variables[n] for n in names if variables.get(n) is not None), None)
        if isinstance(value, str) and "{{" in value:
            raise Refused(problems=(Problem(path=key, text="is a template, which only Ansible can fill in"),))
        if value is not None:
            entry[key] = _whole(value) if key in _WHOLE else _text(value)
    for arguments in (variables.get(n) for n in _ARGUMENTS):
        jump = _jump(arguments)
        if jump:
            entry["jump"] = jump
    return replace(host_from(entry, processes=processes), name=name)


def _whole(value: Any) -> Any:
    """Numbers of the INI form are text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


def _text(value: Any) -> Any:
    """Text of the YAML form may look like a number."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _jump(arguments: object) -> str | None:
    """Find the jump host in arguments of ssh: `-J host`, `-o ProxyJump=host`."""
    import re

    if not isinstance(arguments, str):
        return None
    found = re.search(r"""(?:^|[\s'"])(?:-J\s*|(?:-o\s*)?['"]?ProxyJump[=\s]\s*)([^\s"']+)""", arguments)
    return found.group(1) if found else None


def expand_ranges(pattern: str) -> list[str]:
    """Give the names of a pattern: `web[01:03].lan` is three, `db-[a:c]` too; `[1:9:2]` has steps of two."""
    import re

    match = re.search(r"\[(\w+):(\w+)(?::(\d+))?\]", pattern)
    if match is None:
        return [pattern]
    first, last, step = match.group(1), match.group(2), int(match.group(3) or 1)
    head, tail = pattern[: match.start()], pattern[match.end() :]
    if first.isdecimal() and last.isdecimal():
        names = [str(n).zfill(len(first)) for n in _steps(int(first), int(last), step, pattern)]
    elif len(first) == len(last) == 1:
        names = [chr(n) for n in _steps(ord(first), ord(last), step, pattern)]
    else:
        raise Refused(f"can't read the range in `{pattern}`")
    return [head + name + rest for name in names for rest in expand_ranges(tail)]


def _steps(first: int, last: int, step: int, pattern: str) -> range:
    numbers = range(first, last + 1, max(step, 1))
    if step < 1 or not numbers or len(numbers) > 100_000:
        raise Refused(f"can't read the range in `{pattern}`")
    return numbers
