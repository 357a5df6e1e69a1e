"""Starting an agent: exactly one runs, of the wanted bundle, and it says where it listens."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops_agent import launch
from lithops_agent.fence import Orders
from lithops_agent.launch import Busy, LaunchFailed, Vanished, ensure_running, release_of
from lithops_agent.statefile import StateFile
from tests.unit.agent.pools import is_alive, within

# ---- a stand-in for the agent -----------------------------------------------------------------------

AGENT = '''
"""Listens, tells its state, and ends when it is told to; what it does is in files beside it."""
import http.server, json, os, signal, sys
from pathlib import Path
from lithops_agent.statefile import StateFile, boot_id
home = Path(sys.argv[sys.argv.index("--home") + 1])
here = Path(sys.argv[0]).parent
with open(home / "starts", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if (here / "deaf").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if (here / "fail").exists():
    sys.exit((here / "fail").read_text())
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.headers["Authorization"] == "Bearer secret"
        self.answer((here / "status").read_bytes())
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
StateFile(home).write({"port": server.server_port, "token": "secret", "version": "0.0.1",
    "bundle": Path(sys.argv[0]).stem.split("-")[1], "pid": os.getpid(), "boot_id": boot_id()})
server.serve_forever()
StateFile(home).remove()
'''


def orders(program: str, unit: str = "none") -> Orders:
    """Those of an agent that stays for ever."""
    return Orders(None, "remove", unit, program)


class Machine:
    """A home folder, and bundles of stand-ins for the agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.set(status={"waiting": {}, "running": []})

    def set(self, *, status: dict[str, Any] | None = None, fail: str | None = None) -> None:
        if status is not None:
            (self.folder / "status").write_text(json.dumps(status))
        if fail is not None:
            (self.folder / "fail").write_text(fail)

    def bundle(self, release: str) -> str:
        path = self.folder / f"agent-{release}-0123.py"
        path.write_text(AGENT)
        return str(path)

    def start(self, release: str = "one", *options: str) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(ensure_running(self.home, orders(self.bundle(release)), options))
        return state

    @property
    def starts(self) -> list[str]:
        try:
            return (self.home / "starts").read_text().splitlines()
        except FileNotFoundError:
            return []


def reap(pid: int) -> None:
    """Here the agent is a child of the test, which has to take note of its end."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # It was noted before.


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    # A process that has ended and was not waited for by its parent, the test, counts as ended.
    monkeypatch.setattr(launch, "_alive", is_alive)
    yield machine
    state = StateFile(machine.home).read()
    if state is not None:
        os.kill(state["pid"], signal.SIGKILL)
        reap(state["pid"])


# ---- started once -----------------------------------------------------------------------------------


def test_an_agent_is_started_and_its_state_told(machine: Machine) -> None:
    state = machine.start("one", "--processes", "3")
    assert state["bundle"] == "one"
    assert is_alive(state["pid"])
    assert StateFile(machine.home).read() == state
    assert machine.starts == [f"serve --home {machine.home} --processes 3"]
    assert stat.S_IMODE((machine.home / "agent.log").stat().st_mode) == 0o600
    assert os.getsid(state["pid"]) == state["pid"], "it would end with the login that started it"


def test_an_agent_that_runs_is_not_started_again(machine: Machine) -> None:
    assert machine.start() == machine.start()
    assert len(machine.starts) == 1


def test_many_starts_at_once_start_one(machine: Machine) -> None:
    states: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: states.append(machine.start())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(machine.starts) == 1
    assert states == [states[0]] * 5


def test_an_agent_that_was_killed_is_started_again(machine: Machine) -> None:
    first = machine.start()
    os.kill(first["pid"], signal.SIGKILL)
    reap(first["pid"])
    second = machine.start()
    assert second["pid"] != first["pid"]
    assert len(machine.starts) == 2


# ---- another release --------------------------------------------------------------------------------


def test_an_idle_agent_of_another_release_is_replaced(machine: Machine) -> None:
    old = machine.start("one")
    new = machine.start("two")
    within(10, lambda: not is_alive(old["pid"]))
    assert new["bundle"] == "two"
    assert is_alive(new["pid"])
    reap(old["pid"])


@pytest.mark.parametrize(
    "load", [{"waiting": {"a": 1}, "running": []}, {"waiting": {}, "running": [["a", 0]]}]
)
def test_a_busy_agent_of_another_release_is_left_alone(machine: Machine, load: dict[str, Any]) -> None:
    machine.set(status=load)
    old = machine.start("one")
    with pytest.raises(Busy, match=r"version 0\.0\.1 \(bundle one\) runs jobs here"):
        machine.start("two")
    assert is_alive(old["pid"])
    assert machine.start("one") == old


def test_an_agent_of_another_release_that_does_not_listen_and_does_not_end_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_STOP_TIMEOUT", 0.1)
    (machine.folder / "deaf").touch()
    old = machine.start("one")
    StateFile(machine.home).write({**old, "port": 1})
    with pytest.raises(LaunchFailed, match="does not end"):
        machine.start("two")


def test_a_program_that_was_removed_while_the_lock_was_waited_for(machine: Machine) -> None:
    """The second fence, which holds the lock, removes all that an earlier agent has put there."""
    with pytest.raises(Vanished, match="was removed"):
        ensure_running(machine.home, orders(str(machine.folder / "agent-one-0123.zip")), [])
    assert not (machine.home / "fence.json").exists()


# ---- failures ---------------------------------------------------------------------------------------


def test_an_agent_that_ends_at_once_tells_what_it_wrote(machine: Machine) -> None:
    machine.set(fail="there is no room for me")
    with pytest.raises(LaunchFailed, match="ended with code 1: there is no room for me"):
        machine.start()


def test_an_agent_that_does_not_answer_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_START_TIMEOUT", 0.1)
    program = machine.folder / "agent-slow-0.py"
    program.write_text("import time; print('still thinking', flush=True); time.sleep(60)")
    started: list[int] = []
    monkeypatch.setattr(launch, "_start_daemon", remember(launch._start_daemon, started))
    try:
        with pytest.raises(LaunchFailed, match=r"did not answer within 0\.1 s"):
            ensure_running(machine.home, orders(str(program)), [])
    finally:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
            reap(pid)


def remember(start: Callable[..., Any], pids: list[int]) -> Callable[..., Any]:
    def starting(*arguments: Any) -> Any:
        process = start(*arguments)
        pids.append(process.pid)
        return process

    return starting


# ---- systemd ----------------------------------------------------------------------------------------

SYSTEMD_RUN = """#!/bin/sh
echo "$0 $@" >> {log}
case $(wc -l < {log}) in
{cases}
esac
"""


@pytest.fixture
def systemd(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts programs named systemd-run and sudo on PATH that do what a test says; where they write calls."""

    def install(cases: str) -> Path:
        log = machine.folder / "systemd.log"
        programs = machine.folder / "bin"
        programs.mkdir()
        (programs / "systemd-run").write_text(SYSTEMD_RUN.format(log=log, cases=cases))
        (programs / "sudo").write_text('#!/bin/sh\nshift; exec "$@"\n')
        for program in programs.iterdir():
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        return log

    return install


