"""The exit of a program: hosts are told of it before libraries end their connections."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit
from lithops import at_exit
at_exit.register(lambda: print("ours"))
last = at_exit._callbacks[0]
at_exit.register(last)
atexit.register(lambda: print("theirs"))
at_exit.go_first()
"""
IMPORTS = """
from lithops import at_exit
at_exit.register(lambda: print("ours"))
import lithops.ssh._paramiko
from paramiko import transport
class Connection:
    def stop_thread(self):
        print("paramiko's")
transport._active_threads.append(Connection())
"""


def run(program: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    return ended.stdout.split()


def test_what_goes_first_is_called_first_and_once() -> None:
    assert run(PROGRAM) == ["ours", "theirs"]


def test_ours_is_called_before_the_end_of_paramikos_connections() -> None:
    assert run(IMPORTS) == ["ours", "paramiko's"]
