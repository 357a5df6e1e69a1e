"""`lithops doctor`: what is wrong with the hosts."""

from __future__ import annotations

from dataclasses import dataclass

import click

from lithops.cli.completing import HostName
from lithops.cli.exits import Failure, NothingThere
from lithops.cli.invocation import Invocation, ListCommand
from lithops.cli.output import Column, show_json, show_table, working
from lithops.cli.wording import count
from lithops.errors import HostUnknown
from lithops.inspection.doctor import examine_all
from lithops.inspection.findings import Check, Diagnosis
from lithops.inspection.hosts import configured

_MANY = 5


@click.command("doctor", cls=ListCommand)
@click.argument("hosts", metavar="[HOST]...", nargs=-1, type=HostName())
@click.pass_obj
def doctor(invocation: Invocation, hosts: tuple[str, ...]) -> None:
    """Examine the hosts of the configuration (or only those named): can they be used, and what to do if not?

    Nothing is changed there, and none is waited for longer than 10 seconds. `ok` is good, `note` works and
    could be better, `fail` has to be dealt with. Of the Pythons, the one with a star runs functions. Of more
    than five hosts, only what is not ok is shown. The exit code is 1 when a host can't be used.

    \b
    Examples:
      lithops doctor
      lithops doctor 192.0.2.10 192.0.2.11
      lithops doctor --json
    """
    settings = invocation.settings()
    machines = configured(settings)
    unknown = [name for name in hosts if name not in {machine.name for machine in machines}]
    if unknown:
        raise HostUnknown(f"there is no host {unknown[0]!r} in the configuration")
    chosen = [machine for machine in machines if not hosts or machine.name in hosts]
    if not chosen:
        raise NothingThere("there are no hosts")
    with working(f"examining {count(len(chosen), 'host')}"):
        diagnoses = examine_all(chosen, settings)
    if invocation.json:
        show_json([{"host": each.host, "usable": each.usable, "checks": each.checks} for each in diagnoses])
    else:
        show_table(list(_lines(diagnoses)), _COLUMNS)
    bad = [diagnosis.host for diagnosis in diagnoses if not diagnosis.usable]
    if bad:
        raise Failure(f"{len(bad)} of {count(len(diagnoses), 'host')} can't be used: {', '.join(bad)}")


@dataclass(frozen=True)
class _Line:
    host: str
    check: Check


def _lines(diagnoses: list[Diagnosis]) -> list[_Line]:
    lines = []
    for diagnosis in diagnoses:
        shown = [check for check in diagnosis.checks if len(diagnoses) <= _MANY or check.verdict != "ok"] or [
            Check(name="all", verdict="ok", found=f"{count(len(diagnosis.checks), 'check')}")
        ]
        lines += [_Line("" if place else diagnosis.host, check) for place, check in enumerate(shown)]
    return lines


_STYLES = {"ok": "green", "note": "yellow", "fail": "bold red"}
_COLUMNS: tuple[Column[_Line], ...] = (
    Column("HOST", lambda row: row.host),
    Column("CHECK", lambda row: row.check.name),
    Column("", lambda row: row.check.verdict, style=lambda row: _STYLES[row.check.verdict]),
    Column("FOUND", lambda row: row.check.found),
    Column("WHAT TO DO", lambda row: row.check.advice),
)
