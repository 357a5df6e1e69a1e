"""What commands print: tables for people and JSON for programs on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Generic, Literal, TypeVar

import click

from lithops.cli.exits import USAGE, Failure, NothingThere
from lithops.cli.invocation import Invocation

Row = TypeVar("Row")

_WIDE = 400
"""Columns of a table that goes to a file or a pipe, where nothing is to be cut off."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of a table."""

    title: str
    text: Callable[[Row], str]
    align: Literal["left", "right"] = "left"
    style: Callable[[Row], str] = lambda row: ""


def show_list(
    invocation: Invocation, rows: Sequence[Row], columns: Sequence[Column[Row]], *, nothing: str
) -> None:
    """Print rows; ``nothing`` is said when there are none. Raises NothingThere."""
    if invocation.json:
        show_json(rows)
    elif rows:
        show_table(rows, columns)
    if not rows:
        raise NothingThere(nothing)


def show_json(what: Any) -> None:
    """Print dataclasses, and lists and dictionaries of such, as JSON."""
    click.echo(json.dumps(_plain(what), indent=2, default=str))


def _plain(what: Any) -> Any:
    if is_dataclass(what) and not isinstance(what, type):
        return asdict(what)
    if isinstance(what, Mapping):
        return {key: _plain(value) for key, value in what.items()}
    if isinstance(what, (list, tuple)):
        return [_plain(item) for item in what]
    return what


def show_table(rows: Sequence[Row], columns: Sequence[Column[Row]]) -> None:
    """Print a table; one that goes to a file is not cut to the width of a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify=column.align, overflow="fold")
    for row in rows:
        table.add_row(*(Text(column.text(row), style=column.style(row)) for column in columns))
    width = None if sys.stdout.isatty() else _WIDE
    console = Console(file=sys.stdout, width=width, soft_wrap=width is not None)
    console.print(table)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that something goes on."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def confirm(plan: Sequence[str], question: str, *, yes: bool) -> None:
    """Show what is about to be done and ask for it; ``yes``: it was said on the command line.

    Raises:
        Failure: the answer is no, or nobody can be asked.
    """
    for line in plan:
        click.echo(line, err=True)
    if yes:
        return
    if not can_be_asked():
        raise Failure("nobody can be asked here, so nothing was done: say -y to do it", USAGE)
    if not click.confirm(question, err=True):
        raise Failure("nothing was done")


def can_be_asked() -> bool:
    """Whether somebody is there who can answer."""
    return sys.stdin.isatty()
