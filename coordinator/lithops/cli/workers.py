"""`lithops worker`: the hosts, and what they do."""

from __future__ import annotations

from typing import Optional

import click

from lithops.cli.invocation import Invocation, ListCommand
from lithops.cli.output import Column, show_list, working
from lithops.cli.wording import UNKNOWN, count, seconds, share, size
from lithops.inspection.hosts import known_hosts
from lithops.inspection.workers import Worker, workers_of


@click.command("list", cls=ListCommand)
@click.pass_obj
def list_workers(invocation: Invocation) -> None:
    """List the hosts: of the configuration, and others that programs of yours have in use.

    CPU and memory are those of the host. ENDS IN is the time to dismantle if nothing else happens, and WHY
    what it counts from. No host is waited for longer than 10 seconds.

    \b
    Examples:
      lithops worker list
      lithops worker list --json
    """
    with invocation.records() as records:
        hosts = known_hosts(invocation.settings(), records)
        with working(f"asking {count(len(hosts), 'host')}"):
            workers = workers_of(hosts)
    show_list(invocation, workers, _COLUMNS, nothing="there are no hosts")
    for worker in workers:
        if worker.error and not invocation.json:
            click.echo(f"{worker.host}: {worker.error}", err=True)


def _busy(worker: Worker) -> str:
    if worker.processes is None:
        return UNKNOWN
    waiting = f" +{worker.waiting} waiting" if worker.waiting else ""
    return f"{worker.busy}/{worker.processes}{waiting}"


def _memory(worker: Worker) -> str:
    return UNKNOWN if worker.memory is None else f"{size(worker.memory_used)} of {size(worker.memory)}"


def _ends_in(worker: Worker) -> str:
    if worker.processes is None:
        return UNKNOWN
    return "never" if worker.ends_in is None else seconds(worker.ends_in)


def _cost(cost: Optional[float], currency: str) -> str:
    return UNKNOWN if cost is None else f"{cost:.2f} {currency}".rstrip()


_STYLES = {"busy": "green", "ending": "yellow", "unreachable": "red", "no agent": "dim"}
_COLUMNS: tuple[Column[Worker], ...] = (
    Column("HOST", lambda row: row.host),
    Column("BACKEND", lambda row: row.backend),
    Column("STATE", lambda row: row.state, style=lambda row: _STYLES.get(row.state, "")),
    Column("INSTANCE", lambda row: row.instance or UNKNOWN),
    Column("RUNTIME", lambda row: ", ".join(row.runtimes) or UNKNOWN),
    Column("BUSY", _busy, "right"),
    Column("CPU", lambda row: share(row.cpu), "right"),
    Column("MEMORY", _memory, "right"),
    Column("JOB", lambda row: ", ".join(row.jobs) or UNKNOWN),
    Column("ENDS IN", _ends_in, "right"),
    Column("WHY", lambda row: row.ends_why or UNKNOWN),
    Column("COST", lambda row: _cost(row.cost, row.currency), "right"),
)
