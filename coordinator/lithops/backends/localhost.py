"""This machine: the same agent, started as a process here, and reached without SSH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

from lithops.backends.machine import Link
from lithops.config.settings import LocalhostSettings, StandaloneSettings
from lithops.errors import AgentBusy, BootstrapError
from lithops.ssh.http import open_local
from lithops_agent.statefile import EXIT_BUSY, StateFile

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
        settings = self._settings
        return local_link(state, settings.interpreter, os.getcwd(), settings.worker_processes)

    def _start(self, bundle: Path, home: Path) -> dict[str, Any]:
        soft = self._standalone.soft_dismantle_timeout if self._standalone.auto_dismantle else -1
        options = ["--soft", f"{soft:g}"]
        command = [sys.executable, "-I", str(bundle), "start", "--home", str(home), *options]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_START_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise BootstrapError(f"the agent can't be started: {exc}", host=_NAME, phase="start") from exc
        if done.returncode == EXIT_BUSY:
            raise AgentBusy(done.stderr.strip(), host=_NAME, phase="start")
        if done.returncode != 0:
            raise BootstrapError(f"the agent did not start: {done.stderr.strip()}", host=_NAME, phase="start")
        state: dict[str, Any] = json.loads(done.stdout)
        return state


class SameHost:
    """Within a worker: the agent that runs it."""

    name = _NAME

    def __init__(self, home: str) -> None:
        self._home = Path(home)

    def open(self) -> Link:
        """Find the agent. Raises BootstrapError when it is gone."""
        state = StateFile(self._home).read()
        if state is None:
            raise BootstrapError(
                "the agent that runs this function can't be found", host=_NAME, phase="connect"
            )
        return local_link(state, sys.executable, os.getcwd())


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
