"""A typed client of one agent: the endpoints of the protocol as methods, its refusals as exceptions."""

from __future__ import annotations

import http.client
import itertools
import json
import struct
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from lithops.backends.machine import Link
from lithops.errors import AgentError, HostDiskFull, HostLost
from lithops.ssh.http import ChannelHTTPConnection, Opener
from lithops_agent import protocol
from lithops_agent.protocol import Endpoint, Part, Problem, ProtocolError

_TIMEOUT = 60.0
_PIECE = 1024 * 1024
_POLL_MARGIN = 15.0
"""Seconds that an answer to a long poll may come late."""


class Refused(AgentError):
    """The agent answered with a problem; ``kind`` is one of `Problem`, ``details`` its JSON."""

    def __init__(self, message: str, *, host: str = "", phase: str = "", kind: str = "") -> None:
        super().__init__(message, host=host, phase=phase)
        self.kind = kind
        self.details: Mapping[str, Any] = {}


class AgentClient:
    """One HTTP connection to an agent, for one thread at a time.

    Raises `HostLost` when the connection breaks or what comes is not of the protocol, another `HostError`
    when it can't be opened, `HostDiskFull` and `Refused` for what the agent does not do.
    """

    def __init__(self, opener: Opener, token: str, host: str) -> None:
        self._connection = ChannelHTTPConnection(opener, timeout=_TIMEOUT)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._host = host

    def info(self) -> dict[str, Any]:
        """What the agent is."""
        return self._json(protocol.INFO)

    def status(self) -> dict[str, Any]:
        """What runs and waits there."""
        return self._json(protocol.STATUS)

    def submit(self, pieces: Sequence[bytes]) -> int:
        """Send frames; how many of the calls were new to the agent."""
        size = sum(len(piece) for piece in pieces)
        body = b"".join(pieces) if size < 1 << 20 else iter(pieces)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        answer = self._ask(protocol.SUBMIT, protocol.SUBMIT.path, body, headers)
        return int(self._parsed(answer)["accepted"])

    def platform(self, python: str) -> dict[str, Any]:
        """What wheels for an interpreter there must fit."""
        return self._json(protocol.PLATFORM, {"python": python})

    def environment(self, wanted: Mapping[str, Any], wait: float) -> dict[str, Any]:
        """Have an environment built; its state, after ``wait`` seconds at most."""
        self._connection.set_timeout(wait + _POLL_MARGIN)
        return self._json(protocol.ENVIRONMENT, {**wanted, "wait": wait})

    def send_blob(self, sha256: str, path: Path) -> None:
        """Send a file, which is never in memory as a whole."""
        self._connection.set_timeout(_TIMEOUT)
        size = path.stat().st_size
        head = protocol.frame_head({"kind": "blob", "sha256": sha256}, size)
        headers = {"Content-Length": str(len(head) + size), "Content-Type": "application/octet-stream"}
        with path.open("rb") as file:
            pieces = itertools.chain([head], iter(lambda: file.read(_PIECE), b""))
            self._ask(protocol.SUBMIT, protocol.SUBMIT.path, pieces, headers)

    def results(
        self, session: str, after: int, wait: float
    ) -> tuple[dict[str, Any], list[protocol.ResultRecord]]:
        """Results after the cursor ``after``: the header of the frame, and its records.

        ``printed`` of the header are the parts that their calls printed.
        """
        query = {"session": session, "after": after, "wait": wait}
        self._connection.set_timeout(wait + _POLL_MARGIN)
        answer = self._ask(protocol.RESULTS, f"{protocol.RESULTS.path}?{urllib.parse.urlencode(query)}")
        frame = _Bytes(answer)
        try:
            head = protocol.read_frame_head(frame)
            if head is None:
                raise ProtocolError("an empty answer")
            header, size = head
            records = list(protocol.parse_results(header, protocol.read_exactly(frame, size)))
            return {**header, "printed": _parts(frame)}, records
        except (ProtocolError, ValueError, LookupError, TypeError, struct.error) as exc:
            raise self._lost(f"the agent sent results that can't be read ({_told(exc)})") from exc

    def printed(
        self, job: str, after: int, seen: Mapping[int, int], wait: float
    ) -> tuple[dict[str, Any], list[Part]]:
        """What calls of a job print: see `protocol.PRINTED`."""
        self._connection.set_timeout(wait + _POLL_MARGIN)
        asked = {"job": job, "after": after, "seen": seen, "wait": wait}
        answer = self._ask(protocol.PRINTED, protocol.PRINTED.path, json.dumps(asked).encode())
        frame = _Bytes(answer)
        try:
            head = protocol.read_frame_head(frame)
            if head is None:
                raise ProtocolError("an empty answer")
            return head[0], protocol.parse_printed(head[0], protocol.read_exactly(frame, head[1]))
        except ProtocolError as exc:
            raise self._lost(f"the agent sent text that can't be read ({_told(exc)})") from exc

    def hold(self, name: str, seconds: float) -> Optional[float]:
        """Have the host not count as idle; the seconds that the hard time-out leaves, None: no limit."""
        left = self._json(protocol.HOLD, {"name": name, "seconds": seconds})["hard_in"]
        return None if left is None else float(left)

    def enter(self, job: str) -> dict[str, Any]:
        """The way into what the calls of a job see: see `protocol.ENTER`."""
        self._connection.set_timeout(_TIMEOUT)
        return self._json(protocol.ENTER, {"job": job})

    def contents(self) -> dict[str, Any]:
        """What the agent holds."""
        return self._json(protocol.CONTENTS)

    def body(self, seq: int) -> bytes:
        """The body of a result that is too large for the stream."""
        self._connection.set_timeout(_TIMEOUT)
        return self._ask(protocol.BODY, protocol.BODY.path.replace("<int:seq>", str(seq)))

    def cancel(self, job: str, numbers: Sequence[int] | None) -> None:
        """End calls of a job (all: None)."""
        self._json(protocol.CANCEL, {"job": job, "numbers": numbers})

    def revoke(self, job: str, count: int) -> list[int]:
        """Take back calls that have not begun; their numbers."""
        return list(self._json(protocol.REVOKE, {"job": job, "count": count})["numbers"])

    def holdings(self, job: str) -> list[int]:
        """The calls of a job that the agent has, or has the results of; none of an unknown job."""
        path = protocol.JOB.path.replace("<job>", urllib.parse.quote(job, safe=""))
        ranges = self._parsed(self._ask(protocol.JOB, path))["numbers"]
        return [number for first, last in ranges for number in range(first, last + 1)]

    def release(self, jobs: Sequence[str]) -> None:
        """Have jobs forgotten."""
        self._json(protocol.RELEASE, {"jobs": list(jobs)})

    def prepare(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Make an image ready, or ask how far that is: see `protocol.PREPARE`."""
        self._connection.set_timeout(float(asked["wait"]) + _POLL_MARGIN)
        return self._json(protocol.PREPARE, asked)

    def runtimes(self) -> dict[str, Any]:
        """The images and environments there."""
        return self._json(protocol.RUNTIMES)

    def remove_runtime(self, kind: str, name: str) -> bool:
        """Remove an image or an environment; whether it was there."""
        return bool(self._json(protocol.REMOVE, {"kind": kind, "name": name})["removed"])

    def dismantle(self, ending: Optional[str] = None) -> None:
        """End the agent in this way, one of the ``ending`` of a JobSpec; None: as its last job said."""
        self._json(protocol.DISMANTLE, {"ending": ending})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _json(self, endpoint: Endpoint, sent: Mapping[str, Any] | None = None) -> dict[str, Any]:
        body = None if sent is None else json.dumps(sent).encode()
        return self._parsed(self._ask(endpoint, endpoint.path, body))

    def _parsed(self, answer: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(answer))
        except (ValueError, TypeError) as exc:
            raise self._lost(f"the agent sent what is not a JSON object ({_told(exc)})") from exc

    def _lost(self, message: str) -> HostLost:
        return HostLost(message, host=self._host)

    def _ask(
        self, endpoint: Endpoint, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        try:
            self._connection.request(endpoint.method, path, body, {**self._headers, **(headers or {})})
            response = self._connection.getresponse()
            if response.length is None:
                # Its end could not be told from a connection that broke.
                raise http.client.HTTPException("an answer without a length")
            answer = response.read()
        except (OSError, EOFError, http.client.HTTPException) as exc:
            self._connection.close()
            raise self._lost(f"the connection to the agent broke ({_told(exc)})") from exc
        if response.status != 200:
            raise self._refused(response.status, answer)
        return answer

    def _refused(self, status: int, answer: bytes) -> Exception:
        try:
            problem = json.loads(answer)
            kind, detail = str(problem["type"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            problem, kind, detail = {}, "", answer[:200].decode(errors="replace")
        if kind == Problem.NO_SPACE:
            return HostDiskFull(detail, host=self._host, phase="submit")
        refused = Refused(f"{detail} (HTTP {status})", host=self._host, kind=kind)
        refused.details = problem
        return refused


def _parts(frame: protocol.Reader) -> list[Part]:
    """What was printed, when the answer tells of any. Raises ProtocolError."""
    head = protocol.read_frame_head(frame)
    if head is None or head[0]["kind"] != "printed":
        return []
    return protocol.parse_printed(head[0], protocol.read_exactly(frame, head[1]))


def _told(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__


def ask_to_end(link: Link, ending: str) -> None:
    """Tell the agent at the end of a link to end, and how. Raises HostError."""
    client = AgentClient(link.opener, link.token, link.host)
    try:
        client.dismantle(ending)
    finally:
        client.close()


class _Bytes:
    """Reads from bytes without copying them twice."""

    def __init__(self, data: bytes) -> None:
        self._view = memoryview(data)

    def read(self, size: int) -> bytes:
        piece, self._view = self._view[:size], self._view[size:]
        return bytes(piece)
