"""HTTP over any socket-like: a channel of an SSH connection, or a plain socket on this machine."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

_CORK_LIMIT = 32_000
"""A header and a body up to this size go out in one write, hence in one packet of SSH."""
_BLOCK = 1 << 18


class SocketLike(Protocol):
    """What HTTP needs of a socket."""

    def sendall(self, data: Any, /) -> None: ...

    def makefile(self, mode: str, /) -> io.BufferedReader: ...

    def settimeout(self, timeout: float | None, /) -> None: ...

    def close(self) -> None: ...


Opener = Callable[[float], SocketLike]
"""Opens a connection within so many seconds."""


class ChannelHTTPConnection(http.client.HTTPConnection):
    """An HTTP/1.1 connection that stays open between requests.

    A broken connection raises a `ConnectionError`, a read that takes longer than ``timeout`` a
    `TimeoutError`. A request's body may be bytes, a file or an iterable of bytes.
    """

    def __init__(self, opener: Opener, timeout: float = 60.0) -> None:
        super().__init__("localhost", timeout=timeout, blocksize=_BLOCK)
        self._opener = opener
        self._cork: bytearray | None = None

    def connect(self) -> None:
        """Open the connection; called by the first request."""
        self.sock: Any = self._opener(float(self.timeout or 60.0))
        self.sock.settimeout(self.timeout)

    def set_timeout(self, timeout: float) -> None:
        """Change the time-out, from the next read or write on."""
        self.timeout = timeout
        if self.sock is not None:
            self.sock.settimeout(timeout)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request, with as few writes as possible."""
        self._cork = bytearray()
        try:
            super().request(*args, **kwargs)
            self._uncork()
        finally:
            self._cork = None

    def send(self, data: Any) -> None:
        """Send bytes, a file or an iterable; small pieces are gathered while a request is being built."""
        if self._cork is None or not isinstance(data, (bytes, bytearray, memoryview)):
            self._uncork()
            super().send(data)
        elif len(self._cork) + len(data) <= _CORK_LIMIT:
            self._cork += data
        else:
            self._uncork()
            super().send(data)

    def _uncork(self) -> None:
        corked, self._cork = self._cork, None
        if corked:
            super().send(bytes(corked))
        self._cork = None if corked is None else bytearray()


def open_local(port: int) -> Opener:
    """Opens plain connections to a port of this machine's loopback."""

    def open_socket(timeout: float) -> SocketLike:
        sock = socket.create_connection(("127.0.0.1", port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A real socket has more than the protocol asks for, in signatures that say it differently.
        return cast(SocketLike, sock)

    return open_socket


def read_body(response: http.client.HTTPResponse) -> bytes | bytearray:
    """The whole body; raises `ConnectionResetError` when the connection ends before it is complete."""
    size = response.length
    try:
        if size is None:
            return response.read()
        body = bytearray(size)
        view = memoryview(body)
        done = 0
        while done < size and (count := response.readinto(view[done:])):
            done += count
    except http.client.IncompleteRead as exc:
        raise ConnectionResetError("the answer ended in the middle") from exc
    if done < size:
        raise ConnectionResetError(f"the answer ended after {done} of {size} bytes")
    # The last read leaves the response open when it was exact; closing frees the connection for the next.
    response.close()
    return body


def iter_body(response: http.client.HTTPResponse, size: int = _BLOCK) -> Iterator[bytes]:
    """The body in pieces of up to ``size`` bytes; raises `ConnectionResetError` as `read_body` does."""
    left = response.length
    try:
        while data := response.read(size):
            left = None if left is None else left - len(data)
            yield data
    except http.client.IncompleteRead as exc:
        raise ConnectionResetError("the answer ended in the middle") from exc
    if left:
        raise ConnectionResetError(f"the answer ended {left} bytes early")
