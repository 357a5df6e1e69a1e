"""Make `docs/configuration.md` from the schema.

`python -m lithops.config` prints it, `--write PATH` writes it, and `--check PATH` exits with 1 when the file
is not what the schema says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lithops.config.host import HOST
from lithops.config.keys import Key, Section
from lithops.config.names import RESERVED_SECTIONS
from lithops.config.schema import SECTIONS
from lithops.config.sources import ENV_FILE, ENV_JSON, LOCAL_FILE, SYSTEM_FILE, USER_FILE

_INTRODUCTION = f"""\
<!-- Made by `python -m lithops.config --write docs/configuration.md`; changes here are lost. -->

# Configuration

Nothing has to be configured: functions then run on this machine. Otherwise the first of these is taken, and
the others are not looked at:

1. the argument `config=` of an executor (`config_data=` of `default_config`), a dictionary that is not empty
2. the argument `config_file=`
3. the environment variable `{ENV_JSON}`, as JSON
4. the environment variable `{ENV_FILE}`, the path of a file
5. `{LOCAL_FILE}` in the current folder
6. `{USER_FILE}`
7. `{SYSTEM_FILE}`

Files are YAML. Other arguments of an executor win over it, key by key: `mode=`, `backend=`, `storage=`, and
any key of the backend's section or of `standalone`, such as `runtime=` or `worker_processes=`. An executor
that is given a backend, or a mode, does not need the one in the file to agree.

Everything that is wrong is told at once, before any connection, with the file and the path of the key. Where
a key has no value (`ssh_port:`), its default counts. Paths may begin with `~`; others are relative to the
current folder.

One host, with the key and the port that `~/.ssh/config` has for it:

```yaml
lithops:
  backend: vm

vm:
  ip_address: 192.0.2.10
  ssh_username: debian
```

Several hosts, chosen by the mode:

```yaml
lithops:
  mode: standalone
  execution_timeout: 600

standalone:
  backend: vm
  soft_dismantle_timeout: 120

vm:
  ssh_username: debian
  ssh_key_filename: ~/.ssh/id_ed25519
  hosts:
    - 192.0.2.10
    - admin@192.0.2.11:2222
    - {{address: 10.0.0.5, jump: admin@192.0.2.11, processes: 8}}
```

The same hosts as an Ansible inventory: `hosts: ~/cluster/inventory.ini`. Read are the INI and the YAML form
with groups, ranges (`web[01:16]`) and the variables `ansible_host`, `ansible_user`, `ansible_port`,
`ansible_ssh_private_key_file`, `ansible_password`, the jump host of `ansible_ssh_common_args`, and
`lithops_processes`. All hosts of the file are used.
"""


def reference() -> str:
    """Give the text of `docs/configuration.md`."""
    parts = [_INTRODUCTION]
    for section in SECTIONS.values():
        parts += [f"## `{section.name}`\n\n{section.doc}\n", _table(section)]
        if section.name == "vm":
            parts += [f"### Entries of `vm.hosts`\n\n{HOST.doc}\n", _table(HOST)]
    names = ", ".join(f"`{name}`" for name in RESERVED_SECTIONS)
    keys = ", ".join(f"`{s.name}.{key}`" for s in SECTIONS.values() for key in s.reserved)
    parts.append(
        '## Reserved\n\nKnown from Lithops and refused with "not supported yet", until there is something '
        f"behind them, are the sections {names}, the backends of these names, and the keys {keys}.\n"
    )
    return "\n".join(parts)


def _table(section: Section) -> str:
    rows = ["| key | type | default | what it does |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {_names(key)} | {key.kind.name} | {default_of(key)} | {_what(key)} |" for key in section.keys
    ]
    return "\n".join(rows) + "\n"


def _names(key: Key) -> str:
    return " or ".join(f"`{name}`" for name in (key.name, *key.aliases))


def default_of(key: Key) -> str:
    if key.mandatory:
        return "mandatory"
    if key.default_doc or key.default is None:
        return key.default_doc
    if isinstance(key.default, bool):
        return f"`{str(key.default).lower()}`"
    return f"`{key.fresh_default()}`"


def _what(key: Key) -> str:
    unit = f" In {key.unit}." if key.unit else ""
    secret = " Secret: never shown in messages." if key.secret else ""
    return f"{key.doc}{unit}{secret}"


def main(arguments: Sequence[str]) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lithops.config", description="The reference of the configuration."
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", type=Path, metavar="PATH", help="write it to a file")
    action.add_argument("--check", type=Path, metavar="PATH", help="exit with 1 when the file is stale")
    asked = parser.parse_args(arguments)
    text = reference()
    if asked.write:
        asked.write.write_text(text, encoding="utf-8")
    elif asked.check:
        if not asked.check.is_file() or asked.check.read_text(encoding="utf-8") != text:
            print(
                f"{asked.check} is stale: run `python -m lithops.config --write {asked.check}`",
                file=sys.stderr,
            )
            return 1
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
