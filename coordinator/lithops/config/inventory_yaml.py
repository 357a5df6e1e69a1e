"""The YAML form of an Ansible inventory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lithops.config.inventory import Group, Groups, expand_ranges
from lithops.config.kinds import Refused
from lithops.config.text import parse_yaml_text


def parse_yaml(text: str, path: str) -> Groups:
    """Read groups, their hosts, variables and children; raises `Refused`."""
    try:
        data = parse_yaml_text(text)
    except ValueError as exc:
        raise Refused(f"{path}, {exc}") from None
    groups: Groups = {"all": Group()}
    for name, body in _mapping(data, path, "the file").items():
        _add_group(groups, str(name), body, path)
    return groups


def _add_group(groups: Groups, name: str, body: Any, path: str) -> None:
    group = groups.setdefault(name, Group())
    content = _mapping(body, path, f"group `{name}`")
    odd = [str(part) for part in content if part not in ("hosts", "vars", "children")]
    if odd:
        raise Refused(
            f"{path}: group `{name}` has `{odd[0]}`, but only `hosts`, `vars` and `children` are known"
        )
    for pattern, variables in _mapping(content.get("hosts"), path, f"`hosts` of `{name}`").items():
        for host in expand_ranges(str(pattern)):
            known = group.hosts.setdefault(host, {})
            known.update(_mapping(variables, path, f"host `{host}`"))
    group.variables.update(_mapping(content.get("vars"), path, f"`vars` of `{name}`"))
    for child, child_body in _mapping(content.get("children"), path, f"`children` of `{name}`").items():
        group.children.append(str(child))
        _add_group(groups, str(child), child_body, path)


def _mapping(value: Any, path: str, what: str) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Refused(f"{path}: {what} must be a section of keys")
    return value
