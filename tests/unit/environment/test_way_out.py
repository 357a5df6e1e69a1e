"""The proxy that leads to a package index over a host."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.backends.machine import Far
from lithops.environment.way_out import Order, Refused, read_order, variables_for, way_over
from lithops.errors import AgentError

LOGIN = "Proxy-Authorization: Basic " + base64.b64encode(b"lithops:sesame").decode()


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, *headers]).encode()


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("CONNECT index.test:443 HTTP/1.1", Order("index.test", 443, b"")),
        ("CONNECT [::1]:443 HTTP/1.1", Order("::1", 443, b"")),
        (
            "GET http://index.test:8000/simple/six/?a=b HTTP/1.1",
            Order(
                "index.test", 8000,
                b"GET /simple/six/?a=b HTTP/1.1\r\nHost: index.test\r\nConnection: close\r\n\r\n",
            ),
        ),
        (
            "HEAD http://index.test HTTP/1.1",
            Order("index.test", 80, b"HEAD / HTTP/1.1\r\nHost: index.test\r\nConnection: close\r\n\r\n"),
        ),
    ],
)  # fmt: skip
def test_where_it_leads(line: str, order: Order) -> None:
    """What is for the proxy alone, its login above all, does not go further."""
    found = read_order(head(line, "Host: index.test", LOGIN, "Proxy-Connection: keep-alive"), "sesame")
    assert found == order


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET http://index.test/ HTTP/1.1", (), 407),
        ("CONNECT index.test:443 HTTP/1.1", (LOGIN.replace("Basic ", "Basic x"),), 407),
        ("CONNECT index.test:443 HTTP/1.1", (LOGIN, LOGIN), 407),
        ("GET /simple/ HTTP/1.1", (LOGIN,), 400),
        ("GET ftp://index.test/ HTTP/1.1", (LOGIN,), 400),
        ("GET https://index.test/ HTTP/1.1", (LOGIN,), 400),
        ("CONNECT index.test:port HTTP/1.1", (LOGIN,), 400),
        ("CONNECT :443 HTTP/1.1", (LOGIN,), 400),
        ("nonsense", (LOGIN,), 400),
        ("", (), 400),
    ],
)
def test_what_is_refused(line: str, headers: tuple[str, ...], status: int) -> None:
    with pytest.raises(Refused) as raised:
        read_order(head(line, *headers), "sesame")
    assert raised.value.status == status


@given(st.binary(max_size=200))
def test_without_the_login_nothing_is_carried_out(data: bytes) -> None:
    with pytest.raises(Refused):
        read_order(data, "sesame")


def test_everything_goes_through_it() -> None:
    made = variables_for({"no_proxy": "*", "HTTPS_PROXY": "http://other", "PATH": "/bin"}, "http://p")
    assert made["PATH"] == "/bin"
    assert {made[name] for name in ("HTTP_PROXY", "https_proxy", "ALL_PROXY")} == {"http://p"}
    assert "no_proxy" not in made


# ---- with sockets -----------------------------------------------------------------------------------


class Index(BaseHTTPRequestHandler):
    """A package index with one page."""

    def do_GET(self) -> None:
        """Answer with what was asked for."""
        assert "Proxy-Authorization" not in self.headers
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode() * 1000)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def index() -> Iterator[int]:
    """Its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with contextlib.closing(server.socket):
        yield server.server_address[1]
        server.shutdown()


def fetch(url: str, proxy: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    with opener.open(url, timeout=10) as answer:
        body: bytes = answer.read()
    return body


def test_a_page_comes_over_the_host(index: int) -> None:
    asked = []

    def reach(host: str, port: int) -> Far:
        asked.append((host, port))
        return socket.create_connection(("127.0.0.1", index))

    with way_over(reach) as proxy:
        assert fetch("http://index.test:81/simple/", proxy) == b"/simple/" * 1000
        with pytest.raises(urllib.error.HTTPError, match="407"):
            fetch("http://index.test:81/simple/", proxy.replace("lithops:", "lithops:x"))
    assert asked == [("index.test", 81)]


def test_a_connection_is_led_through(index: int) -> None:
    with way_over(lambda host, port: socket.create_connection(("127.0.0.1", index))) as proxy:
        login, _, address = proxy.removeprefix("http://").partition("@")
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=10) as sock:
            told = base64.b64encode(login.encode()).decode()
            sock.sendall(f"CONNECT a:443 HTTP/1.1\r\nProxy-Authorization: Basic {told}\r\n\r\n".encode())
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
            sock.sendall(b"GET /x HTTP/1.0\r\n\r\n")
            with sock.makefile("rb") as file:
                assert file.read().endswith(b"/x" * 1000)


def test_a_host_that_does_not_reach_it() -> None:
    def reach(host: str, port: int) -> Far:
        raise AgentError("nobody listens", host="h", phase="connect")

    with way_over(reach) as proxy, pytest.raises(urllib.error.HTTPError, match="502"):
        fetch("http://index.test/", proxy)
