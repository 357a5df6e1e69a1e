"""`lithops debug`: run one call again on a host, and stop in the debugger where it fails."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Optional

import click

from lithops.cli.completing import HostName, JobName
from lithops.cli.exits import Failure, NothingThere
from lithops.cli.finding import current_config, found_job
from lithops.cli.invocation import Command, Invocation
from lithops.cli.output import working
from lithops.cli.shell import enterable, run_held
from lithops.errors import HostUnknown

if TYPE_CHECKING:
    from lithops.backends.machine import Machine
    from lithops.config import Settings
    from lithops.shell.visiting import Visit
    from lithops.state.records import FailureRecord, JobRecord, Records
    from lithops.state.spool import SpooledJob


@click.command("debug", cls=Command)
@click.argument("job", type=JobName())
@click.argument("call", type=click.IntRange(0))
@click.option("--host", type=HostName(), help="Where to run it; otherwise where it failed.")
@click.pass_context
def debug(ctx: click.Context, job: str, call: int, host: Optional[str]) -> None:
    """Run a call of a job again, with the same data, and stop in pdb at the line where it fails.

    It runs on the host where it failed, or on --host, in the environment or container of the job. The data
    of failed calls are kept on this machine for a week. Ctrl-C stops a call that hangs, where it is. The exit
    code is 0 if the call does not fail this time, else 1.

    \b
    Examples:
      lithops debug M000 17
      lithops debug 5f2c9a61b3d0-0-M000 17 --host node2
    """
    invocation = ctx.ensure_object(Invocation)
    from lithops.inspection.hosts import settings_of
    from lithops.shell.terminal import Streams
    from lithops.shell.visiting import kept_job, visit

    with found_job(invocation, job) as (records, record):
        kept = kept_job(record.job_key, record.executor_id)
        if kept is None or call not in kept.payloads:
            raise NothingThere(_why_not(records, record, kept, call))
        settings = settings_of(records, record.executor_id, current_config(invocation))
        failure = next((f for f in records.failures_of(record.job_key) if f.number == call), None)
    if settings is None:
        raise Failure(f"there is no record any more of the program that job {record.job_key} is of")
    machine = _machine(settings, record, failure, host)
    with contextlib.ExitStack() as stack:
        with working(f"connecting to {machine.name}"):
            access = stack.enter_context(contextlib.closing(enterable(machine).enter()))
            found = stack.enter_context(visit(machine, settings, record.job_key, kept))
        command = _prepare(found, kept, call)
        with_terminal = Streams().is_terminal
        line = found.entrance.command(command, with_terminal=with_terminal)
        click.echo(f"Call {call} of job {record.job_key} runs again on {machine.name}.", err=True)
        code = run_held(access, line, with_terminal=with_terminal, greets=False)
    ctx.exit(code)


def _why_not(records: Records, record: JobRecord, kept: Optional[SpooledJob], call: int) -> str:
    key = record.job_key
    if call >= record.total_calls:
        return f"job {key} has no call {call}: it has {record.total_calls}"
    failed = {failure.number for failure in records.failures_of(key)}
    if call in failed:
        return f"the data of call {call} of job {key} are not kept any more"
    names = ", ".join(str(number) for number in sorted(kept.payloads)[:10]) if kept else ""
    return f"call {call} of job {key} has not failed, so its data are not kept; " + (
        f"there are those of {names}" if names else "none of its calls has failed"
    )


def _machine(
    settings: Settings, record: JobRecord, failure: Optional[FailureRecord], host: Optional[str]
) -> Machine:
    """The host to run on. Raises HostUnknown."""
    from lithops.inspection.hosts import configured, machine_named

    if host is not None:
        machine = machine_named(settings, host, record.executor_id)
        if machine is None:
            names = ", ".join(machine.name for machine in configured(settings))
            raise HostUnknown(f"host {host!r} is not one of the job's; there are {names}")
        return machine
    found = machine_named(settings, failure.host, record.executor_id) if failure and failure.host else None
    if found is not None:
        return found
    machines = configured(settings)
    if not machines:
        raise HostUnknown("the host where it failed is gone, and the configuration has no other one")
    return machines[0]


def _prepare(found: Visit, kept: SpooledJob, call: int) -> list[str]:
    """Bring the data of the call, and the sources that this machine has; the command that runs it."""
    from lithops.shell.sources import read_sources, source_files

    sources = read_sources(source_files(kept.job.function.data))
    _warn_of_changes(sources, kept.job.created_at)
    data = found.send(kept.payloads[call])
    texts = found.send(json.dumps(sources).encode())
    return ["python3", "-m", "lithops_agent.postmortem", found.entrance.function, data, texts]


def _warn_of_changes(sources: Mapping[str, str], created_at: float) -> None:
    from lithops.shell.sources import changed_since

    for path in changed_since(sources, created_at):
        click.echo(
            f"{path} was changed since: the code that runs is the old one, and the lines shown may be others",
            err=True,
        )
