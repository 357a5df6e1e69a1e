"""The way of a host to Debian's packages, by a proxy on this machine that leads nowhere else.

Hosts reach nothing but each other. For tests that install packages, `open_mirror` lets apt of one host reach
the mirror that this machine uses.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .bed import Testbed
from .host import Host
from .machine import debian_mirror

_TIMEOUT = 60.0
_SETTING = "/etc/apt/apt.conf.d/90testbed"
_PASSED_ON = ("If-Modified-Since", "Range", "Accept", "Cache-Control")


@contextlib.contextmanager
def open_mirror(bed: Testbed, host: Host) -> Iterator[None]:
    """Let apt of ``host`` reach this machine's mirror of Debian within the block."""
    assert bed.bridge.gateway is not None
    server = _Proxy((bed.bridge.gateway, 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    address = f"http://{bed.bridge.gateway}:{server.server_address[1]}"
    host.run(f"cat > {_SETTING}", input=f'Acquire::http::Proxy "{address}";\nAcquire::Languages "none";\n')
    try:
        yield
    finally:
        host.run(f"rm -f {_SETTING}")
        server.shutdown()
        server.server_close()
        thread.join()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.allowed = debian_mirror().url.rstrip("/") + "/"


class _Handler(BaseHTTPRequestHandler):
    """Answers a request for a whole URL, as apt makes it to a proxy."""

    server: _Proxy

    def do_GET(self) -> None:
        """Fetch it from the mirror, by the ways of this machine."""
        if not self.path.startswith(self.server.allowed):
            self.send_error(403, "only the mirror of Debian")
            return
        headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        try:
            answer = urllib.request.urlopen(
                urllib.request.Request(self.path, headers=headers), timeout=_TIMEOUT
            )
        except urllib.error.HTTPError as exc:
            answer = exc
        except OSError as exc:
            self.send_error(502, str(exc))
            return
        with answer:
            self.send_response(answer.status or 502)
            for name in ("Content-Length", "Content-Range", "Last-Modified", "Content-Type"):
                if answer.headers[name]:
                    self.send_header(name, answer.headers[name])
            self.send_header("Connection", "close")
            self.end_headers()
            shutil.copyfileobj(answer, self.wfile)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
