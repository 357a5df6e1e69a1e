"""The root of the command `lithops`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Optional

import click

from lithops.cli.commands import ROOT, Entry
from lithops.cli.invocation import global_options
from lithops.version import __version__

_HELP = """Run Python functions in parallel on your own machines, and see what runs where.

\b
Examples:
  lithops hello                        is everything set up?
  lithops doctor                       what is wrong with my hosts?
  lithops worker list                  what runs where?
  lithops job list                     what became of my jobs?
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when they are listed."""

    def __init__(self, entries: Sequence[Entry], **settings: Any) -> None:
        super().__init__(**settings)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return [entry.name for entry in self.entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """The command of this name, imported now."""
        entry = next((entry for entry in self.entries if entry.name == cmd_name), None)
        if entry is None:
            return None
        if entry.entries:
            return LazyGroup(
                entry.entries, name=entry.name, help=entry.summary, params=list(global_options())
            )
        module, _, attribute = entry.place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[Optional[str], Optional[click.Command], list[str]]:
        """As click does, with a name that is close to a wrong one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            from lithops.config.kinds import did_you_mean

            hint = did_you_mean(args[0], tuple(self.list_commands(ctx)))
            exc.message = exc.message.rstrip(".") + hint
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in a help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.summary) for entry in self.entries])


cli = LazyGroup(
    ROOT,
    name="lithops",
    help=_HELP,
    params=[
        *global_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=lambda ctx, _, wanted: _say_version(ctx) if wanted else None,
            help="Show the version and exit.",
        ),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(ctx: click.Context) -> None:
    click.echo(f"lithops-standalone {__version__}")
    ctx.exit()


def main() -> None:
    """Entry point of the console script."""
    cli.main(prog_name="lithops")
