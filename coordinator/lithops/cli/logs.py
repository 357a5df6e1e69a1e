"""`lithops logs` and `lithops job logs`: what agents and calls print."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

import click

from lithops.cli.completing import HostName, JobName
from lithops.cli.exits import Failure, NothingThere
from lithops.cli.finding import found_host, found_job, machines_for
from lithops.cli.invocation import Command, Invocation
from lithops.cli.output import Column, show_table, working
from lithops.cli.shell import enterable
from lithops.cli.wording import count, size

if TYPE_CHECKING:
    from lithops.backends.machine import Machine
    from lithops.inspection.printed import Listening
    from lithops.shell.access import Access
    from lithops.state.records import JobRecord, Records

_LINES = 200


@click.command("logs", cls=Command)
@click.argument("host", type=HostName())
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), default=_LINES, show_default=True, help="How many.")
@click.pass_context
def logs(ctx: click.Context, host: str, follow: bool, lines: int) -> None:
    """Show what the agent of a host holds, by job, and the end of its log.

    What functions print is shown by `lithops job logs`.

    \b
    Examples:
      lithops logs node1
      lithops logs node1 -f
    """
    from lithops.shell.terminal import Streams

    invocation = ctx.ensure_object(Invocation)
    machine = enterable(found_host(invocation, host).machine)
    with working(f"connecting to {host}"):
        access = machine.enter()
    with contextlib.closing(access):
        held = _contents(access)
        if held:
            show_table(held, _JOB_COLUMNS)
            click.echo()
        elif held is not None:
            click.echo("It holds no job.\n")
        sys.stdout.flush()
        code = access.run(log_command(lines, follow=follow), with_terminal=False, streams=Streams())
    if code == _NO_LOG:
        raise NothingThere(f"no agent runs on {host}, and none has left a log there")
    ctx.exit(0 if follow else code)


_NO_LOG = 77


def log_command(lines: int, *, follow: bool) -> str:
    """The shell command that shows the logs of the agent, and of what starts its workers."""
    from lithops.bootstrap.probe import AGENT_DIR

    shown = f"tail -n {lines}{' -F' if follow else ''}"
    names = " ".join(shlex.quote(name) for name in ("agent.log", "zygote.log"))
    # A log that is not there yet is one that nothing was written to.
    return (
        f"cd {shlex.quote(AGENT_DIR)} 2> /dev/null && [ -f agent.log ] || exit {_NO_LOG}; "
        f"[ -f zygote.log ] && exec {shown} {names}; exec {shown} agent.log"
    )


def _contents(access: Access) -> Optional[Sequence[Mapping[str, Any]]]:
    """The jobs that the agent holds; None: no agent runs."""
    from lithops.dispatch.client import AgentClient

    link = access.agent()
    if link is None:
        return None
    client = AgentClient(link.opener, link.token, link.host)
    try:
        jobs: list[Mapping[str, Any]] = client.contents()["jobs"]
        return jobs
    finally:
        client.close()


_JOB_COLUMNS: tuple[Column[Mapping[str, Any]], ...] = (
    Column("JOB", lambda row: row["job"]),
    Column("FUNCTION", lambda row: row["function_name"] or "-"),
    Column("WAITING", lambda row: str(row["waiting"]), "right"),
    Column("RUNNING", lambda row: str(row["running"]), "right"),
    Column("RESULTS", lambda row: str(row["ended"]), "right"),
    Column("SIZE", lambda row: size(row["bytes"]), "right"),
)


@click.command("logs", cls=Command)
@click.argument("job", type=JobName(), required=False)
@click.option("--call", "number", type=click.IntRange(0), metavar="N", help="Only this call.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.pass_obj
def job_logs(invocation: Invocation, job: Optional[str], number: Optional[int], follow: bool) -> None:
    """Show what the functions of a job (without JOB: the newest) print, also when its program is gone.

    Of each call the last megabyte is kept, here for a week after the call has ended, and on its host until
    then. Lines come with the number of their call in front, except with --call.

    \b
    Examples:
      lithops job logs M000 --call 17
      lithops job logs -f
    """
    from lithops.inspection.printed import Listening
    from lithops.printing import Lines

    def write(lines: list[str]) -> None:
        click.echo("\n".join(lines))

    prefix = (lambda job, number: f"[{number:05d}] ") if number is None else (lambda job, number: "")
    with found_job(invocation, job) as (records, record):
        if number is not None and number >= record.total_calls:
            raise NothingThere(f"job {record.job_key} has no call {number}: it has {record.total_calls}")
        listening = Listening(record.job_key, number, Lines(prefix), write)
        listening.read_kept()
        failures: list[str] = []
        if _is_with_hosts(records, record):
            machines = machines_for(invocation, records, record)
            failures = _listen(records, record, machines, listening, follow)
        listening.read_kept()
        listening.end()
    if failures:
        raise Failure(f"not all was heard: {'; '.join(failures)}")
    if not listening.heard:
        what = f"job {record.job_key}" if number is None else f"call {number} of job {record.job_key}"
        raise NothingThere(f"{what} has printed nothing that is kept")


def _is_with_hosts(records: Records, record: JobRecord) -> bool:
    """Whether hosts may know more of a job than this machine."""
    found = records.job(record.job_key)
    return found is not None and found.ended_at is None


def _listen(
    records: Records, record: JobRecord, machines: Sequence[Machine], listening: Listening, follow: bool
) -> list[str]:
    from lithops.errors import HostError
    from lithops.inspection.parallel import ask_all
    from lithops.inspection.printed import follow_all

    if follow:
        return [str(error) for error in follow_all(machines, listening, lambda: _is_over(records, record))]
    with working(f"asking {count(len(machines), 'host')}"):
        answers = ask_all(machines, listening.ask)
    return [str(answer) for answer in answers if isinstance(answer, HostError)]


def _is_over(records: Records, record: JobRecord) -> bool:
    """Whether no call of the job will be handed to a host any more."""
    from lithops.inspection.jobs import list_jobs

    return not any(view.job == record.job_key and view.state == "running" for view in list_jobs(records))
