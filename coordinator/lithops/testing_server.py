"""The HTTP of a fake agent, for tests: a server on the loopback whose connections break as it is told."""

from __future__ import annotations

import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from lithops_agent import protocol
from lithops_agent.protocol import Problem


class Refusal(Exception):
    """A request is answered with a problem: its HTTP status, and its keys."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(problem)
        self.status, self.problem = status, problem


class Served(Protocol):
    """What a server asks, under the lock of ``changed``, which it notifies after each request."""

    changed: threading.Condition
    token: str

    def next_cut(self, path: str) -> str:
        """Whether the connection breaks ``"before"`` or ``"after"`` the request is carried out; else ""."""

    def carry_out(self, path: str, asked: Any) -> Any:
        """The answer of an endpoint: bytes, or what becomes JSON.

        ``asked`` is the body of a submission, the number of a result, the key of a job, or a dictionary.

        Raises:
            Refusal: it is answered with a problem.
        """


def serve(agent: Served) -> ThreadingHTTPServer:
    """Serve an agent on a free port of the loopback, in a thread, until `shutdown`."""

    class Handler(_Handler):
        pass

    Handler.agent = agent
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    """One connection to an agent."""

    agent: Served
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = re.sub(r"/results/\d+/body", protocol.BODY.path[3:], url.path)
        path = re.sub(r"/jobs/[^/]+", protocol.JOB.path[3:], path)
        agent = self.agent
        with agent.changed:
            cut = agent.next_cut(path)
            if cut == "before":
                self._hang_up()
                return
            status, answer = self._answer(path, url, sent)
            agent.changed.notify_all()
        if cut == "after":
            self._hang_up()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _hang_up(self) -> None:
        self.close_connection = True

    def _answer(self, path: str, url: urllib.parse.SplitResult, sent: bytes) -> tuple[int, bytes]:
        if self.headers.get("Authorization") != f"Bearer {self.agent.token}":
            return 401, json.dumps({"type": Problem.UNAUTHORIZED, "detail": "no valid token"}).encode()
        try:
            answer = self.agent.carry_out(path, _asked(path, url, sent))
        except Refusal as exc:
            return exc.status, json.dumps({"status": exc.status, **exc.problem}).encode()
        return 200, answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def _asked(path: str, url: urllib.parse.SplitResult, sent: bytes) -> Any:
    if path == protocol.SUBMIT.path:
        return sent
    if path == protocol.BODY.path:
        return int(url.path.split("/")[-2])
    if path == protocol.JOB.path:
        return urllib.parse.unquote(url.path.split("/")[-1])
    return json.loads(sent) if sent else dict(urllib.parse.parse_qsl(url.query))
