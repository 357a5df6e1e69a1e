"""`lithops runtime`: the images and environments that functions run in, on the hosts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional, TypeVar

import click

from lithops import provisioning
from lithops.cli.exits import Failure, NothingThere
from lithops.cli.invocation import Command, Invocation, ListCommand
from lithops.cli.output import Column, show_list, working
from lithops.cli.wording import UNKNOWN, count, seconds, size
from lithops.config.runtime import is_image
from lithops.config.settings import Settings, resolve
from lithops.errors import HostError
from lithops.inspection.hosts import configured
from lithops.inspection.parallel import ask_all
from lithops.provisioning import BUILD_TIMEOUT, Runtime

if TYPE_CHECKING:
    from lithops.backends.machine import Machine

Answer = TypeVar("Answer")

_LIST_TIMEOUT = 30.0
"""Seconds for starting an agent and asking it."""


@click.command("list", cls=ListCommand)
@click.pass_obj
def list_runtimes(invocation: Invocation) -> None:
    """List the Docker images on the hosts of the configuration, and the environments that were built there.

    An agent is started where none runs.

    \b
    Examples:
      lithops runtime list
      lithops runtime list --json
    """
    settings = invocation.settings()
    found, failures = _on_all(settings, "asking", provisioning.inventory, _LIST_TIMEOUT)
    runtimes = [runtime for _, inventory in found for runtime in inventory.runtimes]
    for machine, inventory in found:
        if inventory.engine and settings.image:
            click.echo(f"{machine.name}: no images: {inventory.engine}", err=True)
    if failures:
        _tell(failures)
    hosts = count(len(found), "host")
    show_list(invocation, runtimes, _columns(time.time()), nothing=f"{hosts}: no image and no environment")
    if failures:
        raise Failure(f"{count(len(failures), 'host')} did not answer")


def _columns(now: float) -> tuple[Column[Runtime], ...]:
    return (
        Column("HOST", lambda row: row.host),
        Column("KIND", lambda row: row.kind),
        Column("NAME", lambda row: row.name[:16] if row.kind == "environment" else row.name),
        Column("SIZE", lambda row: size(row.size), "right"),
        Column("USED", lambda row: f"{seconds(now - row.used_at)} ago" if row.used_at else UNKNOWN, "right"),
        Column("PACKAGES", lambda row: " ".join(row.packages) or UNKNOWN),
    )


@click.command("pull", cls=Command)
@click.argument("image", required=False)
@click.pass_obj
def pull(invocation: Invocation, image: Optional[str]) -> None:
    """Pull IMAGE (without it: that of the configuration) on each host, and see that functions run in it.

    \b
    Examples:
      lithops runtime pull
      lithops runtime pull ghcr.io/me/science:1.2
    """
    settings = _with_image(invocation.settings(), image)
    if settings.image is None:
        raise click.UsageError(f"the runtime is {settings.runtime}, no image: say which image to pull")
    _show_progress(invocation)
    found, failures = _on_all(
        settings, f"pulling {settings.image} on", lambda machine: provisioning.pull(machine, settings)
    )
    for machine, digest in found:
        click.echo(f"{machine.name}: {settings.image} is ready{f', {digest}' if digest else ''}")
    _end(failures, "pulled")


@click.command("build", cls=Command)
@click.argument("image", required=False)
@click.option("-f", "--file", "dockerfile", type=click.Path(dir_okay=False), help="Its Dockerfile.")
@click.option("--context", type=click.Path(file_okay=False), help="The folder it is built from.")
@click.pass_obj
def build(
    invocation: Invocation, image: Optional[str], dockerfile: Optional[str], context: Optional[str]
) -> None:
    """Build IMAGE from a Dockerfile with the Docker of each host; without IMAGE, build the environment of
    standalone.requirements there.

    The folder of the Dockerfile is sent with it, unless --context names another one.

    \b
    Examples:
      lithops runtime build science:1 -f runtimes/science/Dockerfile
      lithops runtime build
    """
    settings = invocation.settings()
    _show_progress(invocation)
    if image is None:
        if dockerfile or context:
            raise click.UsageError("say what the image is to be called")
        found, failures = _on_all(
            settings, "building the environment on",
            lambda machine: provisioning.build_environment(machine, settings),
        )  # fmt: skip
        for machine, python in found:
            click.echo(f"{machine.name}: the environment is ready: {python}")
    else:
        file = Path(dockerfile or Path(context or ".", "Dockerfile"))
        folder = Path(context) if context else file.parent
        if not file.is_file():
            raise click.UsageError(f"there is no Dockerfile {file}: say where it is with --file")
        data = provisioning.pack_context(folder, file)
        inside = file.resolve().is_relative_to(folder.resolve())
        name = str(file.resolve().relative_to(folder.resolve())) if inside else file.name
        built, failures = _on_all(
            settings, f"building {image} on",
            lambda machine: provisioning.build_image(machine, image, name, data),
        )  # fmt: skip
        for machine, _ in built:
            click.echo(f"{machine.name}: {image} is built")
    _end(failures, "built")


@click.command("remove", cls=Command)
@click.argument("name")
@click.pass_obj
def remove(invocation: Invocation, name: str) -> None:
    """Remove an image, or the environments whose names begin with NAME, from each host.

    Eight characters of the name of an environment are enough. What a job uses stays, and is an error.

    \b
    Examples:
      lithops runtime remove science:1
      lithops runtime remove 3f2a9c01
    """
    found, failures = _on_all(
        invocation.settings(), "asking", lambda machine: provisioning.remove(machine, name), _LIST_TIMEOUT
    )
    removed = [machine.name for machine, number in found if number]
    if removed:
        click.echo(f"removed from {', '.join(removed)}")
    _end(failures, "removed")
    if not removed:
        raise NothingThere(f"no host has an image or an environment called {name!r}")


# ---- what they share ----------------------------------------------------------------------------------


def _with_image(settings: Settings, image: Optional[str]) -> Settings:
    if image is None:
        return settings
    if not is_image(image):
        raise click.UsageError(f"{image!r} is an interpreter, and not the name of an image")
    place = "localhost" if settings.backend_name == "localhost" else "standalone"
    config = {name: dict(section) for name, section in settings.config.items()}
    config[place]["runtime"] = image
    config["standalone"]["requirements"] = None
    return resolve(config)


def _on_all(
    settings: Settings, doing: str, ask: Callable[[Machine], Answer], timeout: float = BUILD_TIMEOUT
) -> tuple[list[tuple[Machine, Answer]], list[HostError]]:
    """What all hosts of the configuration answer, and the errors of the others."""
    machines = configured(settings)
    if not machines:
        raise NothingThere("there are no hosts")
    with working(f"{doing} {count(len(machines), 'host')}"):
        answers = ask_all(machines, ask, timeout)
    found = [pair for pair in zip(machines, answers) if not isinstance(pair[1], HostError)]
    return found, [answer for answer in answers if isinstance(answer, HostError)]  # type: ignore[return-value]


def _tell(failures: Sequence[HostError]) -> None:
    for failure in failures:
        click.echo(str(failure), err=True)


def _end(failures: Sequence[HostError], what: str) -> None:
    if failures:
        _tell(failures)
        names = ", ".join(failure.host for failure in failures)
        raise Failure(f"not {what} on {count(len(failures), 'host')}: {names}")


def _show_progress(invocation: Invocation) -> None:
    """Have hosts' messages about pulls and builds shown as they come."""
    if not invocation.debug:
        for name in ("lithops.dispatch.images", "lithops.environment.prepare"):
            logging.getLogger(name).setLevel(logging.INFO)
