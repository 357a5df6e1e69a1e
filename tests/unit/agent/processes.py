"""Processes that tests fork and wait for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NoReturn


def fork(child: Callable[[], object]) -> int:
    """Run something in a process of its own, which exits with 99 when that returns."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(99)
    return pid


def exit_code(pid: int) -> int:
    """Wait for the end of a child; what it exited with, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def pause() -> NoReturn:
    """Wait for a signal that ends this process."""
    while True:
        signal.pause()
