"""The way to a package index over a host, for a machine that has none: an HTTP proxy on this loopback.

What is asked of it goes through the SSH connection and starts at the host, where names are looked up, too.
It wants a login, which only the program that it was made for is told: others on this machine can't use it.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import socket
import socketserver
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lithops.backends.machine import Far, Reach
from lithops.errors import HostError

_HEAD_LIMIT = 1 << 16
_CHUNK = 1 << 16
_USER = "lithops"
_OWN_HEADERS = ("proxy-authorization", "proxy-connection", "connection")
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_REASONS = {
    400: "Bad Request",
    407: "Proxy Authentication Required\r\nProxy-Authenticate: Basic",
    502: "Bad Gateway",
}


class Refused(Exception):
    """A request that is not carried out; ``status`` is what HTTP calls it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} {_REASONS[status]}")
        self.status = status


@dataclass(frozen=True)
class Order:
    """Where a connection is to lead, and what is sent there first ('': the client is told to go on)."""

    host: str
    port: int
    first: bytes


def read_order(head: bytes, password: str) -> Order:
    """What the head of a request to the proxy asks for. Pure. Raises `Refused`."""
    try:
        lines = head.decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        headers = [line.partition(":") for line in lines[1:] if line]
        connects = method == "CONNECT"
        parts = urllib.parse.urlsplit(f"//{target}" if connects else target)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        raise Refused(400) from None
    given = [value.strip() for name, _, value in headers if name.lower() == "proxy-authorization"]
    wanted = base64.b64encode(f"{_USER}:{password}".encode()).decode()
    if len(given) != 1 or not secrets.compare_digest(given[0].encode("latin-1"), f"Basic {wanted}".encode()):
        raise Refused(407)
    if not host or not (connects or parts.scheme == "http"):
        raise Refused(400)
    if connects:
        return Order(host, port, b"")
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    kept = [f"{name}:{value}" for name, colon, value in headers if colon and name.lower() not in _OWN_HEADERS]
    # One request a connection: the next one may be for somewhere else.
    text = "\r\n".join([f"{method} {path} {version}", *kept, "Connection: close", "", ""])
    return Order(host, port, text.encode("latin-1"))


def variables_for(environment: Mapping[str, str], proxy: str) -> dict[str, str]:
    """An environment in which everything goes through a proxy. Pure."""
    kept = {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
    return {**kept, **{name: proxy for upper in _VARIABLES for name in (upper, upper.lower())}}


@contextlib.contextmanager
def way_over(reach: Reach) -> Iterator[str]:
    """The URL, with its login, of a proxy whose connections are made by ``reach``."""
    with _Proxy(reach) as server:
        thread = threading.Thread(
            target=server.serve_forever, args=(0.05,), name="way to the index", daemon=True
        )
        thread.start()
        try:
            yield f"http://{_USER}:{server.password}@127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, reach: Reach) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reach = reach
        self.password = secrets.token_urlsafe(24)


class _Handler(socketserver.StreamRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        """Carry out one request, or lead one connection."""
        try:
            order = read_order(self._head(), self.server.password)
            with contextlib.closing(self._reach(order)) as far:
                far.settimeout(None)
                if order.first:
                    far.sendall(order.first)
                else:
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._back, args=(far,), name="from the index", daemon=True)
                back.start()
                while data := self.rfile.read1(_CHUNK):
                    far.sendall(data)
                far.shutdown(socket.SHUT_WR)
                back.join()
        except Refused as exc:
            with contextlib.suppress(OSError):
                self.wfile.write(f"HTTP/1.1 {exc}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        except (OSError, EOFError, HostError):
            pass  # One of the two ends has closed, and the other one is closed now, too.

    def _head(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline(_HEAD_LIMIT)
            head += line
            if not line or len(head) > _HEAD_LIMIT:
                raise Refused(400)
        return head.rstrip(b"\r\n")

    def _reach(self, order: Order) -> Far:
        try:
            return self.server.reach(order.host, order.port)
        except (HostError, OSError) as exc:
            raise Refused(502) from exc

    def _back(self, far: Far) -> None:
        with contextlib.suppress(OSError, EOFError, HostError):
            while data := far.recv(_CHUNK):
                self.wfile.write(data)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
