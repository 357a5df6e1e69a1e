"""`lithops dismantle` and `lithops clean`: end hosts, and remove what is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional, Union

import click

from lithops import cleaning
from lithops.backends.leftovers import Leftover
from lithops.cli.completing import HostName
from lithops.cli.exits import Failure
from lithops.cli.invocation import Command, Invocation
from lithops.cli.output import Column, confirm, show_table, working
from lithops.cli.wording import count
from lithops.errors import HostError, LithopsError
from lithops.inspection.hosts import KnownHost, find_hosts, known_hosts
from lithops.inspection.parallel import ask_all
from lithops.inspection.workers import CLOUDS, Worker, workers_of
from lithops.state.records import Records

_END_TIMEOUT = 240.0
"""Seconds in which a host confirms its end, or is given up; an instance of a cloud may take minutes."""

_yes = click.option("-y", "--yes", is_flag=True, help="Do it without asking.")


@click.command("dismantle", cls=Command)
@click.argument("hosts", metavar="[HOST]...", nargs=-1, type=HostName())
@click.option("-a", "--all", "everything", is_flag=True, help="All hosts that `lithops worker list` shows.")
@_yes
@click.pass_obj
def dismantle(invocation: Invocation, hosts: tuple[str, ...], everything: bool, yes: bool) -> None:
    """End the agents of hosts now, and the machines where the configuration says so.

    Calls that have not ended there are cancelled, and results that nobody has collected are lost. It shows
    first what it will do, and asks.

    \b
    Examples:
      lithops dismantle 192.0.2.10
      lithops dismantle --all -y
    """
    if bool(hosts) is everything:
        raise click.UsageError("say which hosts to end, or --all")
    with invocation.records() as records:
        known = known_hosts(invocation.settings(), records)
        chosen = known if everything else find_hosts(known, hosts)
        with working(f"asking {count(len(chosen), 'host')}"):
            workers = workers_of(chosen)
        there, failures = [], []
        for host, worker in zip(chosen, workers):
            # A cloud ends machines that nobody can reach.
            if host.backend in CLOUDS or worker.state not in ("no agent", "unreachable"):
                there.append((host, worker))
            elif worker.error:
                failures.append(f"host {worker.host}: {worker.error}")
            else:
                click.echo(f"{worker.host}: no agent runs there", err=True)
        if there:
            plan = [_plan(host, worker) for host, worker in there]
            confirm(plan, f"End {count(len(there), 'host')}?", yes=yes)
            failures += _end([host for host, _ in there], records)
    if failures:
        raise Failure("not ended: " + "; ".join(failures))


def _end(hosts: Sequence[KnownHost], records: Optional[Records]) -> list[str]:
    """End hosts; what went wrong."""
    with working(f"ending {count(len(hosts), 'host')}"):
        answers = ask_all(hosts, lambda host: cleaning.end(host.machine), _END_TIMEOUT)
    ended = [host for host, answer in zip(hosts, answers) if not isinstance(answer, HostError)]
    failures = [str(answer) for answer in answers if isinstance(answer, HostError)]
    for host in ended:
        click.echo(f"{host.name}: ended")
        if records is not None:
            records.host_ended(host.backend, host.name, time.time())
    if records is not None:
        failures += cleaning.end_shared(ended, records)
    return failures


_HOW = {
    "keep": "its agent ends; its bundle and its environments stay there",
    "remove": "its agent ends, and its files are removed",
    "poweroff": "the machine is switched off",
    "stop": "the instance is stopped",
    "delete": "the instance is deleted",
}


def _plan(host: KnownHost, worker: Worker) -> str:
    how = host.settings.ending_from_here
    calls = (worker.busy or 0) + (worker.waiting or 0)
    work = f"; {count(calls, 'call')} of {', '.join(worker.jobs)} are cancelled" if calls else ""
    return f"{host.name}: {_HOW.get(how, how)}{work}"


@click.command("clean", cls=Command)
@click.option("-a", "--all", "everything", is_flag=True, help="Also what jobs still need, and caches here.")
@_yes
@click.pass_obj
def clean(invocation: Invocation, everything: bool, yes: bool) -> None:
    """Remove what is left: agents, bundles and environments on hosts, data of jobs, resources of a cloud.

    Left alone is what a job still needs: hosts on which calls run or wait, which a program uses, or which
    have results that nobody has collected. With --all these go, too, and the caches on this machine; calls
    are cancelled. It shows first what it will do, and asks.

    \b
    Examples:
      lithops clean
      lithops clean --all -y
    """
    with invocation.records() as records:
        settings = invocation.settings()
        with working("looking for what is left"):
            found = cleaning.find(settings, records, time.time(), everything=everything)
        for stay in found.stays:
            click.echo(f"{stay.name} stays: {stay.why}", err=True)
        if found.leftovers:
            show_table(found.leftovers, _COLUMNS)
            confirm([], f"Remove {_these(len(found.leftovers))}?", yes=yes)
            _remove(found.leftovers)
        elif not found.stays and not found.errors:
            click.echo("nothing is left")
    if found.errors:
        raise Failure("not looked at: " + "; ".join(map(str, found.errors)))


def _these(number: int) -> str:
    return "it" if number == 1 else f"these {number}"


@dataclass(frozen=True)
class _Removal:
    """A leftover by the name that errors call it."""

    name: str
    leftover: Leftover


def _remove(leftovers: Sequence[Leftover]) -> None:
    answers: list[Union[HostError, None]] = []
    with working(f"removing {count(len(leftovers), 'thing')}"):
        for together in rounds_of(leftovers):
            removals = [_Removal(f"{each.kind} {each.name}", each) for each in together]
            answers += ask_all(removals, _remove_one, _END_TIMEOUT)
    failures = [answer for answer in answers if answer is not None]
    if len(answers) > len(failures):
        click.echo(f"{len(answers) - len(failures)} removed")
    if failures:
        raise Failure("not removed: " + "; ".join(map(str, failures)))


def rounds_of(leftovers: Sequence[Leftover]) -> list[list[Leftover]]:
    """What is removed at the same time, one round after the other.

    Hosts go together. In a cloud, things of a kind do, in the order in which their kinds were found; caches
    go at last, for hosts may be ended with what is in them.
    """
    ranks: dict[str, int] = {}
    for each in leftovers:
        ranks.setdefault(_round_of(each), len(ranks))
    rounds: list[list[Leftover]] = [[] for _ in ranks]
    for each in leftovers:
        rounds[ranks[_round_of(each)]].append(each)
    return rounds


def _round_of(leftover: Leftover) -> str:
    return "here" if leftover.kind in ("agent", "files", "record", "data") else leftover.kind


def _remove_one(removal: _Removal) -> None:
    try:
        removal.leftover.remove()
    except HostError:
        raise
    except (LithopsError, OSError) as exc:
        raise HostError(f"{removal.name} can't be removed: {exc}") from exc


_COLUMNS: tuple[Column[Leftover], ...] = (
    Column("WHAT", lambda row: row.kind),
    Column("NAME", lambda row: row.name),
    Column("WHERE", lambda row: row.where),
    Column("WHY", lambda row: row.why),
)
