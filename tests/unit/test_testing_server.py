"""The HTTP of fake agents: what they are asked, what they answer, and connections that break."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest

from lithops.testing_server import Refusal, serve
from lithops_agent import protocol


class Served:
    """Answers each request with what it was asked, unless ``answers`` says otherwise."""

    token = "t"

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.cuts: list[str] = []
        self.asked: list[tuple[str, Any]] = []
        self.answers: Optional[Callable[[Any], Any]] = None

    def next_cut(self, path: str) -> str:
        return self.cuts.pop(0) if self.cuts else ""

    def carry_out(self, path: str, asked: Any) -> Any:
        self.asked.append((path, asked))
        return self.answers(asked) if self.answers else {}


@pytest.fixture
def agent() -> Served:
    return Served()


@pytest.fixture
def connection(agent: Served) -> Iterator[http.client.HTTPConnection]:
    server = serve(agent)
    made = http.client.HTTPConnection("127.0.0.1", int(server.server_address[1]), timeout=20.0)
    yield made
    made.close()
    server.shutdown()
    server.server_close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"", token: str = "t"
) -> tuple[int, bytes]:
    connection.request(method, path, body or None, {"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    return response.status, response.read()


@pytest.mark.parametrize(
    ("method", "path", "body", "endpoint", "asked"),
    [
        ("GET", "/v1/info", b"", protocol.INFO, {}),
        ("POST", "/v1/cancel", b'{"job": "J"}', protocol.CANCEL, {"job": "J"}),
        ("GET", "/v1/results?session=s&after=3", b"", protocol.RESULTS, {"session": "s", "after": "3"}),
        ("GET", "/v1/results/17/body", b"", protocol.BODY, 17),
        ("GET", "/v1/jobs/a%2Fb-M000", b"", protocol.JOB, "a/b-M000"),
        ("POST", protocol.SUBMIT.path, b"\0frames", protocol.SUBMIT, b"\0frames"),
    ],
)
def test_what_an_agent_is_asked(
    agent: Served,
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes,
    endpoint: protocol.Endpoint,
    asked: object,
) -> None:
    assert ask(connection, method, path, body) == (200, b"{}")
    assert agent.asked == [(endpoint.path, asked)]


def test_bytes_are_sent_as_they_are(agent: Served, connection: http.client.HTTPConnection) -> None:
    agent.answers = lambda asked: b"\0bytes"
    assert ask(connection, "GET", "/v1/results") == (200, b"\0bytes")


def test_what_is_refused_is_a_problem(agent: Served, connection: http.client.HTTPConnection) -> None:
    def refuse(asked: object) -> None:
        raise Refusal(409, {"type": "missing-blobs", "missing": ["ab"]})

    agent.answers = refuse
    status, answer = ask(connection, "GET", "/v1/info")
    assert status == 409
    assert json.loads(answer) == {"status": 409, "type": "missing-blobs", "missing": ["ab"]}


def test_without_the_token_nothing_is_carried_out(
    agent: Served, connection: http.client.HTTPConnection
) -> None:
    assert ask(connection, "GET", "/v1/info", token="another")[0] == 401
    assert agent.asked == []


@pytest.mark.parametrize(("cut", "carried_out"), [("before", 0), ("after", 1)])
def test_connections_break(
    agent: Served, connection: http.client.HTTPConnection, cut: str, carried_out: int
) -> None:
    agent.cuts = [cut]
    with pytest.raises(http.client.RemoteDisconnected):
        ask(connection, "GET", "/v1/info")
    assert len(agent.asked) == carried_out
    connection.close()
    assert ask(connection, "GET", "/v1/info")[0] == 200


def test_whoever_waits_for_a_request_hears_of_it(
    agent: Served, connection: http.client.HTTPConnection
) -> None:
    with agent.changed:
        asking = threading.Thread(target=ask, args=(connection, "GET", "/v1/info"))
        asking.start()
        assert agent.changed.wait_for(lambda: bool(agent.asked), 20.0)
    asking.join(20.0)
