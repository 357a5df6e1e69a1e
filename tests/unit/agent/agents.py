"""A whole agent behind its HTTP interface, without a server, for tests."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudpickle
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lithops_agent import protocol
from lithops_agent.api import create_app
from lithops_agent.caretaker import Ending
from lithops_agent.instants import Instant
from lithops_agent.keeper import Policy
from lithops_agent.protocol import Endpoint, JobSpec, Part, ResultRecord
from lithops_agent.service import Agent
from tests.unit.agent.pools import worker_path

TOKEN = "correct horse battery staple"


class Clock:
    """Time that passes as ever, and jumps when a test wants it to."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> Instant:
        return Instant("boot", time.monotonic() + self.ahead, time.time() + self.ahead)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(0.02 if seconds is None else min(max(seconds, 0.0), 0.02))


class Station:
    """An agent, and a client that speaks to it, on a clock that tests can move."""

    def __init__(self, home: Path, soft: float | None = None, begun: Instant | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.endings: list[Ending] = []
        self.clock = Clock()
        self.agent = Agent(
            home,
            processes=2,
            worker_path=worker_path(home),
            bundle="0123456789abcdef",
            policy=Policy(soft=soft, hard=None),
            end=self.endings.append,
            begun=begun,
            clock=self.clock,
        )
        self.agent.start()
        self.client: FlaskClient = create_app(self.agent, TOKEN).test_client()
        self._jobs = 0

    def close(self) -> None:
        self.agent.caretaker.dismantle("the test ends")
        self.agent.join(10)

    @property
    def reasons(self) -> list[str]:
        """Why the agent has ended."""
        return [ending.reason for ending in self.endings]

    def ask(
        self,
        endpoint: Endpoint,
        *,
        seq: int = 0,
        job: str = "4f1c-A000",
        token: str | None = TOKEN,
        **more: Any,
    ) -> TestResponse:
        """One request, as a coordinator makes it."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        path = endpoint.path.replace("<int:seq>", str(seq)).replace("<job>", job)
        return self.client.open(path, method=endpoint.method, headers=headers, **more)

    def answer(self, endpoint: Endpoint, **more: Any) -> dict[str, Any]:
        """What the agent answers to a control message that it obeys."""
        response = self.ask(endpoint, **more)
        assert response.status_code == 200, response.data
        told: dict[str, Any] = response.get_json()
        return told

    def submit(self, *frames: bytes | Sequence[bytes]) -> TestResponse:
        body = b"".join(frame if isinstance(frame, bytes) else b"".join(frame) for frame in frames)
        return self.ask(protocol.SUBMIT, data=body)

    def job(self, function: Any, total: int = 1, **spec: Any) -> tuple[JobSpec, list[bytes]]:
        """A job that was not sent yet, and the frames of its head."""
        data = cloudpickle.dumps(function)
        sha256 = hashlib.sha256(data).hexdigest()
        self._jobs += 1
        named = {"job": f"job-{self._jobs}", "session": "s", "runtime": sys.executable, **spec}
        job = JobSpec(function=sha256, total=total, **named)
        return job, [*protocol.blob_frame(sha256, data), protocol.frame_head(job.to_json(), 0)]

    def results(
        self, session: str = "s", after: int = 0, wait: float = 20
    ) -> tuple[dict[str, Any], list[ResultRecord]]:
        query = {"session": session, "after": after, "wait": wait}
        response = self.ask(protocol.RESULTS, query_string=query)
        assert response.status_code == 200, response.data
        stream = io.BytesIO(response.data)
        head = protocol.read_frame_head(stream)
        assert head is not None
        header, size = head
        return header, list(protocol.parse_results(header, protocol.read_exactly(stream, size)))

    def frames(self, body: bytes) -> tuple[dict[str, Any], bytes, list[tuple[dict[str, Any], list[Part]]]]:
        """The first frame of an answer, and what was printed by the frames after it."""
        stream, found = io.BytesIO(body), []
        while (head := protocol.read_frame_head(stream)) is not None:
            found.append((head[0], protocol.read_exactly(stream, head[1])))
        told = [(header, protocol.parse_printed(header, data)) for header, data in found[1:]]
        return *found[0], told

    def printed(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[Part]]:
        """What calls have printed."""
        response = self.ask(protocol.PRINTED, json=asked)
        assert response.status_code == 200, response.data
        header, payload, _ = self.frames(response.data)
        return header, protocol.parse_printed(header, payload)

    def collect(self, count: int, session: str = "s") -> list[ResultRecord]:
        """So many results, as they come; they stay there."""
        found: list[ResultRecord] = []
        while len(found) < count:
            _, records = self.results(session, after=found[-1].seq if found else 0)
            assert records, f"{len(found)} results of {count}"
            found += records
        return found


def calls(job: JobSpec, *arguments: Any, first: int = 0) -> list[bytes]:
    """A frame with one call for each argument."""
    data = [(first + n, cloudpickle.dumps(((argument,), {}))) for n, argument in enumerate(arguments)]
    return protocol.calls_frame(job.job, data)


def is_problem(response: TestResponse, code: int, kind: str) -> dict[str, Any]:
    assert response.status_code == code, response.data
    assert response.content_type == "application/problem+json"
    told: dict[str, Any] = json.loads(response.data)
    assert (told["status"], told["type"]) == (code, kind)
    assert isinstance(told["detail"], str)
    return told
