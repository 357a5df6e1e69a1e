"""HTTP over a socket-like."""

from __future__ import annotations

import http.client
import io
from typing import Any

import pytest

from lithops.ssh.http import ChannelHTTPConnection, iter_body, read_body

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class FakeSocket:
    """Answers with bytes made before; keeps each write apart."""

    def __init__(self, answer: bytes) -> None:
        self.answer = Unclosed(io.BytesIO(answer))
        self.writes: list[bytes] = []
        self.timeout: float | None = None

    def sendall(self, data: Any, /) -> None:
        self.writes.append(bytes(data))

    def makefile(self, mode: str, /) -> io.BufferedReader:
        return self.answer

    def settimeout(self, timeout: float | None, /) -> None:
        self.timeout = timeout

    def close(self) -> None:
        pass


class Unclosed(io.BufferedReader):
    """Shares what it reads with the next answer's file, as files of one socket do."""

    def close(self) -> None:
        pass


def connect(answer: bytes) -> tuple[ChannelHTTPConnection, FakeSocket]:
    sock = FakeSocket(answer)
    return ChannelHTTPConnection(lambda timeout: sock, timeout=7), sock


def respond(answer: bytes) -> http.client.HTTPResponse:
    connection, _ = connect(answer)
    connection.request("GET", "/")
    return connection.getresponse()


def test_a_small_request_is_one_write() -> None:
    connection, sock = connect(OK % 0)
    connection.request("POST", "/v1/jobs", body=b"x" * 1000, headers={"A": "b"})
    assert len(sock.writes) == 1
    assert sock.writes[0].startswith(b"POST /v1/jobs HTTP/1.1\r\n")
    assert sock.writes[0].endswith(b"\r\n\r\n" + b"x" * 1000)
    assert sock.timeout == 7


def test_a_large_body_is_not_copied_into_the_first_write() -> None:
    connection, sock = connect(OK % 0)
    connection.request("POST", "/", body=b"x" * 100_000)
    assert [write[-1:] for write in sock.writes] == [b"\n", b"x"]


@pytest.mark.parametrize("body", [iter([b"ab", b"cd"]), io.BytesIO(b"abcd")])
def test_iterators_and_files_as_bodies(body: Any) -> None:
    connection, sock = connect(OK % 0)
    connection.request("POST", "/", body=body, headers={"Content-Length": "4"})
    assert b"".join(sock.writes).endswith(b"\r\n\r\nabcd")


def test_the_connection_is_used_again() -> None:
    connection, sock = connect(OK % 2 + b"ab" + OK % 3 + b"cde")
    bodies = []
    for _ in range(2):
        connection.request("GET", "/")
        bodies.append(bytes(read_body(connection.getresponse())))
    assert bodies == [b"ab", b"cde"]
    assert len(sock.writes) == 2


def test_bodies_without_a_length() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert read_body(respond(chunked)) == b"abc"
    assert b"".join(iter_body(respond(chunked))) == b"abc"


def test_an_answer_that_ends_early_is_a_reset() -> None:
    with pytest.raises(ConnectionResetError):
        read_body(respond(OK % 5 + b"ab"))
    with pytest.raises(ConnectionResetError):
        list(iter_body(respond(OK % 5 + b"ab")))
    with pytest.raises(ConnectionError):
        respond(b"")
