"""A configuration as it may be written down: without its secrets, which another process finds again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lithops.config.host import HOST
from lithops.config.schema import SECTIONS, STANDALONE_SECTION

_HOST_SECRETS = tuple(key.name for key in HOST.keys if key.secret)


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of an expanded configuration in which no secret is set."""
    return {name: _without(name, section) for name, section in config.items()}


def _without(name: str, section: Any) -> Any:
    if not isinstance(section, Mapping):
        return section
    secret = _secrets_of(name)
    plain = {key: None if key in secret else value for key, value in section.items()}
    hosts = plain.get("hosts")
    if isinstance(hosts, list):
        plain["hosts"] = [_host_without(host) for host in hosts]
    return plain


def _secrets_of(name: str) -> set[str]:
    if name not in SECTIONS:
        return set()
    # The section of a backend may hold keys of `standalone`.
    return {key.name for key in (*SECTIONS[name].keys, *STANDALONE_SECTION.keys) if key.secret}


def _host_without(host: Any) -> Any:
    if not isinstance(host, Mapping):
        return host
    return {key: value for key, value in host.items() if key not in _HOST_SECRETS}


def with_secrets(config: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration that was written down, with the secrets that ``current`` has in their places."""
    return {name: _with(name, section, current.get(name)) for name, section in config.items()}


def _with(name: str, section: Any, current: Any) -> Any:
    if not (isinstance(section, Mapping) and isinstance(current, Mapping)):
        return section
    found = {key: current[key] for key in _secrets_of(name) if current.get(key) is not None}
    full: dict[str, Any] = {**section, **found}
    hosts, others = full.get("hosts"), current.get("hosts")
    if isinstance(hosts, list) and isinstance(others, list):
        known = {host.get("address"): host for host in others if isinstance(host, Mapping)}
        full["hosts"] = [_host_with(host, known) for host in hosts]
    return full


def _host_with(host: Any, known: Mapping[Any, Mapping[str, Any]]) -> Any:
    if not isinstance(host, Mapping):
        return host
    current = known.get(host.get("address"), {})
    return {**host, **{key: current[key] for key in _HOST_SECRETS if key in current}}
