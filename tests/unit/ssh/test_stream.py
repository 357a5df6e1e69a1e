"""The buffered stream below paramiko, and deadlines."""

from __future__ import annotations

import socket

import pytest

from lithops.errors import HostUnreachable
from lithops.ssh.deadline import Deadline
from lithops.ssh.stream import BufferedStream, _reason
from lithops.ssh.target import SshTarget


def test_small_reads_come_from_one_large_one() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"abcdef")
        stream = BufferedStream(ours)
        assert [stream.recv(4), stream.recv(4)] == [b"abcd", b"ef"]
        assert stream.received == 6
        theirs.close()
        assert stream.recv(1) == b""
        assert stream.ended


def test_pings_without_an_answer_end_the_connection() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = BufferedStream(ours)
        for _ in range(3):
            stream.count_ping()
        theirs.sendall(b"x")
        stream.recv(1)
        for _ in range(3):
            stream.count_ping()
        with pytest.raises(TimeoutError):
            stream.count_ping()


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "name 'h' is not known"),
        (ConnectionRefusedError(111, "Connection refused"), "nobody listens on h:22"),
        (TimeoutError("timed out"), "firewall"),
        (OSError(113, "No route to host"), "no route to h:22"),
        (OSError(101, "Network is unreachable"), "no route to h:22"),
        (OSError(1, "Odd"), "can't connect to h:22: Odd"),
    ],
)
def test_reasons_are_told_apart(exc: OSError, words: str) -> None:
    assert words in _reason(exc, SshTarget(name="n", address="h", username="u"), 10)
    assert issubclass(HostUnreachable, ConnectionError)


def test_deadlines() -> None:
    now = [100.0]
    deadline = Deadline.after(5, lambda: now[0])
    assert deadline.remaining() == 5
    assert deadline.remaining(2) == 2
    now[0] = 105.0
    assert deadline.expired
    assert deadline.remaining() == 0
