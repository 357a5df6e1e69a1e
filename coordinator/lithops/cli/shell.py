"""`lithops ssh`, `attach` and `cp`: enter hosts, and copy files."""

from __future__ import annotations

import contextlib
import copy
import shlex
import sys
from typing import TYPE_CHECKING, Optional, cast

import click

from lithops.cli.completing import HostName, JobName
from lithops.cli.exits import Failure
from lithops.cli.finding import current_config, found_host, found_job
from lithops.cli.invocation import Command, Invocation
from lithops.cli.output import working
from lithops.cli.wording import seconds, size

if TYPE_CHECKING:
    from lithops.backends.machine import Enterable, Machine
    from lithops.inspection.hosts import KnownHost
    from lithops.shell.access import Access
    from lithops.shell.copying import Step
    from lithops.shell.files import Files
    from lithops.shell.holding import Hold

_SHOW_AFTER = 2.0
"""Seconds after which a copy shows how far it is."""


@click.command("ssh", cls=Command)
@click.argument("host", type=HostName())
@click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--job", type=JobName(), help="Be where the calls of this job are: Python, modules, variables.")
@click.option("--print", "only_print", is_flag=True, help="Print the ssh command that does the same.")
@click.option("--tty/--no-tty", "-t/-T", default=None, help="With a terminal there; otherwise as it is here.")
@click.pass_context
def ssh(
    ctx: click.Context,
    host: str,
    words: tuple[str, ...],
    job: Optional[str],
    only_print: bool,
    tty: Optional[bool],
) -> None:
    """Open a shell on a host, or run a command there, with its user, key, jump host and host key.

    The exit code is that of the command, 255 when the connection broke. While a shell is open, the host is
    not dismantled for being idle. `~.` at the beginning of a line leaves a connection that hangs.

    With --job the command sees what the calls of the job see, in their container if they have one; that of an
    ended job can be had for a week if a call of it failed.

    \b
    Examples:
      lithops ssh node1
      lithops ssh node1 -- nvidia-smi -L
      tar c data | lithops ssh node1 -- tar x
      lithops ssh node1 --job M000 -- python -c "import mylib; print(mylib)"
      lithops ssh node1 --print
    """
    invocation = ctx.ensure_object(Invocation)
    if only_print and job is not None:
        raise click.UsageError("--print can't show the way into a job")
    from lithops.shell.access import joined
    from lithops.shell.terminal import Streams

    streams = Streams()
    command = joined(words) if words else None
    with_terminal = streams.is_terminal if tty is None else tty
    known = found_host(invocation, host)
    machine = enterable(known.machine)
    if only_print:
        click.echo(shlex.join(machine.equivalent(command, with_terminal=with_terminal)))
        return
    with working(f"connecting to {host}"):
        access = machine.enter()
    try:
        if job is not None:
            code = _in_job(invocation, known, access, job, words, with_terminal=with_terminal)
        else:
            code = run_held(access, command, with_terminal=with_terminal, greets=not words)
    finally:
        access.close()
    ctx.exit(code)


attach = copy.copy(ssh)
attach.name = "attach"
attach.help = (ssh.help or "").replace("lithops ssh", "lithops attach")


def enterable(machine: Machine) -> Enterable:
    """A machine that can be entered. Raises Failure."""
    if not hasattr(machine, "enter"):
        raise Failure(f"host {machine.name} is of a backend whose hosts can't be entered")
    return cast("Enterable", machine)


def run_held(access: Access, command: Optional[str], *, with_terminal: bool, greets: bool) -> int:
    """Run a command, or a shell, and keep the host from being dismantled for idleness; its exit code."""
    from lithops.shell.holding import Hold
    from lithops.shell.terminal import Streams

    with Hold(access) as hold:
        if greets and with_terminal:
            click.echo(greeting(access.name, hold), err=True)
        return access.run(command, with_terminal=with_terminal, streams=Streams())


def greeting(host: str, hold: Hold) -> str:
    """What is said before a shell opens."""
    if not hold.held:
        return f"No agent runs on {host}, so nothing dismantles it."
    ends = (
        "no time-out ends it."
        if hold.hard_in is None
        else f"hard dismantle ends it in {seconds(hold.hard_in)}."
    )
    return f"While this shell is open, {host} is not dismantled for being idle; {ends}"


def _in_job(
    invocation: Invocation,
    known: KnownHost,
    access: Access,
    job: str,
    words: tuple[str, ...],
    *,
    with_terminal: bool,
) -> int:
    from lithops.inspection.hosts import settings_of
    from lithops.shell.visiting import kept_job, visit

    with found_job(invocation, job) as (records, record):
        settings = settings_of(records, record.executor_id, current_config(invocation)) or known.settings
    kept = kept_job(record.job_key, record.executor_id)
    with contextlib.ExitStack() as stack:
        with working(f"making {known.name} ready for job {record.job_key}"):
            found = stack.enter_context(visit(known.machine, settings, record.job_key, kept))
        inside = ["sh", "-c", words[0]] if len(words) == 1 else list(words)
        command = found.entrance.command(inside, with_terminal=with_terminal)
        return run_held(access, command, with_terminal=with_terminal, greets=not words)


@click.command("cp", cls=Command)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.argument("target", metavar="TARGET")
@click.pass_obj
def cp(invocation: Invocation, sources: tuple[str, ...], target: str) -> None:
    """Copy files and folders to or from a host; HOST:PATH is a path there, from the home folder on.

    Folders are copied with all that is in them, into TARGET if that is a folder, else as TARGET. Links are
    followed. A path of this machine with a colon in it is written with `./` in front.

    \b
    Examples:
      lithops cp data.csv node1:
      lithops cp -c cluster.yaml models node1:/srv/models
      lithops cp node1:results node1:log.txt .
    """
    from lithops.shell.copying import place_of, plan

    places, into = [place_of(source) for source in sources], place_of(target)
    hosts = {place.host for place in places}
    if len(hosts) != 1 or (into.host is None) == (hosts == {None}):
        raise click.UsageError("either all sources or the target are HOST:PATH, and of one host")
    host = into.host or next(iter(hosts))
    assert host is not None
    machine = enterable(found_host(invocation, host).machine)
    from lithops.shell.files import LocalFiles

    with working(f"connecting to {host}"):
        access = machine.enter()
    with contextlib.closing(access), contextlib.closing(access.files()) as remote:
        here = LocalFiles()
        source, goal = (here, remote) if into.host else (remote, here)
        steps = list(plan([place.path for place in places], source, goal, into.path or "."))
        _copy(steps, source, goal)


def _copy(steps: list[Step], source: Files, goal: Files) -> None:
    from tqdm import tqdm

    from lithops.shell.copying import carry_out

    total, files = sum(step.size for step in steps), sum(1 for step in steps if step.source is not None)
    with tqdm(
        total=total,
        unit="B",
        unit_scale=True,
        delay=_SHOW_AFTER,
        leave=False,
        disable=not sys.stderr.isatty(),
    ) as bar:
        for step in steps:
            carry_out(step, source, goal, lambda count: bar.update(count))
    click.echo(f"{files} file{'' if files == 1 else 's'}, {size(total)}", err=True)
