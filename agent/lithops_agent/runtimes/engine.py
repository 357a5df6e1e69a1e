"""A client of the Docker engine of this host: its HTTP API over its Unix socket.

The standard library is all that it needs, so that the fence, which outlives the agent, can remove containers
with it, and so that hosts without Docker are not sent a client of it.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from lithops_agent.protocol import RuntimeFailure, RuntimeUnusable

_SOCKET = "/var/run/docker.sock"
_TIMEOUT = 60.0
_AWAY = ("shutting down", "context canceled", "transport is closing", "server is not initialized")
_UNREACHABLE = (
    "dial tcp", "connection refused", "no such host", "i/o timeout", "client.timeout", "tls:", "x509:",
    "network is unreachable", "connection reset", "request canceled", "tls handshake", "unexpected eof",
    "server gave http response", "bad gateway", "service unavailable",
)  # fmt: skip
_ARCHITECTURE = ("no matching manifest", "exec format error", "does not match the specified platform")
_UNAUTHORIZED = ("no basic auth credentials", "unauthorized", "authentication required")
_NOT_THERE = ("manifest unknown", "no such image", "not found", "pull access denied", "name unknown")
_NO_GPU = ("could not select device driver", "nvidia-container-cli", "unresolvable cdi devices")
_INVALID = ("invalid reference format", "invalid repository name", "invalid tag", "must be lowercase")


class EngineError(RuntimeUnusable):
    """The engine did not do what it was asked for."""


def classify(status: int, message: str) -> EngineError:
    """What an error of the engine means, by its words: its codes say little about causes."""
    text = message.lower()
    for kind, words in (
        (RuntimeFailure.NO_SPACE, ("no space left", "disk quota exceeded")),
        (RuntimeFailure.NO_ENGINE, _AWAY),
        (RuntimeFailure.ARCHITECTURE, _ARCHITECTURE),
        (
            RuntimeFailure.NO_PYTHON,
            ("executable file not found", 'python3": stat', "no such file or directory: unknown"),
        ),
        (RuntimeFailure.REGISTRY_UNREACHABLE, _UNREACHABLE),
        (RuntimeFailure.UNAUTHORIZED, _UNAUTHORIZED),
        (RuntimeFailure.NO_SUCH_IMAGE, (*_NOT_THERE, *_INVALID)),
    ):
        if any(word in text for word in words):
            return EngineError(kind, message)
    if any(word in text for word in _NO_GPU):
        advice = (
            "install its driver and the NVIDIA Container Toolkit there, or set standalone.use_gpu to false"
        )
        return EngineError(RuntimeFailure.ENGINE, f"Docker gives no GPU to containers ({message}): {advice}")
    return EngineError(RuntimeFailure.ENGINE, f"{message} (HTTP {status})")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The engine that listens on the Unix socket ``path``; by default the one that Docker's own tools use.

    ``timeout`` is how many seconds it may take for an answer.
    """

    def __init__(self, path: str | None = None, timeout: float = _TIMEOUT) -> None:
        self._timeout = timeout
        given = os.environ.get("DOCKER_HOST", "")
        self._path = path or (given[len("unix://") :] if given.startswith("unix://") else _SOCKET)

    def get(self, path: str, **query: str) -> Any:
        """Ask for something; the JSON that the engine answers."""
        return self.ask("GET", path, query=query)

    def ask(self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None) -> Any:
        """One request, and the JSON of its answer (None: it has none). Raises `EngineError`."""
        connection, response = self._send(method, path, query or {}, body, {}, self._timeout)
        try:
            answer = response.read()
        except (OSError, http.client.HTTPException) as exc:
            raise self._gone(exc) from exc
        finally:
            connection.close()
        return json.loads(answer) if answer.strip() else None

    def stream(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], timeout: float
    ) -> Iterator[dict[str, Any]]:
        """What the engine tells, as it happens, about something that takes long. Raises `EngineError`.

        ``timeout`` is how many seconds it may say nothing.
        """
        connection, response = self._send("POST", path, query, None, headers, timeout)
        try:
            while line := response.readline():
                if line.strip():
                    yield json.loads(line)
        except TimeoutError as exc:
            message = f"nothing came from the registry for {timeout:g} s"
            raise EngineError(RuntimeFailure.REGISTRY_UNREACHABLE, message) from exc
        except (OSError, ValueError, http.client.HTTPException) as exc:
            raise self._gone(exc) from exc
        finally:
            connection.close()

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Mapping[str, str],
        timeout: float,
    ) -> tuple[_UnixConnection, http.client.HTTPResponse]:  # fmt: skip
        connection = _UnixConnection(self._path, timeout)
        target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        data = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, target, data, {**kind, **headers})
            response = connection.getresponse()
            if response.status < 400:
                return connection, response
            answer = response.read()
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise self._gone(exc) from exc
        connection.close()
        raise classify(response.status, _message(answer))

    def _gone(self, exc: Exception) -> EngineError:
        if isinstance(exc, PermissionError):
            return EngineError(RuntimeFailure.NO_PERMISSION, f"{self._path}: permission denied")
        if isinstance(exc, FileNotFoundError):
            return EngineError(RuntimeFailure.NO_ENGINE, f"there is no {self._path}")
        what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        return EngineError(RuntimeFailure.NO_ENGINE, f"the engine at {self._path} does not answer ({what})")


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer[:500].decode(errors="replace")
