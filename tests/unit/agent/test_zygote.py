"""The zygote as a program: what it says when it is told to fork, and what ends with it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from lithops_agent import zygote
from lithops_agent.worker_protocol import CALL_HEAD
from tests.unit.agent import functions
from tests.unit.agent.pools import is_alive, within, worker_path
from tests.unit.agent.processes import exit_code, fork, pause

_START = (
    "import sys; sys.path[0] = sys.argv[1]; "
    "from lithops_agent.zygote import zygote_main; zygote_main(int(sys.argv[2]))"
)


class Program:
    """A zygote in a process of its own, and the control socket as the agent has it."""

    def __init__(self, folder: Path) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(30)
        self._folder = folder
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START, worker_path(folder), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
            )

    def order(self, worker: int, **changes: Any) -> dict[str, Any]:
        return {
            "worker": worker, "note": str(self._folder / "note"), "folder": str(self._folder),
            "function": "/nonexistent", "modules": None, "env": {}, "cwd": "/", "home": "/", **changes,
        }  # fmt: skip

    def ask(self, message: dict[str, Any], to: socket.socket | None = None) -> socket.socket:
        """Send an order with descriptors; the queue of the worker, which ends when it is closed."""
        calls, calls_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        results, results_far = socket.socketpair()
        with results, results_far, calls_far:
            fds = [calls_far.fileno(), results_far.fileno(), 2]
            socket.send_fds(to or self.control, [json.dumps(message).encode()], fds)
        return calls

    def tell(self, message: dict[str, Any]) -> None:
        self.control.send(json.dumps(message).encode())

    def hear(self, kind: str) -> tuple[dict[str, Any], list[int]]:
        """The next thing of a kind that it says, and the descriptors that come with it."""
        while True:
            said, fds, _, _ = socket.recv_fds(self.control, 1 << 16, 1)
            assert said, "it has ended"
            message: dict[str, Any] = json.loads(said)
            if kind in message:
                return message, fds
            for fd in fds:
                os.close(fd)

    def close(self) -> None:
        self.control.close()
        assert self.process.wait(30) == 0


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.close()


def test_it_tells_of_the_start_and_of_the_end_of_a_worker(program: Program) -> None:
    with program.ask(program.order(7)):
        started, _ = program.hear("started")
        assert started["started"] == 7
        assert is_alive(started["pid"])
    exited, _ = program.hear("exited")
    assert (exited["exited"], exited["status"]) == (7, 0)
    assert exited["peak"] > 1 << 20


def test_what_a_worker_left_running_ends_with_it(program: Program, tmp_path: Path) -> None:
    function, begun = tmp_path / "function", tmp_path / "begun"
    function.write_bytes(cloudpickle.dumps(functions.hang_with_child))
    with program.ask(program.order(7, function=str(function))) as calls:
        pid = program.hear("started")[0]["pid"]
        calls.send(CALL_HEAD.pack(0, 1, 0) + pickle.dumps(((str(begun),), {})))
        child = int(within(10, lambda: begun.exists() and begun.read_text()))
        os.kill(pid, signal.SIGKILL)
        exited, _ = program.hear("exited")
    assert os.WTERMSIG(exited["status"]) == signal.SIGKILL
    within(10, lambda: not is_alive(child), "the end of what it had started")


def test_a_spare_is_ready_before_it_is_wanted(program: Program) -> None:
    spare, (fd,) = program.hear("spare")
    with socket.socket(fileno=fd) as orders, program.ask(program.order(3), to=orders):
        program.tell({"worker": 3, "adopted": spare["spare"]})
        another, fds = program.hear("spare")
        os.close(fds[0])
        assert another["spare"] != spare["spare"]
    exited, _ = program.hear("exited")
    assert (exited["exited"], exited["status"]) == (3, 0)


def test_a_spare_that_ended_before_it_was_told_whose_it_is(program: Program) -> None:
    spare, (fd,) = program.hear("spare")
    os.close(fd)
    # It ended, for nobody can give it an order any more, and was replaced.
    os.close(program.hear("spare")[1][0])
    program.tell({"worker": 5, "adopted": spare["spare"]})
    exited, _ = program.hear("exited")
    assert (exited["exited"], exited["status"]) == (5, 0)


def test_all_workers_end_with_the_agent(program: Program) -> None:
    with program.ask(program.order(1)), program.ask(program.order(2)):
        pids = [program.hear("started")[0]["pid"] for _ in range(2)]
        program.close()
        within(10, lambda: not any(map(is_alive, pids)), "the end of the workers")


def test_all_that_workers_started_ends_though_one_ended_as_the_agent_did(
    program: Program, tmp_path: Path
) -> None:
    """The zygote learns of both at once, and has nobody to tell of the worker."""
    function, begun = tmp_path / "function", tmp_path / "begun"
    function.write_bytes(cloudpickle.dumps(functions.hang_with_child))
    with program.ask(program.order(1, function=str(function))) as calls, program.ask(program.order(2)):
        pids = [program.hear("started")[0]["pid"] for _ in range(2)]
        calls.send(CALL_HEAD.pack(0, 1, 0) + pickle.dumps(((str(begun),), {})))
        child = int(within(10, lambda: begun.exists() and begun.read_text()))
        program.process.send_signal(signal.SIGSTOP)
        os.kill(pids[1], signal.SIGKILL)
        within(10, lambda: not is_alive(pids[1]))
        program.control.close()
        program.process.send_signal(signal.SIGCONT)
        program.close()
        within(10, lambda: not is_alive(child), "the end of what a worker had started")


def test_a_zygote_ends_workers_that_have_no_process_group_yet() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = fork(pause)
    assert os.getpgid(pid) == os.getpgid(0)
    forking = zygote.Zygote(theirs)
    forking._children[pid] = 1
    ours.close()
    forking._end_all()
    assert exit_code(pid) == -signal.SIGKILL
    theirs.close()
