"""`lithops completion`: what a shell needs to complete commands, options, hosts and jobs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lithops.cli.invocation import Command

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      eval "$(lithops completion bash)"        in ~/.bashrc
      eval "$(lithops completion zsh)"         in ~/.zshrc
      lithops completion fish > ~/.config/fish/completions/lithops.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"there is no completion for {shell}")
    script = found(ctx.find_root().command, {}, "lithops", "_LITHOPS_COMPLETE")
    # Not source(), which starts a bash to look at its version.
    click.echo(script.source_template % script.source_vars())
