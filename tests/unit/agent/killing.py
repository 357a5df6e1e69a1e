"""Kills a process before the n-th thing that it asks of the kernel, as SIGKILL may at any moment."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable

import pytest

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200
_EXITKILL = 0x100000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def run_and_kill(action: Callable[[Callable[[], None]], None], at: int) -> tuple[int, bool]:
    """Run ``action`` in a process that is killed before its ``at``-th system call.

    The action is handed a function to tell its progress with. Returns how often it did, and whether the
    process was killed before the action was over.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_traced(lambda: action(lambda: _tell(write)))
    os.close(write)
    try:
        killed = _follow(pid, at)
        with open(read, "rb", closefd=False) as told:
            return len(told.read()), killed
    finally:
        os.close(read)


def _tell(pipe: int) -> None:
    os.write(pipe, b".")


def _be_traced(action: Callable[[], None]) -> None:
    code = 2
    try:
        if _libc.ptrace(_TRACEME, 0, None, None) == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            code = 1
            action()
            code = 0
    except BaseException:  # noqa: BLE001 - the child must not go on as a test
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _follow(pid: int, at: int) -> bool:
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        pytest.skip("processes can't be traced here")
    _libc.ptrace(_SETOPTIONS, pid, None, _EXITKILL)
    # The kernel stops the process before and after each call.
    for _ in range(2 * at + 1):
        _libc.ptrace(_SYSCALL, pid, None, None)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return False
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True
