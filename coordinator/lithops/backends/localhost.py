"""This machine: the same agent, started as a process here, and reached without SSH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from lithops.backends.ending import END_TIMEOUT, Ending
from lithops.backends.machine import Link
from lithops.bootstrap.end import Look
from lithops.config.settings import LocalhostSettings, StandaloneSettings
from lithops.errors import AgentBusy, BootstrapError
from lithops.ssh.deadline import Deadline
from lithops.ssh.http import open_local
from lithops_agent.statefile import EXIT_BUSY, StateFile

if TYPE_CHECKING:
    from lithops.shell.access import LocalAccess

_NAME = "localhost"
_START_TIMEOUT = 60.0
AGENT_HOME = "~/.lithops/agent"


class LocalMachine:
    """The agent of this user on this machine, started when it does not run."""

    name = _NAME

    def __init__(self, settings: LocalhostSettings, standalone: StandaloneSettings) -> None:
        self._settings = settings
        self._standalone = standalone

    def open(self) -> Link:
        """Make sure that the agent runs. Raises BootstrapError, AgentBusy."""
        from lithops.bootstrap.bundle import build_bundle
        from lithops.bootstrap.probe import bundle_id

        bundle = build_bundle()
        home = Path(AGENT_HOME).expanduser()
        state = StateFile(home).read()
        if state is None or state["bundle"] != bundle_id(bundle.name):
            state = self._start(bundle.path, home)
        return self._link(state)

    def find(self) -> Optional[Link]:
        """The agent that runs, if one does."""
        state = StateFile(Path(AGENT_HOME).expanduser()).read()
        return None if state is None else self._link(state)

    def is_left(self) -> bool:
        """Whether there is an agent, or anything that one has left."""
        return _is_left(Path(AGENT_HOME).expanduser(), "")

    def enter(self) -> LocalAccess:
        """This machine, as it is."""
        from lithops.shell.access import LocalAccess

        return LocalAccess(_NAME, self.find)

    def equivalent(self, command: Optional[str], *, with_terminal: bool) -> list[str]:
        """The command itself."""
        from lithops.shell.access import local_command

        return local_command(command)

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        """End the agent, and wait until it is gone. Raises HostError."""
        how = self._standalone.ending(_NAME)
        ending = Ending(_NAME, how, Deadline.after(END_TIMEOUT))
        ending.run(self._look, lambda state: ask(self._link(state), how))

    def _look(self, end: str) -> Look:
        home = Path(AGENT_HOME).expanduser()
        state = StateFile(home).read()
        if state is not None:
            return Look(state)
        if _is_left(home, end):
            from lithops.bootstrap.bundle import build_bundle

            _run(build_bundle().path, "end", home, ["--ending", end])
        return Look(None, _is_left(home, end))

    def _link(self, state: dict[str, Any]) -> Link:
        settings = self._settings
        return local_link(state, settings.interpreter, os.getcwd(), settings.worker_processes)

    def _start(self, bundle: Path, home: Path) -> dict[str, Any]:
        soft = self._standalone.soft
        ending = self._standalone.ending(_NAME)
        done = _run(
            bundle, "start", home, ["--soft", f"{-1 if soft is None else soft:g}", "--ending", ending]
        )
        if done.returncode == EXIT_BUSY:
            raise AgentBusy(done.stderr.strip(), host=_NAME, phase="start")
        if done.returncode != 0:
            raise BootstrapError(f"the agent did not start: {done.stderr.strip()}", host=_NAME, phase="start")
        state: dict[str, Any] = json.loads(done.stdout)
        return state


def _run(bundle: Path, command: str, home: Path, options: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [sys.executable, "-I", str(bundle), command, "--home", str(home), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise BootstrapError(f"the agent can't be {command}ed: {exc}", host=_NAME, phase=command) from exc


def _is_left(home: Path, ending: str) -> bool:
    """Whether an agent has left anything here but what it was to keep."""
    kept = {"bundles", "environments"} if ending == "keep" else set()
    return home.is_dir() and any(path.name not in kept for path in home.iterdir())


class SameHost:
    """Within a worker: the agent that runs it."""

    name = _NAME

    def __init__(self, home: str) -> None:
        self._home = Path(home)

    def open(self) -> Link:
        """Find the agent. Raises BootstrapError when it is gone."""
        link = self.find()
        if link is None:
            raise BootstrapError(
                "the agent that runs this function can't be found", host=_NAME, phase="connect"
            )
        return link

    def find(self) -> Optional[Link]:
        """The agent, if it still runs."""
        state = StateFile(self._home).read(in_worker=True)
        return None if state is None else local_link(state, sys.executable, os.getcwd())

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        """End the agent; this process, which is one of its workers, goes with it. Raises HostError."""
        link = self.find()
        if link is not None:
            ask(link, "remove")


def local_link(state: dict[str, Any], interpreter: str, cwd: str, processes: Optional[int] = None) -> Link:
    """A link to an agent on this machine."""
    return Link(
        host=_NAME,
        agent_id=str(state["agent_id"]),
        token=str(state["token"]),
        runtime=interpreter,
        opener=open_local(int(state["port"])),
        close=lambda: None,
        cwd=cwd,
        processes=processes,
    )
