"""`lithops job`: what became of the jobs that programs on this machine submitted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

import click

from lithops.cli.completing import JobName
from lithops.cli.exits import INTERRUPTED, Failure, NothingThere
from lithops.cli.finding import current_config, found_job, machines_for, where
from lithops.cli.invocation import Command, Invocation, ListCommand
from lithops.cli.output import Column, show_json, show_list, show_table, working
from lithops.cli.wording import UNKNOWN, count, seconds
from lithops.errors import CallCancelled, JobUnknown
from lithops.inspection import jobs
from lithops.inspection.hosts import settings_of
from lithops.inspection.jobs import JobDetail, JobView, Share
from lithops.inspection.sweep import sweep
from lithops.state.records import FailureRecord, JobRecord, Records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lithops.backends.machine import Machine

_STYLES = {"running": "green", "failed": "red", "script gone": "yellow"}
_LISTED = 20
_CANCELLED = CallCancelled.__name__
_FAILURES_SHOWN = 20


@click.command("list", cls=ListCommand)
@click.option("-n", "--last", type=click.IntRange(1), default=_LISTED, show_default=True, help="How many.")
@click.option("--running", is_flag=True, help="Only jobs with calls that have not ended.")
@click.pass_obj
def list_of_jobs(invocation: Invocation, last: int, running: bool) -> None:
    """List the jobs that programs on this machine submitted, the newest first; no host is asked.

    STATE is `script gone` for a job whose program ended before it: it goes on, and `lithops job attach`
    collects it.

    \b
    Examples:
      lithops job list
      lithops job list --running --json
    """
    with invocation.records() as records:
        views = jobs.list_jobs(records) if records else []
    chosen = [view for view in views if not running or view.state in ("running", "script gone")]
    what = "no job has calls that have not ended" if running and views else "there are no jobs"
    columns = _job_columns(time.time())
    show_list(invocation, chosen[:last], columns, nothing=f"{what} in {where()}")


def _job_columns(now: float) -> tuple[Column[JobView], ...]:
    return (
        Column("JOB", lambda row: row.job),
        Column("FUNCTION", lambda row: row.function),
        Column("STATE", lambda row: row.state, style=lambda row: _STYLES.get(row.state, "")),
        Column("DONE", lambda row: f"{row.done}/{row.calls}", "right"),
        Column("FAILED", lambda row: str(row.failed or UNKNOWN), "right"),
        Column("BACKEND", lambda row: row.backend or UNKNOWN),
        Column("STARTED", lambda row: f"{seconds(now - row.created_at)} ago", "right"),
        Column("TOOK", lambda row: seconds(_took(row)), "right"),
    )


def _took(view: JobView) -> Optional[float]:
    return None if view.ended_at is None else view.ended_at - view.created_at


@click.command("show", cls=ListCommand)
@click.argument("job", type=JobName(), required=False)
@click.option("--all", "everything", is_flag=True, help=f"Show more than {_FAILURES_SHOWN} failed calls.")
@click.pass_obj
def show(invocation: Invocation, job: Optional[str], everything: bool) -> None:
    """Show a job (without JOB: the newest): how far it is, on which hosts, and which calls failed with what.

    JOB is the key of a future (`future.job_key`), or M000 and the like for the newest that is called so.
    Hosts are asked as long as the job has not ended, none of them longer than 10 seconds.

    \b
    Examples:
      lithops job show
      lithops job show 5f2c9a61b3d0-0-M000
      lithops job show M000 --json
    """
    with found_job(invocation, job) as (records, record):
        detail = _detail(invocation, records, record)
    if invocation.json:
        show_json(detail)
        return
    _print_job(detail, everything)


def _detail(invocation: Invocation, records: Records, record: JobRecord) -> JobDetail:
    hosts: list[Share] = []
    view = _view(records, record.job_key)
    if view.state in ("running", "script gone"):
        machines = machines_for(invocation, records, record)
        with working(f"asking {count(len(machines), 'host')}"):
            hosts = jobs.shares(machines, record.job_key)
            if view.state == "script gone":
                sweep(records, record, _answering(machines, hosts), time.time())
        view = _view(records, record.job_key)
    return JobDetail(job=view, hosts=hosts, failures=records.failures_of(record.job_key))


def _view(records: Records, job_key: str) -> JobView:
    return next(view for view in jobs.list_jobs(records) if view.job == job_key)


def _print_job(detail: JobDetail, everything: bool) -> None:
    view = detail.job
    show_table([view], _job_columns(time.time()))
    if view.state == "script gone":
        click.echo(
            f"\nIts program has ended; `lithops job attach {view.job}` waits for the rest, and "
            f"`lithops.attach({view.job!r})` gives its futures."
        )
    if detail.hosts:
        click.echo()
        show_table(detail.hosts, _SHARE_COLUMNS)
    failed = [failure for failure in detail.failures if failure.error != _CANCELLED]
    if failed:
        click.echo()
        shown = failed if everything else failed[:_FAILURES_SHOWN]
        show_table(shown, _FAILURE_COLUMNS)
    else:
        shown = []
    _print_others(view.failed, len(shown), len(failed), len(detail.failures) - len(failed))


def _print_others(all_failed: int, shown: int, failed: int, cancelled: int) -> None:
    """Say how many calls failed that the table does not have."""
    if failed > shown:
        click.echo(f"… and {failed - shown} more (--all shows them)")
    if cancelled:
        click.echo(f"{count(cancelled, 'call')} cancelled")
    if all_failed > failed + cancelled:
        click.echo(f"of {count(all_failed - failed - cancelled, 'more failed call')} nothing was noted down")


def _running(share: Share) -> str:
    numbers = [str(number) for number in share.running]
    more = ["…"] if len(numbers) > 10 else []
    return ", ".join(numbers[:10] + more) or UNKNOWN


_SHARE_COLUMNS: tuple[Column[Share], ...] = (
    Column("HOST", lambda row: row.host),
    Column("WAITING", lambda row: UNKNOWN if row.error else str(row.waiting), "right"),
    Column(
        "RUNNING CALLS", lambda row: row.error or _running(row), style=lambda row: "red" * bool(row.error)
    ),
)
_FAILURE_COLUMNS: tuple[Column[FailureRecord], ...] = (
    Column("CALL", lambda row: str(row.number), "right"),
    Column("HOST", lambda row: row.host or UNKNOWN),
    Column("ERROR", lambda row: f"{row.error}: {row.message}" if row.message else row.error),
)


@click.command("cancel", cls=Command)
@click.argument("job", type=JobName())
@click.pass_obj
def cancel(invocation: Invocation, job: str) -> None:
    """End all calls of a job, also when its program is gone; results that are there stay.

    A program that waits for it is told: its calls fail with CallCancelled.

    \b
    Examples:
      lithops job cancel 5f2c9a61b3d0-0-M000
    """
    with found_job(invocation, job) as (records, record):
        view = _view(records, record.job_key)
        if view.state not in ("running", "script gone"):
            raise NothingThere(f"job {record.job_key} has ended: there is nothing to cancel")
        machines = machines_for(invocation, records, record)
        if not machines:
            _give_up(records, view)
            return
        with working(f"telling {count(len(machines), 'host')}"):
            told = jobs.cancel(machines, record.job_key)
            if view.state == "script gone":
                sweep(records, record, _answering(machines, told), time.time())
    silent = [share for share in told if share.error]
    ended = sum(share.waiting + len(share.running) for share in told)
    hosts = count(len(told) - len(silent), "host")
    click.echo(f"job {record.job_key}: {count(ended, 'call')} cancelled on {hosts}")
    if silent:
        reasons = "; ".join(f"{share.host}: {share.error}" for share in silent)
        raise Failure(f"not cancelled on {count(len(silent), 'host')}: {reasons}")


def _give_up(records: Records, view: JobView) -> None:
    """Cancel a job that no host has."""
    if view.state == "running":
        raise Failure(f"no host has job {view.job} yet: end its program, or try again in a moment")
    records.jobs_released([view.job], time.time())
    click.echo(f"job {view.job}: no host has it; it is given up")


@click.command("attach", cls=Command)
@click.argument("job", type=JobName())
@click.pass_obj
def attach(invocation: Invocation, job: str) -> None:
    """Wait for a job of another program, whether that runs or is gone, and show how far the job is.

    Ctrl-C stops looking, and the job goes on. Results stay where they are, for `lithops.attach(JOB)`. The
    exit code is 1 when a call failed.

    \b
    Examples:
      lithops job attach 5f2c9a61b3d0-0-M000
    """
    with found_job(invocation, job) as (records, record):
        view = _view(records, record.job_key)
        if view.state == "given up":
            raise NothingThere(f"job {record.job_key} was given up, and its data are gone")
        if not view.collected:
            _follow(invocation, records, record)
        detail = JobDetail(
            job=_view(records, record.job_key), hosts=(), failures=records.failures_of(record.job_key)
        )
    _print_job(detail, everything=False)
    if detail.job.failed:
        raise Failure(f"{count(detail.job.failed, 'call')} of {detail.job.calls} failed")


def _follow(invocation: Invocation, records: Records, record: JobRecord) -> None:
    from lithops.executors import FunctionExecutor
    from lithops.wait import ALL_COMPLETED, Gathering

    settings = settings_of(records, record.executor_id, current_config(invocation))
    if settings is None:
        raise JobUnknown(f"{where()} has no record of the program of job {record.job_key}")
    # Results are only looked at: they stay on their hosts.
    config = {**settings.config, "lithops": {**settings.config["lithops"], "data_cleaner": False}}
    fexec = FunctionExecutor(config=config)
    futures = fexec.attach(record.job_key)
    try:
        gathering = Gathering(futures, ALL_COMPLETED, False, False, cancels=False)
        gathering.run(None, True, time.monotonic)
    except KeyboardInterrupt:
        raise Failure(f"no longer looking; job {record.job_key} goes on", INTERRUPTED) from None


# ---- what they share ----------------------------------------------------------------------------------


def _answering(machines: Sequence[Machine], shares: Sequence[Share]) -> list[Machine]:
    return [machine for machine, share in zip(machines, shares) if not share.error]
