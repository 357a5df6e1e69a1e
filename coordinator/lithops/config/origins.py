"""Where each value of a configuration comes from, for people who ask."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lithops.config.expand import ARGUMENTS, Report, expand, read_sections, route
from lithops.config.host import HOST
from lithops.config.ibm import IBM, KEY_VARIABLES
from lithops.config.names import STANDALONE
from lithops.config.runtime import PASSWORD_VARIABLE
from lithops.config.schema import LITHOPS, SECTIONS
from lithops.config.sources import Source

DEFAULT = "default"
DECIDED = "follows from the others"
HIDDEN = "********"


@dataclass(frozen=True, kw_only=True)
class Value:
    """The value of one key; a secret that is set is hidden. ``origin``: a file, a variable, `DEFAULT` …"""

    section: str
    key: str
    value: Any
    origin: str


_VARIABLES: Mapping[tuple[str, str], tuple[str, ...]] = {
    (IBM.name, "iam_api_key"): KEY_VARIABLES,
    (STANDALONE, "docker_password"): (PASSWORD_VARIABLE,),
}
"""Secrets that are looked for in the environment when no key of the configuration has them."""


def explain(
    source: Source,
    overwrite: Mapping[str, Any],
    told_as: str = ARGUMENTS,
    environ: Mapping[str, str] = os.environ,
) -> list[Value]:
    """The whole configuration, in the order of the schema. Raises ConfigError, as `expand` does."""
    full = expand(source, overwrite, told_as)
    report = Report()  # Everything that could be wrong was told a moment ago.
    written = read_sections(source.data, source.name, report)
    sections = {name: body for name, body in overwrite.items() if name != "backend"}
    given = read_sections(sections, told_as, report)
    backend = full[LITHOPS.name]["backend"]
    for name, body in read_sections(route(overwrite.get("backend") or {}, backend), told_as, report).items():
        given.setdefault(name, {}).update(body)

    def has(layer: Mapping[str, Mapping[str, Any]], section: str, key: str) -> bool:
        # The section of a backend may hold what belongs to `standalone`.
        return key in layer.get(section, {}) or (section == STANDALONE and key in layer.get(backend, {}))

    def origin(section: str, key: str) -> str:
        if has(given, section, key):
            return told_as
        if has(written, section, key):
            return source.name
        decided = (section, key) in ((LITHOPS.name, "mode"), (LITHOPS.name, "backend"))
        return DECIDED if decided and (written or any(given.values())) else DEFAULT

    def explained(section: str, key: str) -> Value:
        value = _shown(section, key, full[section][key])
        names = (name for name in _VARIABLES.get((section, key), ()) if environ.get(name))
        if value is None and (variable := next(names, None)) is not None:
            return Value(section=section, key=key, value=HIDDEN, origin=variable)
        return Value(section=section, key=key, value=value, origin=origin(section, key))

    shown = [name for name in SECTIONS if name in full]
    return [explained(name, key) for name in shown for key in full[name]]


def _shown(section: str, key: str, value: Any) -> Any:
    described = SECTIONS[section].find(key)
    if described is not None and described.secret:
        return None if value is None else HIDDEN
    if key == "hosts" and isinstance(value, list):
        return [_shown_host(host) for host in value]
    return value


def _shown_host(host: Any) -> Any:
    if not isinstance(host, Mapping):
        return host
    secret = {key.name for key in HOST.keys if key.secret}
    return {key: HIDDEN if key in secret and value is not None else value for key, value in host.items()}
