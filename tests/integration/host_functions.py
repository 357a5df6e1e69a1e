"""Functions that tests of hosts send there; this module imports nothing that a host lacks."""

from __future__ import annotations

import os
import socket
import time

MARKS = "/tmp/lithops-test-marks"
GO = "/tmp/lithops-test-go"


def mark(number: int, seconds: float) -> int:
    """A call that leaves a line in a file of the host when it begins, and takes its time."""
    fd = os.open(MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(fd, f"{number}\n".encode())
    os.close(fd)
    time.sleep(seconds)
    return number


def where(number: int, seconds: float) -> tuple[int, str]:
    """A call that takes its time, and tells which host it ran on."""
    time.sleep(seconds)
    return number, socket.gethostname()


def bytes_of(size: int, seconds: float = 0.0) -> bytes:
    """A result of this size."""
    time.sleep(seconds)
    return os.urandom(size)


def marked(number: int, size: int) -> bytes:
    """A call that leaves a mark, waits for the file GO, and has a result of this size and its number."""
    mark(number, 0)
    while not os.path.exists(GO):
        time.sleep(0.01)
    return number.to_bytes(4, "big") + os.urandom(size)
