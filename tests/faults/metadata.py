"""The metadata service of a machine and the API of its region, as a program for a test host.

It notes each request as a line of JSON in the file that it is given, at once on disk: the host that asks is
about to be switched off. Its second argument is the status that the API answers with.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8017


class Handler(BaseHTTPRequestHandler):
    """Gives tokens to whoever asks as a machine does, and one status to all else."""

    def answer(self) -> None:
        """Note a request and answer it."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        bearer = self.headers.get("Authorization")
        self.note([self.command, self.path, body, bearer])
        if not self.path.startswith("/instance_identity/"):
            status, answer = int(sys.argv[2]), refusal("forbidden", "not you")
        elif self.headers.get("Metadata-Flavor") != "ibm" or ("iam_token" in self.path) != bool(bearer):
            status, answer = 400, refusal("bad_request", "a wrong request")
        else:
            status, answer = 200, {"access_token": "iam" if bearer else "own"}
        text = b"" if status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        if text:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def note(self, asked: object) -> None:
        """Write a request down."""
        with open(sys.argv[1], "a") as file:
            file.write(json.dumps(asked) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def refusal(code: str, message: str) -> dict[str, object]:
    """An error as the service writes it."""
    return {"errors": [{"code": code, "message": message}]}


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
