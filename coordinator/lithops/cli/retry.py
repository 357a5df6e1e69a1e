"""`lithops job retry`: run failed calls again with the new version of their script."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import click

from lithops.cli.completing import JobName
from lithops.cli.exits import Failure, NothingThere
from lithops.cli.finding import current_config, found_job
from lithops.cli.invocation import Command, Invocation
from lithops.cli.output import Column, show_table
from lithops.cli.wording import count

if TYPE_CHECKING:
    from lithops.future import ResponseFuture
    from lithops.state.spool import SpooledJob

_SHOWN = 200


@click.command("retry", cls=Command)
@click.argument("job", type=JobName())
@click.option("--failed", is_flag=True, help="All calls that failed.")
@click.option("--call", "numbers", type=click.IntRange(0), multiple=True, metavar="N", help="This call.")
@click.option("--script", metavar="FILE", help="The new version; otherwise the file that the job was of.")
@click.option("--function", metavar="NAME", help="The function in it; otherwise the one of the job.")
@click.pass_obj
def retry(
    invocation: Invocation,
    job: str,
    failed: bool,
    numbers: tuple[int, ...],
    script: Optional[str],
    function: Optional[str],
) -> None:
    """Run calls of a job that failed again, with the same data and the function as it is in the script now.

    The script is imported, not run: what is below `if __name__ == "__main__":` does not happen. The calls
    become a job of their own on the hosts of the old one, and their results are shown. The exit code is 1
    if any of them fails again. The data of failed calls are kept on this machine for a week.

    \b
    Examples:
      lithops job retry M000 --failed
      lithops job retry M000 --call 17 --script fixed.py
    """
    from lithops.job.again import call_again, load_function
    from lithops.shell.visiting import kept_job

    if failed is bool(numbers):
        raise click.UsageError("say which calls: --failed, or --call N")
    with found_job(invocation, job) as (records, record):
        kept = kept_job(record.job_key, record.executor_id)
        known = {failure.number for failure in records.failures_of(record.job_key)}
        chosen = _chosen(record.job_key, kept, known, numbers)
    assert kept is not None
    file, _, name = kept.job.source.rpartition(":")
    called = load_function(script or file, function or name)
    config = _config(invocation, record.executor_id)
    click.echo(f"{count(len(chosen), 'call')} of {function or name}() from {script or file}", err=True)
    with call_again(config, called, kept, chosen) as futures:
        _wait(futures)
        show_table(futures, _COLUMNS)
        again = sum(1 for future in futures if future.error)
    if again:
        raise Failure(f"{again} of {count(len(chosen), 'call')} failed again (job {futures[0].job_key})")


def _chosen(job_key: str, kept: Optional[SpooledJob], failed: set[int], numbers: Sequence[int]) -> list[int]:
    """The calls to run. Raises NothingThere."""
    there = sorted(number for number in (kept.payloads if kept else ()) if number in failed)
    if not there:
        raise NothingThere(f"there is no failed call of job {job_key} whose data are kept")
    missing = [number for number in numbers if number not in there]
    if missing:
        names = ", ".join(str(number) for number in there[:10])
        raise NothingThere(f"call {missing[0]} of job {job_key} has not failed; there are {names}")
    return sorted(set(numbers)) or there


def _config(invocation: Invocation, executor_id: str) -> dict[str, Any]:
    """The configuration of the job's program, with the secrets of today."""
    from lithops.config.secrets import with_secrets

    with invocation.records() as records:
        executor = records.executor(executor_id) if records else None
    if executor is None:
        raise Failure(f"there is no record any more of the program {executor_id}")
    return with_secrets(executor.config, current_config(invocation))


def _wait(futures: Sequence[ResponseFuture]) -> None:
    from lithops.wait import ALL_COMPLETED, Gathering

    Gathering(futures, ALL_COMPLETED, False, True).run(None, True, time.monotonic)


def _outcome(future: ResponseFuture) -> str:
    if future.error:
        error = future._failure()
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return _shown(future.result())


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as exc:  # noqa: BLE001 - the code is the user's
        return f"(a {type(value).__qualname__} that can't be shown: {type(exc).__name__})"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_COLUMNS: tuple[Column[ResponseFuture], ...] = (
    Column("CALL", lambda row: str(row._number), "right"),
    Column("STATE", lambda row: "failed" if row.error else "done", style=lambda row: "red" * row.error),
    Column("RESULT", _outcome),
)
