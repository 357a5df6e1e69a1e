"""One machine of IBM VPC, created and dismantled by the product through the SDK, without a host behind it.

The API is the fake one over HTTP; only what goes over SSH is left out: an instance that runs and has a public
address counts as one with an agent.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lithops.backends import ibm_vpc
from lithops.backends.ibm_vpc import consumed, removal, supplies
from lithops.backends.ibm_vpc import machine as machine_module
from lithops.backends.ibm_vpc import site as site_module
from lithops.backends.ibm_vpc.agents import Agents
from lithops.backends.ibm_vpc.api import VpcApi
from lithops.backends.ibm_vpc.reach import Reach
from lithops.backends.ibm_vpc.site import Site
from lithops.backends.machine import Link
from lithops.config.settings import Settings, resolve
from lithops.errors import HostError, HostUnreachable
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.http import SocketLike
from tests.cloud import Cloud, Delays

ANSWER_TIMEOUT = 0.2
"""Seconds that the product waits for an answer of the API, in these scenarios."""
_LONGEST_PAUSE = 0.01
QUICK = Delays(pending=0, boot=0, shutdown=0, destroy=0, network=0, volume=0)
"""Things are there, and gone, as soon as they are looked at."""


class Connection:
    """What stands for an SSH connection."""

    is_alive = True

    def close(self) -> None:
        """Nothing is open."""


def hasten(patch: pytest.MonkeyPatch, removal_timeout: float) -> None:
    """Let what is true now be looked at each time, and what is not gone by then be told."""
    patch.setattr(site_module, "_FRESH", 0.0)
    for module in (machine_module, site_module, consumed):
        patch.setattr(module, "REMOVAL_TIMEOUT", removal_timeout)


def without_ssh(patch: pytest.MonkeyPatch, answer_timeout: float = ANSWER_TIMEOUT) -> None:
    """Let machines be machines with an agent as soon as they could be reached; let nothing pause for long."""

    def pause(seconds: float) -> None:
        time.sleep(min(seconds, _LONGEST_PAUSE))

    def connect(reach: Reach, name: str, instance: Mapping[str, Any], deadline: Deadline) -> Connection:
        if reach._site.head() is None:
            raise HostUnreachable("no machine has the public address yet", host=name, phase="connect")
        return Connection()

    def nobody(timeout: float) -> SocketLike:
        raise ConnectionRefusedError("there is no agent")

    def start(agents: Agents, name: str, connection: Connection, *args: Any, **options: Any) -> Link:
        return Link(
            host=name, agent_id=f"agent-{name}", token="", runtime="python3",
            opener=nobody, close=connection.close,
        )  # fmt: skip

    def connect_to_users(target: object, deadline: Deadline) -> Connection:
        return Connection()

    def end(agents: Agents, *args: Any) -> None:
        """It says that it ends; its machine is switched off all the same."""

    patch.setattr(Reach, "connect", connect)
    patch.setattr(Agents, "end", end)
    patch.setattr(SshConnection, "connect", connect_to_users)
    patch.setattr(consumed, "_PAUSE", _LONGEST_PAUSE)
    patch.setattr(Agents, "start", start)
    patch.setattr(machine_module, "_PAUSE", _LONGEST_PAUSE)
    patch.setattr(removal, "_PAUSES", (_LONGEST_PAUSE,))
    api = functools.partial(VpcApi, timeouts=(answer_timeout, answer_timeout), pause=pause)
    patch.setattr(supplies, "VpcApi", api)
    patch.setattr(supplies, "Site", functools.partial(Site, pause=pause))


@dataclass(frozen=True, kw_only=True)
class Course:
    """How it went: the classes of the errors of creating and ending ('': none), and what was left."""

    opened: str
    ended: str
    left: dict[str, list[str]]
    after_clean: dict[str, list[str]]


def settings_on(cloud: Cloud, mode: str = "create", start_timeout: float = 20, **section: Any) -> Settings:
    """What a user has configured."""
    section = {"ssh_source": "192.0.2.1/32", "worker_processes": 1, **section}
    return resolve(cloud.config(mode, ibm_vpc=section, standalone={"start_timeout": start_timeout}))


def error_of(act: Callable[[], object]) -> str:
    """The class of the HostError that it raises; '' when it does not."""
    try:
        act()
    except HostError as exc:
        return type(exc).__name__
    return ""


def run(cloud: Cloud, home: Path, settings: Settings, executors: int = 1) -> Course:
    """Have a machine, each executor by itself, and dismantle it; then let nothing go wrong, and clean.

    What is there before is the user's, and does not count.
    """
    users = cloud.resources()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        opened = ""
        for number in range(executors):
            supply = ibm_vpc.supply(settings, f"run-{number}")
            (machine,) = supply.machines(1)
            opened = opened or error_of(machine.open)
        ended = error_of(lambda: machine.dismantle(lambda link, how: None)) or error_of(supply.end)
        left = _beside(cloud.resources(), users)
        cloud.faults.clear()
        if left:
            clean(settings)
    return Course(opened=opened, ended=ended, left=left, after_clean=_beside(cloud.resources(), users))


def _beside(there: Mapping[str, list[str]], users: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What is there and not the user's; and what was, and is not there any more."""
    changed = {kind: sorted({*there.get(kind, ())} ^ {*users.get(kind, ())}) for kind in {*there, *users}}
    return {kind: names for kind, names in changed.items() if names}


def clean(settings: Settings) -> None:
    """What `lithops clean` does in the cloud."""
    for leftover in ibm_vpc.leftovers(settings, everything=True):
        leftover.remove()


def operation(method: str, path: str) -> tuple[str, str]:
    """A request without what is different each time: its method, and a pattern of its path."""
    return method, re.sub(r"(r006-|071\d_)[0-9a-f-]{36}", "[^/]+", path)
