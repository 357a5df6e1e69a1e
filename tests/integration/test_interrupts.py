"""Ctrl-C and SIGTERM: the prompt is back at once, and on the hosts nothing goes on that nobody wants."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support import environment, eventually, within
from tests.testbed import Host

pytestmark = [pytest.mark.integration, pytest.mark.alone]

_CTRL_C = b"\x03"
SCRIPT = """\
import os
import time
import lithops

def stay(path):
    with open(path + '.new', 'w') as file:
        file.write(str(os.getpid()))
    os.rename(path + '.new', path)
    time.sleep(600)

if __name__ == '__main__':
    fexec = lithops.FunctionExecutor(config=CONFIG)
    paths = [f'FOLDER/stay-{number}' for number in range(5)]
"""
WAYS = {
    "get_result": "    fexec.map(stay, paths)\n    fexec.get_result()\n",
    "wait": "    lithops.wait(fexec.map(stay, paths), return_when=50)\n",
    "result": "    futures = fexec.map(stay, paths)\n    futures[3].result()\n",
    "retries": "    retrying = lithops.RetryingFunctionExecutor(fexec)\n"
    "    retrying.wait(retrying.map(stay, paths, retries=3))\n",
    "its own code": "    futures = fexec.map(stay, paths)\n    time.sleep(600)\n",
    "a with block": "    with fexec:\n        fexec.map(stay, paths)\n        time.sleep(600)\n",
    "a chain": "    fexec.map(stay, paths).map(len).get_result()\n",
}


class Terminal:
    """A script with a terminal of its own."""

    def __init__(self, text: str, folder: Path, home: Path) -> None:
        (folder / "script.py").write_text(text)
        self._master, slave = os.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "script.py"], cwd=folder, env=environment(home),
            stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        os.close(slave)
        self.pid = self._process.pid

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def ended(self, seconds: float) -> tuple[int, str]:
        """Its exit code, and all that it showed; it ends within so many seconds."""
        status = self._process.wait(seconds)
        shown = b""
        with contextlib.suppress(OSError):  # So the end of a terminal reads.
            while piece := os.read(self._master, 65536):
                shown += piece
        return status, shown.decode().replace("\r\n", "\n")


@pytest.fixture
def script(warm: Host, tmp_path: Path, home: Path) -> Iterator[Any]:
    """Starts a script that uses the warm host, in a terminal."""
    warm.run("rm -f /tmp/stay-*")
    started: list[Terminal] = []

    def start(way: str, config: dict[str, Any] | None = None, folder: str = "/tmp") -> Terminal:
        text = SCRIPT.replace("CONFIG", repr(config or warm.lithops_config())).replace("FOLDER", folder)
        started.append(Terminal(text + way, tmp_path, home))
        return started[-1]

    yield start
    for terminal in started:
        terminal.kill()


def running(host: Host) -> list[str]:
    """The pids of the calls that have begun, once there are two."""
    pids: list[str] = []

    def two() -> bool:
        pids[:] = host.run(
            "cd /tmp; for f in stay-?; do [ ! -e $f ] || { cat $f; echo; }; done"
        ).stdout.split()
        return len(pids) == 2

    eventually(two, "two calls run", 20)
    return pids


def alive(host: Host, pids: list[str]) -> bool:
    return bool(host.run(f"ps -o pid= -p {','.join(pids)}", check=False).stdout.strip())


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c(warm: Host, script: Any, way: str) -> None:
    terminal = script(WAYS[way])
    pids = running(warm)
    terminal.press(_CTRL_C)
    status, shown = terminal.ended(2)
    assert status == -signal.SIGINT
    assert shown.count("Traceback") == 1, shown
    assert "KeyboardInterrupt" in shown.splitlines(), shown
    assert shown.count("are cancelled") <= 1, shown
    assert len(shown.splitlines()) < 40, shown
    eventually(lambda: not alive(warm, pids), "the workers end", 2)
    assert len(warm.run("ls /tmp/stay-*").stdout.split()) == 2, "no other call begins"


def test_ctrl_c_twice(warm: Host, script: Any) -> None:
    terminal = script(WAYS["get_result"])
    pids = running(warm)
    terminal.press(_CTRL_C)
    time.sleep(0.05)
    terminal.press(_CTRL_C)
    status, _ = terminal.ended(2)
    assert status == -signal.SIGINT
    eventually(lambda: not alive(warm, pids), "the workers end", 2)


def test_ctrl_c_on_this_machine(script: Any, tmp_path: Path) -> None:
    config = {"lithops": {"backend": "localhost"}, "localhost": {"worker_processes": 2}}
    terminal = script(WAYS["get_result"], config, str(tmp_path))
    eventually(lambda: len(list(tmp_path.glob("stay-?"))) == 2, "two calls run", 20)
    pids = [int(path.read_text()) for path in tmp_path.glob("stay-?")]
    terminal.press(_CTRL_C)
    assert terminal.ended(2)[0] == -signal.SIGINT
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the workers end", 2)


def test_ctrl_c_while_a_host_does_not_answer(host: Host, script: Any) -> None:
    host.freeze_sshd()
    try:
        terminal = script(WAYS["get_result"], host.lithops_config())
        time.sleep(1.0)  # Nothing tells from outside when it waits for sshd's greeting.
        terminal.press(_CTRL_C)
        status, shown = terminal.ended(2)
    finally:
        host.thaw_sshd()
    assert status == -signal.SIGINT
    assert shown.count("Traceback") == 1, shown


def test_ctrl_c_while_data_are_sent(warm: Host, script: Any) -> None:
    config = warm.lithops_config(lithops={"backend": "vm", "data_limit": False})
    way = (
        "    fexec.call_async(stay, paths[0])\n    fexec.call_async(stay, paths[1])\n"
        "    futures = fexec.map(len, ['x' * (400 << 20)])\n    futures[0].result()\n"
    )
    terminal = script(way, config)
    pids = running(warm)
    folder = "/home/user/.lithops/agent/work/jobs"
    eventually(lambda: bool(warm.run(f"find {folder} -name 'data-*' -size +10M").stdout), "data arrive", 20)
    terminal.press(_CTRL_C)
    assert terminal.ended(2)[0] == -signal.SIGINT
    eventually(lambda: not alive(warm, pids), "the workers end", 2)


def test_sigterm_ends_the_script_alone(warm: Host, script: Any) -> None:
    terminal = script(WAYS["get_result"])
    pids = running(warm)
    os.kill(terminal.pid, signal.SIGTERM)
    with within(2):
        status, shown = terminal.ended(2)
    assert (status, "Traceback" in shown) == (-signal.SIGTERM, False)
    # What was submitted can be collected later, as after any other loss of the script.
    assert alive(warm, pids)
    warm.run(f"kill -9 {' '.join(pids)}")
