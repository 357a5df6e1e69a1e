"""`lithops hello` and `lithops test`: does the configured backend run functions?"""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from lithops.cli import trial
from lithops.cli.exits import Failure
from lithops.cli.invocation import Command, Invocation, ListCommand
from lithops.cli.output import Column, show_json, show_table, working
from lithops.cli.trial import TRIALS, Trial
from lithops.cli.wording import count

if TYPE_CHECKING:
    from lithops.executors import FunctionExecutor


@click.command("hello", cls=Command)
@click.pass_obj
def hello(invocation: Invocation) -> None:
    """Run one function on the configured backend, and print what it returns.

    \b
    Examples:
      lithops hello
      lithops hello -b vm
    """
    with _executor(invocation) as fexec, working(f"calling a function on {fexec.backend}"):
        greeting = fexec.call_async(trial.hello, getpass.getuser()).result()
    click.echo(greeting)


@dataclass(frozen=True)
class _Result:
    """How a check ended. ``error`` is empty when it was as it should be; ``took`` is in seconds."""

    name: str
    ok: bool
    took: float
    error: str


@click.command("test", cls=ListCommand)
@click.option("-t", "--only", metavar="NAME", multiple=True, help="Only this check; may be given again.")
@click.option("-l", "--list", "only_list", is_flag=True, help="List the checks, and run none.")
@click.pass_obj
def test(invocation: Invocation, only: tuple[str, ...], only_list: bool) -> None:
    """Run a checklist of functions on the configured backend: calls, data, failures, time-outs.

    The exit code is 1 when one of them does not do as it should.

    \b
    Examples:
      lithops test
      lithops test -t map -t exception
      lithops test -b localhost --json
    """
    names = [each.name for each in TRIALS]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise click.UsageError(f"there is no check {unknown[0]!r}; there are {', '.join(names)}")
    chosen = [each for each in TRIALS if not only or each.name in only]
    if only_list:
        _list(invocation, chosen)
        return
    results = []
    with _executor(invocation) as fexec:
        for each in chosen:
            with working(f"{each.name}: {each.shows}"):
                results.append(_run(each, fexec))
            if not invocation.json:
                _print(results[-1])
    if invocation.json:
        show_json(results)
    failed = [result.name for result in results if not result.ok]
    if failed:
        raise Failure(f"{len(failed)} of {count(len(results), 'check')} failed: {', '.join(failed)}")


def _run(each: Trial, fexec: FunctionExecutor) -> _Result:
    began = time.monotonic()
    error = ""
    try:
        each.run(fexec)
    except Exception as exc:  # noqa: BLE001 - whatever goes wrong is what a check is there to tell
        error = f"{type(exc).__name__}: {exc}"
    return _Result(name=each.name, ok=not error, took=time.monotonic() - began, error=error)


def _print(result: _Result) -> None:
    verdict = click.style("ok  ", fg="green") if result.ok else click.style("FAIL", fg="red", bold=True)
    click.echo(f"{verdict} {result.name:<12} {result.took:6.2f} s  {result.error}".rstrip())


def _list(invocation: Invocation, chosen: list[Trial]) -> None:
    if invocation.json:
        show_json([{"name": each.name, "shows": each.shows} for each in chosen])
        return
    columns: tuple[Column[Trial], ...] = (
        Column("CHECK", lambda row: row.name),
        Column("SHOWS", lambda row: row.shows),
    )
    show_table(chosen, columns)


@contextmanager
def _executor(invocation: Invocation) -> Iterator[FunctionExecutor]:
    """An executor of the configuration; Ctrl-C ends its calls."""
    from lithops.executors import FunctionExecutor

    # Messages are set up already, for people at a terminal.
    with FunctionExecutor(config=dict(invocation.settings().config)) as fexec:
        yield fexec
