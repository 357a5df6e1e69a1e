"""A channel as a socket."""

from __future__ import annotations

from typing import Any

import pytest

from lithops.errors import HostTimeout
from lithops.ssh.channel import ChannelSocket


class FakeChannel:
    """Gives what it was told, and takes at most seven bytes at a time."""

    def __init__(self, *incoming: bytes) -> None:
        self.incoming = list(incoming)
        self.sent = bytearray()
        self.closed = False

    def recv(self, nbytes: int) -> bytes:
        return self.incoming.pop(0) if self.incoming else b""

    def send(self, s: Any) -> int:
        if self.closed:
            raise OSError("Socket is closed")
        self.sent += s[:7]
        return len(s[:7])

    def settimeout(self, timeout: float | None) -> None:
        self.timeout = timeout

    def shutdown_write(self) -> None:
        self.sent += b"<eof>"

    def close(self) -> None:
        self.closed = True


def test_lines_and_blocks_are_cut_out_of_what_arrives() -> None:
    file = ChannelSocket(FakeChannel(b"HTTP/1.1 2", b"00 OK\r\nab", b"cdef")).makefile("rb")
    assert file.readline() == b"HTTP/1.1 200 OK\r\n"
    assert file.read(3) == b"abc"
    assert file.read() == b"def"


def test_recv_gives_no_more_than_asked() -> None:
    sock = ChannelSocket(FakeChannel(b"abcdef"))
    assert [sock.recv(4), sock.recv(4), sock.recv(4)] == [b"abcd", b"ef", b""]


def test_everything_is_sent() -> None:
    channel = FakeChannel()
    sock = ChannelSocket(channel)
    sock.sendall(memoryview(b"0123456789" * 3))
    assert channel.sent == b"0123456789" * 3


def test_a_closed_channel_is_a_broken_pipe() -> None:
    channel = FakeChannel()
    channel.close()
    with pytest.raises(BrokenPipeError):
        ChannelSocket(channel).sendall(b"x")


def test_the_end_of_the_connection_is_a_broken_pipe_as_well() -> None:
    class Ended(FakeChannel):
        def send(self, s: Any) -> int:
            raise EOFError

    with pytest.raises(BrokenPipeError):
        ChannelSocket(Ended()).sendall(b"x")


def test_silence_is_a_timeout_that_names_the_host() -> None:
    class Silent(FakeChannel):
        def recv(self, nbytes: int) -> bytes:
            raise TimeoutError

    with pytest.raises(HostTimeout) as raised:
        ChannelSocket(Silent(), "web").recv(1)
    assert raised.value.host == "web"


def test_the_channel_closes_after_the_last_file() -> None:
    channel = FakeChannel()
    sock = ChannelSocket(channel)
    file = sock.makefile("rb")
    sock.close()
    assert not channel.closed
    file.close()
    assert channel.closed
