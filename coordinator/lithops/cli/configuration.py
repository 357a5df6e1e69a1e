"""`lithops config`: what is configured, whether it is right, and a file to start from."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from lithops.cli.exits import Failure
from lithops.cli.invocation import ARGUMENTS, Command, Invocation, ListCommand
from lithops.cli.output import Column, show_json, show_table
from lithops.config.origins import DEFAULT, Value, explain
from lithops.config.sources import USER_FILE, find_source


@click.command("show", cls=ListCommand)
@click.option("--set", "only_set", is_flag=True, help="Leave out the values that nobody has set.")
@click.pass_obj
def show(invocation: Invocation, only_set: bool) -> None:
    """Show the whole configuration, and where each value comes from; secrets are hidden.

    \b
    Examples:
      lithops config show
      lithops config show --set
      lithops config show -b vm --json
    """
    source = find_source(invocation.config_file)
    values = explain(source, invocation.overwrite(), ARGUMENTS)
    chosen = [value for value in values if not only_set or value.origin != DEFAULT]
    if invocation.json:
        show_json(chosen)
        return
    click.echo(f"Source: {source.name}", err=True)
    show_table(chosen, _COLUMNS)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


_COLUMNS: tuple[Column[Value], ...] = (
    Column("KEY", lambda row: f"{row.section}.{row.key}"),
    Column("VALUE", lambda row: _value(row.value)),
    Column("FROM", lambda row: row.origin, style=lambda row: "dim" if row.origin == DEFAULT else ""),
)


@click.command("validate", cls=Command)
@click.pass_obj
def validate(invocation: Invocation) -> None:
    """Check the configuration without connecting to anything; all that is wrong is told at once.

    \b
    Examples:
      lithops config validate
      lithops config validate --config cluster.yaml
    """
    source = find_source(invocation.config_file)
    settings = invocation.settings()
    if settings.image is not None:
        from lithops.config.runtime import registry_login

        registry_login(settings.image, settings.standalone)
    click.echo(f"{source.name}: right; functions run on the backend {settings.backend_name}")


@click.command("init", cls=Command)
@click.argument("path", default=USER_FILE)
@click.pass_obj
def init(invocation: Invocation, path: str) -> None:
    """Write a commented configuration to start from, to ~/.lithops/config or PATH (`-` prints it).

    A file that exists is never overwritten. With --backend vm it is one for hosts.

    \b
    Examples:
      lithops config init -b vm
      lithops config init -b vm ./cluster.yaml
      lithops config init -
    """
    from lithops.config.names import LOCALHOST, SUPPORTED_BACKENDS
    from lithops.config.template import template

    backend = invocation.backend or LOCALHOST
    if backend not in SUPPORTED_BACKENDS:
        raise click.UsageError(f"there is no backend {backend!r}; there are {', '.join(SUPPORTED_BACKENDS)}")
    if path == "-":
        click.echo(template(backend), nl=False)
        return
    target = os.path.expanduser(path)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(target)), mode=0o700, exist_ok=True)
        # It may come to hold secrets.
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Failure(f"{target} exists already and is left as it is: name another file") from None
    except OSError as exc:
        raise Failure(f"{target} can't be written: {exc.strerror}") from exc
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(template(backend))
    click.echo(f"{target} is written: edit it, then try `lithops config validate` and `lithops doctor`")
