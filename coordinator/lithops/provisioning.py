"""Make runtimes ready on hosts ahead of the first job, list them, and remove them."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from lithops.backends.machine import Link, Machine
from lithops.backends.vm import VmMachine
from lithops.config.settings import Settings
from lithops.dispatch import environments_of, image_of, images
from lithops.dispatch.client import AgentClient
from lithops.errors import ConfigError, HostError, ImageError
from lithops.ssh.deadline import Deadline

BUILD_TIMEOUT = 1800.0
_SHORTEST = 8
"""Characters of the name of an environment that stand for it; fewer may be those of an image."""
_SAID = 1500
"""Characters of what a failed build said that are shown: its end."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """An image or an environment on a host. ``size`` is in bytes, ``used_at`` an instant (None: unknown)."""

    host: str
    kind: str
    name: str
    size: int
    used_at: Optional[float]
    packages: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What a host has. ``engine`` says why its images can't be seen, if they can't."""

    runtimes: Sequence[Runtime]
    engine: str


@contextmanager
def _agent(machine: Machine) -> Iterator[tuple[Link, AgentClient]]:
    """An agent on a host, started where none runs. Raises HostError."""
    link = machine.open()
    client = AgentClient(link.opener, link.token, link.host)
    try:
        yield link, client
    finally:
        client.close()
        link.close()


def inventory(machine: Machine) -> Inventory:
    """The images and environments of a host. Raises HostError."""
    with _agent(machine) as (_, client):
        told = client.runtimes()
    found = [
        Runtime(host=machine.name, kind="image", name=each["name"], size=each["size"], used_at=None)
        for each in told["images"]
    ]
    found += [
        Runtime(
            host=machine.name,
            kind="environment",
            name=each["name"],
            size=each["size"],
            used_at=each["used_at"],
            packages=each["packages"],
        )
        for each in told["environments"]
    ]
    return Inventory(runtimes=found, engine=told["engine"])


def remove(machine: Machine, name: str) -> int:
    """Remove an image of this name, and environments whose names begin so; how many. Raises HostError."""
    removed = 0
    with _agent(machine) as (_, client):
        told = client.runtimes()
        for each in told["images"]:
            if each["name"] in (name, f"{name}:latest"):
                removed += client.remove_runtime("image", each["name"])
        for each in told["environments"]:
            if len(name) >= _SHORTEST and each["name"].startswith(name):
                removed += client.remove_runtime("environment", each["name"])
    return removed


def pull(machine: Machine, settings: Settings, *, is_wanted: Callable[[], bool] = lambda: True) -> str:
    """Pull the image of a configuration, and try its Python; its digest. Raises HostError, ConfigError."""
    runtime = image_of(settings)
    if runtime is None:
        raise ConfigError(f"the runtime {settings.runtime} is an interpreter: there is nothing to pull")
    pulling = replace(runtime, pull=True)
    with _agent(machine) as (link, client):
        options = replace(runtime.options, cpus=link.processes)
        ready = images.prepare(client, pulling, options, uuid.uuid4().hex, machine.name, is_wanted)
    return ready.digest if ready else ""


def build_environment(machine: Machine, settings: Settings) -> str:
    """Build the environment of standalone.requirements; its interpreter. Raises HostError, ConfigError."""
    environments = environments_of(settings)
    if environments is None:
        raise ConfigError("standalone.requirements is not set: name an image to build, or set it")
    with _agent(machine) as (link, client):
        return environments.prepare(link, client, lambda: False).runtime


def pack_context(folder: Path, dockerfile: Path) -> bytes:
    """What an image is built from, as a tar archive. Raises OSError."""
    data = io.BytesIO()
    # Docker takes no archive that begins with an extended header for one.
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(folder, arcname=".", filter=_without_git)
        if not dockerfile.resolve().is_relative_to(folder.resolve()):
            archive.add(dockerfile, arcname=dockerfile.name)
    return data.getvalue()


def _without_git(entry: tarfile.TarInfo) -> Optional[tarfile.TarInfo]:
    return None if entry.name == "./.git" else entry


def build_image(machine: Machine, name: str, dockerfile: str, context: bytes) -> None:
    """Build an image with the Docker of a host. Raises HostError with the end of what Docker said."""
    command = f"docker build --quiet --tag {shlex.quote(name)} --file {shlex.quote(dockerfile)} -"
    if isinstance(machine, VmMachine):
        deadline = Deadline.after(BUILD_TIMEOUT)
        with machine.connect(deadline) as connection:
            done = connection.run(command, context, deadline=deadline)
        code, said = done.returncode, done.stderr
    else:
        code, said = _run_here(command, context)
    if code:
        text = said.decode("utf-8", "replace").strip()[-_SAID:]
        raise ImageError(
            f"the image {name} could not be built there: {text}", host=machine.name, phase="image"
        )


def _run_here(command: str, context: bytes) -> tuple[int, bytes]:
    try:
        done = subprocess.run(
            ["sh", "-c", command], input=context, capture_output=True, timeout=BUILD_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise HostError(f"docker build can't be run: {exc}", host="localhost", phase="image") from exc
    return done.returncode, done.stderr
