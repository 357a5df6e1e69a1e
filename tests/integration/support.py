"""What the integration tests share: scripts as real processes, time limits, and looks at agents."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops_agent.clearing import kill_processes
from tests.integration.functions import double
from tests.testbed import Host

AGENT_STATE = ".lithops/agent/agent.json"
HELLO = """\
import lithops

def hello_world(name):
    return 'Hello {}!'.format(name)

if __name__ == '__main__':
    fexec = lithops.FunctionExecutor()
    fexec.call_async(hello_world, 'World')
    print(fexec.get_result())
"""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block takes no longer than this."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"took {took:.1f} s"


def eventually(holds: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The environment of a user whose home is ``home``, and who has set nothing for Lithops or SSH."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("LITHOPS", "SSH_", "PYTHON"))
    }
    # Bundles are built once for all homes.
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": cache, **variables}


def run_script(
    text: str,
    folder: Path,
    home: Path,
    *,
    python: str = sys.executable,
    timeout: float = 30,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a script, which lies in ``folder``, as a process of its own."""
    path = folder / "script.py"
    path.write_text(text)
    return subprocess.run(
        [python, path.name], cwd=folder, env=environment(home, **variables), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def agent_state(host: Host, user: str = "user") -> dict[str, Any]:
    """What the agent's file on a host says."""
    home = "/root" if user == "root" else f"/home/{user}"
    state: dict[str, Any] = json.loads(host.run(f"cat {home}/{AGENT_STATE}").stdout)
    return state


def end_local_agent(home: Path) -> None:
    """End the agent that a script started on this machine, if it did."""
    path = home / AGENT_STATE
    if not path.exists():
        return
    pid = int(json.loads(path.read_text())["pid"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 15)
    eventually(lambda: not _alive(pid), f"the end of the agent {pid}", 10)
    # It leaves its files, and the fence that would remove them in a while.
    kill_processes(str(path.parent))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def works(config: dict[str, Any], seconds: float = 15) -> None:
    """A call runs with this configuration."""
    with within(seconds), FunctionExecutor(config=config) as fexec:
        assert fexec.call_async(double, 21).result(timeout=seconds) == 42


def refused(config: dict[str, Any], error: type[Exception], *words: str, seconds: float = 6.0) -> str:
    """A call fails with this very class, in time, and with a message that has these words; returns it."""
    with FunctionExecutor(config=config) as fexec:
        future = fexec.call_async(double, 21)
        with within(seconds), pytest.raises(error) as raised:
            future.result(timeout=seconds + 5)
    assert type(raised.value) is error
    message = str(raised.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    return message