START = 'while [ "${1#--}" != "$1" ]; do shift; done; setsid "$@" </dev/null >/dev/null 2>&1 &'


def test_a_unit_of_the_system_runs_as_this_user(machine: Machine, systemd: Callable[[str], Path]) -> None:
    log = systemd(f"*) {START} ;;")
    state = json.loads(ensure_running(machine.home, orders(machine.bundle("one"), "system"), ["--soft", "5"]))
    assert is_alive(state["pid"])
    (call,) = log.read_text().splitlines()
    assert f"--uid={os.getuid()} --gid={os.getgid()}" in call
    assert "--property=Restart=on-failure" in call
    assert "--user" not in call
    assert call.endswith(f"serve --home {machine.home} --soft 5")
    assert machine.starts == [f"serve --home {machine.home} --soft 5"]


def test_a_unit_of_the_user(machine: Machine, systemd: Callable[[str], Path]) -> None:
    log = systemd(f"*) {START} ;;")
    ensure_running(machine.home, orders(machine.bundle("one"), "user"), [])
    (call,) = log.read_text().splitlines()
    assert " --user " in call
    assert "--uid" not in call


def test_a_unit_that_is_still_there_is_waited_for(machine: Machine, systemd: Callable[[str], Path]) -> None:
    log = systemd(f"[12]) echo Unit x was already loaded >&2; exit 1 ;;\n*) {START} ;;")
    ensure_running(machine.home, orders(machine.bundle("one"), "user"), [])
    assert len(log.read_text().splitlines()) == 3


def test_what_systemd_refuses_is_told(machine: Machine, systemd: Callable[[str], Path]) -> None:
    systemd("*) echo Failed to connect to bus >&2; exit 1 ;;")
    with pytest.raises(LaunchFailed, match="systemd-run failed with code 1: Failed to connect to bus"):
        ensure_running(machine.home, orders(machine.bundle("one"), "user"), [])


# ---- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "release"),
    [
        ("/home/me/.lithops/agent-abc123-ffff.zip", "abc123"),
        ("agent-abc123.zip", "abc123"),
        ("/x/serve.py", "serve"),
    ],
)
def test_a_bundle_names_its_release(program: str, release: str) -> None:
    assert release_of(program) == release
