"""Serves a Flask app over HTTP from threads of this process."""

from __future__ import annotations

import socket
import threading
from typing import Any

import flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """Close the connection, as a server does that has gone away."""
        self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


class Server:
    """One listener of an app."""

    def __init__(
        self, app: flask.Flask, address: str = "127.0.0.1", listener: socket.socket | None = None
    ) -> None:
        """Listen at a free port of ``address``, or take the requests of a socket that listens already."""
        handle = None if listener is None else listener.detach()
        self._server: BaseWSGIServer = make_server(
            address, 0, app, threaded=True, request_handler=_Handler, fd=handle
        )
        self.port = int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name=f"serve {self.port}",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
