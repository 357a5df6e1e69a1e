"""Workers end with the zygote that forked them, at whatever moment it ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from lithops_agent import worker


def fork(child: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(99)
    return pid


def pause() -> NoReturn:
    while True:
        signal.pause()


def test_a_worker_whose_zygote_has_ended_already_ends() -> None:
    """The kernel tells only of a parent that ends after it was asked to."""
    pid = fork(lambda: worker.die_with(os.getpid() + 1))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    parent = os.getpid()
    pid = fork(lambda: worker.die_with(parent))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 99


def test_a_zygote_ends_workers_that_have_no_process_group_yet() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = fork(pause)
    assert os.getpgid(pid) == os.getpgid(0)
    zygote = worker.Zygote(theirs)
    zygote._children[pid] = 1
    ours.close()
    zygote._end_all()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    theirs.close()
