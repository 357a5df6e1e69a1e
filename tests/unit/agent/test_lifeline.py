"""Processes end with those that made them, at whatever moment these end."""

from __future__ import annotations

import os
import signal

from lithops_agent.lifeline import die_with
from tests.unit.agent.pools import is_alive, within
from tests.unit.agent.processes import exit_code, fork, pause


def test_a_process_whose_parent_has_ended_already_ends() -> None:
    """The kernel tells only of a parent that ends after it was asked to."""
    assert exit_code(fork(lambda: die_with(os.getpid() + 1))) == 0
    parent = os.getpid()
    assert exit_code(fork(lambda: die_with(parent))) == 99


def test_a_process_is_killed_when_its_parent_ends() -> None:
    read, write = os.pipe()

    def child(parent: int) -> None:
        die_with(parent)
        os.write(write, str(os.getpid()).encode())
        pause()

    def parent() -> None:
        me = os.getpid()
        fork(lambda: child(me))
        pause()

    pid = fork(parent)
    grandchild = int(os.read(read, 20))
    assert is_alive(grandchild)
    os.kill(pid, signal.SIGKILL)
    assert exit_code(pid) == -signal.SIGKILL
    within(10, lambda: not is_alive(grandchild), "the end of the child")
    os.close(read)
    os.close(write)
