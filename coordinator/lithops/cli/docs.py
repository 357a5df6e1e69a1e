"""Make `docs/cli.md` from the commands.

`python -m lithops.cli.docs` prints it, `--write PATH` writes it, and `--check PATH` exits with 1 when the
file is not what the commands say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from lithops.cli.main import LazyGroup, cli

_WIDTH = 100
_INTRODUCTION = """\
<!-- Made by `python -m lithops.cli.docs --write docs/cli.md`; changes here are lost. -->

# The command line

`lithops` shows, enters, repairs and ends what runs, from any terminal of the user that started it: what
programs have submitted, and where, is noted down below `~/.lithops`. `python -m lithops` is the same command.

Every command takes `-c FILE` (the configuration to use, instead of looking for one), `-b NAME` and `-s NAME`
(another backend or storage backend than the configured one) and `-d` (show what goes on). Everything that
lists takes `--json`. Tables go to standard output, all else to standard error.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed; the message says why |
| 2 | the command line is wrong, or nobody can be asked and `-y` is missing |
| 3 | there is nothing: no such host or job, or nothing to list |
| 130 | interrupted by Ctrl-C |

Completion of commands, options, hosts and jobs: `eval "$(lithops completion bash)"` in `~/.bashrc`; for zsh
and fish see [`lithops completion`](#lithops-completion).
"""


def reference() -> str:
    """Give the text of `docs/cli.md`."""
    parts = [_INTRODUCTION]
    for path, command in _walk(cli, ("lithops",)):
        parts.append(f"## {' '.join(path)}\n\n```text\n{_help(path, command)}\n```\n")
    return "\n".join(parts)


def _walk(group: LazyGroup, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, LazyGroup):
            yield from _walk(command, (*path, name))
        elif command is not None:
            yield (*path, name), command


def _help(path: tuple[str, ...], command: click.Command) -> str:
    settings = {"help_option_names": ["-h", "--help"]}
    parent = click.Context(cli, info_name=" ".join(path[:-1]), **settings)  # type: ignore[arg-type]
    context = click.Context(command, parent=parent, info_name=path[-1], terminal_width=_WIDTH)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def main(arguments: Sequence[str]) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lithops.cli.docs", description="The reference of the commands."
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
            print(f"{asked.check} is stale: run `make docs`", file=sys.stderr)
            return 1
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
