"""What lies below paramiko: the TCP connection, set up for low latency and for noticing a dead link."""

from __future__ import annotations

import errno
import socket
from typing import Protocol

from lithops.errors import HostError, HostTimeout, HostUnreachable
from lithops.ssh.deadline import Deadline
from lithops.ssh.target import SshTarget

CONNECT_CAP = 10.0
"""A host that has not answered a SYN after so many seconds is not going to."""
DEAD_AFTER = 15
"""Seconds of silence after which a link counts as dead."""
KEEPALIVE_INTERVAL = 5
_READ_SIZE = 1 << 18
_EAGER_ACKS = 32
"""Reads during which acknowledgements are hurried: the handshake, the login and the first command."""


class Socket(Protocol):
    """The part of a socket that paramiko uses; a channel of a jump host has it too."""

    def recv(self, size: int, /) -> bytes: ...

    def send(self, data: bytes, /) -> int: ...

    def settimeout(self, timeout: float | None, /) -> None: ...

    def close(self) -> None: ...


def open_tcp(target: SshTarget, deadline: Deadline) -> socket.socket:
    """Connect to the target's port; raises `HostUnreachable` in words that tell the reasons apart."""
    timeout = deadline.remaining(CONNECT_CAP)
    if not timeout:
        raise HostTimeout(f"no time was left to connect to {target.where}", host=target.name, phase="connect")
    try:
        sock = socket.create_connection((target.address, target.port), timeout)
    except OSError as exc:
        raise HostUnreachable(_reason(exc, target, timeout), host=target.name, phase="connect") from exc
    tune(sock)
    return sock


def _reason(exc: OSError, target: SshTarget, timeout: float) -> str:
    if isinstance(exc, socket.gaierror):
        return f"the name {target.address!r} is not known: {exc.strerror}"
    if isinstance(exc, ConnectionRefusedError):
        return f"nobody listens on {target.where}: the connection was refused; is sshd running, on this port?"
    if isinstance(exc, TimeoutError):
        return (
            f"no answer from {target.where} in {timeout:.0f} s: the machine is off, "
            f"the address is wrong, or a firewall drops the packets"
        )
    if exc.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f"no route to {target.where}: {exc.strerror}"
    return f"can't connect to {target.where}: {exc.strerror or exc}"


def tune(sock: socket.socket) -> None:
    """Send small packets at once, and have the kernel notice a dead peer.

    Without TCP_NODELAY an exec costs 48 ms: Nagle waits for the delayed acknowledgement of the peer.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": KEEPALIVE_INTERVAL,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL,
        "TCP_KEEPCNT": DEAD_AFTER // KEEPALIVE_INTERVAL - 1,
        "TCP_USER_TIMEOUT": DEAD_AFTER * 1000,
    }
    for name, value in options.items():
        # Not every system has each of these; the keepalive of SSH itself is there besides.
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class BufferedStream:
    """A socket whose small reads are served from large ones.

    paramiko reads each packet in two or three small pieces, each a system call or two. The stream also
    knows whether anything was ever received, which tells a silent host from one that hangs up.
    """

    def __init__(self, sock: Socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._position = 0
        self._closed = False
        is_tcp = isinstance(sock, socket.socket) and hasattr(socket, "TCP_QUICKACK")
        self._eager_acks = _EAGER_ACKS if is_tcp else 0
        self.received = 0
        self.ended = False
        self.unanswered = 0

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes, as of a socket."""
        if self._position >= len(self._buffer):
            self._buffer = self._sock.recv(_READ_SIZE)
            self._position = 0
            if self._eager_acks:
                self._acknowledge_at_once()
            self.received += len(self._buffer)
            self.unanswered = 0
            self.ended = not self._buffer
        data = self._buffer[self._position : self._position + size]
        self._position += len(data)
        return data

    def send(self, data: bytes) -> int:
        """Send what fits, as a socket does."""
        return self._sock.send(data)

    def settimeout(self, timeout: float | None) -> None:
        """Set the time-out of one read or write."""
        self._sock.settimeout(timeout)

    def close(self) -> None:
        """Close the connection below."""
        self._closed = True
        self._sock.close()

    def _acknowledge_at_once(self) -> None:
        """Have the kernel not hold back the next acknowledgement.

        sshd switches Nagle off when the first command starts; until then each of its small packets waits for
        the acknowledgement of the one before, which Linux delays by 40 ms.
        """
        self._eager_acks -= 1
        if isinstance(self._sock, socket.socket):
            try:
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            except OSError:
                # It was closed meanwhile, which the next read will say.
                self._eager_acks = 0

    def count_ping(self) -> None:
        """Called when a keepalive is sent; raises once several in a row had no answer.

        Counting pings and not seconds, so that a laptop that slept does not drop a good connection.
        """
        if self.unanswered * KEEPALIVE_INTERVAL >= DEAD_AFTER:
            raise TimeoutError(errno.ETIMEDOUT, f"no answer for {DEAD_AFTER} s")
        self.unanswered += 1


def closed_early(target: SshTarget) -> HostError:
    """The error for a port that hangs up before it said that it is SSH."""
    return HostUnreachable(
        f"{target.where} accepted the connection and closed it at once: sshd has too many connections "
        f"(MaxStartups), refuses this address, or it is not sshd",
        host=target.name,
        phase="connect",
    )
