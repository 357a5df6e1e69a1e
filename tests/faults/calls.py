"""Functions that faults meet. They go by the name of this module, which needs nothing that a host lacks."""

from __future__ import annotations

import os
import signal
import time

MARKS = "/var/tmp/lithops-executions-{uid}"
"""A file of the host that outlives a power cut: a line for each execution that has begun."""


def call(program: str, number: int, seconds: float) -> tuple[int, str]:
    """Leave a line on the host, take some time, and tell which execution this was."""
    execution = f"{os.uname().nodename}-{os.getpid()}-{time.time_ns()}"
    fd = os.open(MARKS.format(uid=os.getuid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, f"{program} {number} {execution}\n".encode())
    os.close(fd)
    time.sleep(seconds)
    return number, execution


def deadly(program: str, number: int, seconds: float) -> tuple[int, str]:
    """As `call`; but every third one kills its worker, each time that it runs."""
    done = call(program, number, seconds)
    if number % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
