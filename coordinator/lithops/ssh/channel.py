"""A channel of an SSH connection as a socket: for HTTP, and for anything that reads and writes."""

from __future__ import annotations

import io
import socket
from typing import Any, Protocol

from lithops.errors import HostTimeout

_TAKE_ALL = 1 << 30
_BUFFER = 1 << 16


class Channel(Protocol):
    """What is used of paramiko's channel."""

    closed: bool

    def recv(self, nbytes: int) -> bytes: ...

    def send(self, s: Any) -> int: ...

    def settimeout(self, timeout: float | None) -> None: ...

    def shutdown_write(self) -> None: ...

    def close(self) -> None: ...


def send_all(channel: Channel, data: Any) -> None:
    """Send everything. Raises `BrokenPipeError` when the other side has closed, or `TimeoutError`."""
    rest = memoryview(data).cast("B")
    while rest:
        try:
            sent = channel.send(rest)
        except TimeoutError:
            raise
        except (OSError, EOFError) as exc:
            raise BrokenPipeError(f"the channel is closed: {exc}") from exc
        if not sent:
            raise BrokenPipeError("the channel is closed")
        rest = rest[sent:]


class ChannelSocket(io.RawIOBase):
    """The part of a socket that `http.client` uses, on top of a channel.

    paramiko's own file object reads line by line in Python, and its channel copies what is left of its
    buffer at each read of a part: taking everything that has arrived makes downloads ten times as fast.
    The channel is closed when the socket and every file made from it are closed, as with a socket.
    """

    def __init__(self, channel: Channel, host: str = "") -> None:
        super().__init__()
        self._channel = channel
        self._host = host
        self._rest = memoryview(b"")
        self._files = 0
        self._wants_close = False

    def readable(self) -> bool:
        """It can be read."""
        return True

    def writable(self) -> bool:
        """It can be written."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read up to the buffer's size; 0 at the end. Raises `HostTimeout`."""
        if not self._rest:
            try:
                self._rest = memoryview(self._channel.recv(_TAKE_ALL))
            except TimeoutError as exc:
                raise HostTimeout("no answer came in time", host=self._host, phase="collect") from exc
        size = min(len(buffer), len(self._rest))
        memoryview(buffer).cast("B")[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def recv(self, size: int) -> bytes:
        """Read up to ``size`` bytes, as a socket does."""
        data = bytearray(min(size, _BUFFER if not self._rest else len(self._rest)))
        return bytes(data[: self.readinto(data)])

    def sendall(self, data: Any) -> None:
        """Send everything. Raises `BrokenPipeError` when the other side has closed, or `HostTimeout`."""
        try:
            send_all(self._channel, data)
        except TimeoutError as exc:
            raise HostTimeout("it took no more data in time", host=self._host, phase="submit") from exc

    def write(self, data: Any, /) -> int:
        """Send everything; returns its size."""
        self.sendall(data)
        return memoryview(data).nbytes

    def settimeout(self, timeout: float | None) -> None:
        """Set the time-out of one read or write, in seconds; None waits for ever."""
        self._channel.settimeout(timeout)

    def shutdown(self, how: int) -> None:
        """Tell the other side that nothing more is sent (``SHUT_WR``), or end both ways."""
        if how == socket.SHUT_WR:
            self._channel.shutdown_write()
        else:
            self._channel.close()

    def makefile(self, mode: str = "rb", buffering: int | None = None) -> io.BufferedReader:
        """A buffered reader of this socket; only ``rb``."""
        if mode not in ("r", "rb"):
            raise ValueError(f"only rb, not {mode!r}")
        self._files += 1
        return io.BufferedReader(_Reader(self), buffering if buffering and buffering > 0 else _BUFFER)

    def close(self) -> None:
        """Close it, once the files that were made from it are closed too."""
        self._wants_close = True
        if self._files <= 0 and not self.closed:
            try:
                self._channel.close()
            except (OSError, EOFError):
                pass  # The connection has ended, and the channel with it.
            super().close()

    def file_closed(self) -> None:
        """Called by a file that was made from this socket."""
        self._files -= 1
        if self._wants_close:
            self.close()


class _Reader(io.RawIOBase):
    """The raw side of a file made from a `ChannelSocket`."""

    def __init__(self, sock: ChannelSocket) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._sock.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock.file_closed()
