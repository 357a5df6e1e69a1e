"""A configuration to start from: every key with what it does, and only what is needed switched on."""

from __future__ import annotations

import textwrap

from lithops.config.docs import default_of
from lithops.config.keys import Key, Section
from lithops.config.names import IBM_VPC, LOCALHOST, STANDALONE
from lithops.config.schema import LITHOPS, SECTIONS

_WIDTH = 100
_EXAMPLES = {
    IBM_VPC: "iam_api_key_file: ~/.lithops/ibm-api-key   # of mode 0600; or set IBMCLOUD_API_KEY\n"
    "region: eu-de\n"
    "instance_id: your own   # in the modes create and reuse: resource_group_id\n",
    "vm": "hosts:\n  - 192.0.2.10         # your own: address, user@address or user@address:port\n",
}


def template(backend: str) -> str:
    """The text of a configuration file for a backend."""
    chosen = f"backend: {backend}\n"
    parts = [
        "# Configuration of lithops. Lines that begin with # are explanations, or keys with their defaults:\n"
        "# remove the # and change the value. `lithops config validate` checks the file.\n",
        _section(LITHOPS, live=chosen, leave_out=("backend", "mode")),
    ]
    if backend != LOCALHOST:
        parts.append(_section(SECTIONS[STANDALONE], leave_out=("backend",)))
    example = _EXAMPLES.get(backend, "")
    parts.append(_section(SECTIONS[backend], live=example, leave_out=tuple(_keys(example))))
    return "\n".join(parts)


def _keys(example: str) -> list[str]:
    return [line.partition(":")[0] for line in example.splitlines() if not line.startswith(" ")]


def _section(section: Section, *, live: str = "", leave_out: tuple[str, ...] = ()) -> str:
    lines = [*_comment(section.doc), f"{section.name}:"]
    lines += [f"  {line}" for line in live.splitlines()]
    for key in section.keys:
        if key.name not in leave_out:
            lines += ["", *(f"  {line}" for line in _explained(key))]
    return "\n".join(lines) + "\n"


def _explained(key: Key) -> list[str]:
    unit = f" In {key.unit}." if key.unit else ""
    default = default_of(key)
    told = f" Default: {default}." if key.default_doc else ""
    return [*_comment(f"{key.doc}{unit}{told}"), f"# {key.name}: {_value(key)}".rstrip()]


def _value(key: Key) -> str:
    if key.default is None or key.default_doc:
        return ""
    if isinstance(key.default, bool):
        return str(key.default).lower()
    if isinstance(key.default, str):
        return f'"{key.default}"' if not key.default.isalnum() else key.default
    return str(key.fresh_default())


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")
