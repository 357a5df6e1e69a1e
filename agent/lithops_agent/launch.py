"""Makes sure that exactly one agent of the wanted bundle runs for this user, and says where it listens."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lithops_agent import clearing, fence, systemd
from lithops_agent.instants import SystemClock
from lithops_agent.protocol import STATUS, Endpoint
from lithops_agent.statefile import StateFile
from lithops_agent.version import __version__

_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 10.0
_POLL = 0.01
_UNIT_EXISTS = "already loaded"
"""What systemd says of a transient unit whose name is taken."""


class LaunchFailed(Exception):
    """The agent could not be started; the message says what it wrote."""


class Vanished(Exception):
    """The program is not there any more: the time of an earlier agent was up, and all was removed."""


class Busy(Exception):
    """An agent of another bundle has jobs."""


def release_of(program: str) -> str:
    """Names the sources that a bundle was made from: ``agent-RELEASE-HASH.zip``."""
    return Path(program).stem.removeprefix("agent-").partition("-")[0]


def ensure_running(home: Path, orders: fence.Orders, options: Sequence[str]) -> str:
    """Start the agent of the program that the orders name unless it runs; its state as one line of JSON.

    The fence is there before the agent is. An idle agent of another bundle is ended first. Raises Busy when
    that one has jobs, Vanished, and LaunchFailed.
    """
    state_file = StateFile(home)
    bundle = release_of(orders.program)
    command = [sys.executable, orders.program, "serve", "--home", str(home), *options]
    with state_file.lock("start"):
        written_at = state_file.written_at()
        state = state_file.read()
        if state is not None and state["bundle"] != bundle:
            _end_other(state)
            state = None
        if state is None:
            if not os.path.exists(orders.program):
                raise Vanished(f"{orders.program} was removed")
            _put_up_fence(str(home), orders)
            state = _launch(state_file, command, orders.unit, written_at)
    return json.dumps(state)


def _put_up_fence(home: str, orders: fence.Orders) -> None:
    """Guard the host from now on; what guarded it before knows nothing of the agent to come."""
    try:
        fence.disarm(home, orders.unit, waiting=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(home, clearing.ARMED))
        fence.write(home, orders)
        fence.arm(home, orders, SystemClock().now())
    except systemd.SystemdFailed as exc:
        raise LaunchFailed(str(exc)) from exc


def _end_other(state: dict[str, Any]) -> None:
    try:
        status = _ask(state, STATUS)
        if status["waiting"] or status["running"]:
            raise Busy(
                f"an agent of version {state['version']} (bundle {state['bundle']}) runs jobs here; "
                f"version {__version__} takes its place when it is idle: wait for the jobs, or dismantle it"
            )
    except (OSError, http.client.HTTPException):
        pass  # It listens no more, or is ending.
    # It stops and leaves its files, which its successor goes on with.
    with contextlib.suppress(ProcessLookupError):
        os.kill(state["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT
    while _alive(state["pid"]):
        if time.monotonic() > deadline:
            raise LaunchFailed(f"the agent of version {state['version']} (pid {state['pid']}) does not end")
        time.sleep(_POLL)


def _ask(state: dict[str, Any], endpoint: Endpoint) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", state["port"], timeout=5)
    try:
        headers = {"Authorization": f"Bearer {state['token']}", "Content-Length": "0"}
        connection.request(endpoint.method, endpoint.path, headers=headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _launch(state_file: StateFile, command: list[str], unit: str, written_at: int) -> dict[str, Any]:
    """Start the agent, and wait until the state is another one than that written at ``written_at``.

    What an earlier agent left behind says nothing about the new one, except the token.
    """
    log = state_file.home / "agent.log"
    process = _start_daemon(command, log) if unit == "none" else None
    started = process is not None
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        started = started or _start_unit(command, unit, log)
        state = state_file.read()
        if state is not None and state_file.written_at() != written_at:
            return state
        if process is not None and process.poll() is not None:
            raise LaunchFailed(f"the agent ended with code {process.returncode}: {_tail(log)}")
        if time.monotonic() > deadline:
            raise LaunchFailed(f"the agent did not answer within {_START_TIMEOUT:g} s: {_tail(log)}")
        time.sleep(_POLL)


def _start_daemon(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )


def _start_unit(command: list[str], unit: str, log: Path) -> bool:
    """Have systemd run the agent: it restarts it, and the agent outlives the login session.

    False when the unit of an earlier agent is still there: either systemd is about to start that one
    again, or it ends in a moment.
    """
    log.touch(0o600)
    properties = {
        "Restart": "on-failure",
        "RestartSec": "200ms",
        # A worker that the kernel kills for memory must not take the agent along.
        "OOMPolicy": "continue",
        "StandardOutput": f"append:{log}",
        "StandardError": f"append:{log}",
        "WorkingDirectory": "/",
    }
    try:
        systemd.start_transient(unit, systemd.agent_unit(), command, properties)
    except systemd.SystemdFailed as exc:
        if _UNIT_EXISTS in str(exc):
            return False
        raise LaunchFailed(str(exc)) from exc
    return True


def _tail(log: Path) -> str:
    try:
        return log.read_text(errors="replace")[-2000:].strip() or "(it wrote nothing)"
    except OSError:
        return "(it wrote nothing)"
