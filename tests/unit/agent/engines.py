"""A Docker engine that answers what a test wants, on a Unix socket."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from pathlib import Path
from typing import Any, Union

from lithops_agent.runtimes.engine import Engine

Answer = Union[tuple[int, Any], list[Any]]
"""A status and a JSON value, or what is told piece by piece; an Event among them is waited for."""


class FakeEngine:
    """Answers requests by method and path (without a query); what came is in ``requests``."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.requests.append((self.command, self.path, dict(self.headers), body))
                fake._reply(self, fake.answers[self.command, self.path.partition("?")[0]])

            do_GET = do_POST = do_DELETE = _answer

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *args: object) -> None:
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self.path = str(folder / "engine.sock")
        self._server = Server(self.path, Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.engine = Engine(self.path)

    def _reply(self, handler: http.server.BaseHTTPRequestHandler, answer: Answer) -> None:
        if isinstance(answer, tuple):
            body = json.dumps(answer[1]).encode()
            handler.send_response(answer[0])
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            return
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for piece in answer:
            if isinstance(piece, threading.Event):
                piece.wait(10)
            else:
                handler.wfile.write(json.dumps(piece).encode() + b"\r\n")
                handler.wfile.flush()
        handler.close_connection = True

    def close(self) -> None:
        """Answer nothing any more."""
        self._server.shutdown()
        self._server.server_close()
