"""The client of an agent against a peer that answers as scripted; and the contract of real and fake agent."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops.dispatch.client import AgentClient, Refused
from lithops.errors import AgentError, HostDiskFull, HostError, HostLost
from lithops.ssh.http import SocketLike, open_local
from lithops_agent import protocol
from lithops_agent.protocol import JobSpec, Problem, ResultRecord, Status


class Peer:
    """Answers the requests of any number of connections, one after the other, with what it was given.

    An answer is the bytes to send; after None the connection is closed without one.
    """

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.requests: list[tuple[str, bytes]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                while (first := file.readline()) and self._respond(connection, first, file):
                    pass

    def _respond(self, connection: socket.socket, first: bytes, file: Any) -> bool:
        size = 0
        while (line := file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        self.requests.append((first.decode().rsplit(" ", 1)[0], file.read(size)))
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            return False
        connection.sendall(answer)
        return True

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def client(peer: Peer) -> Iterator[AgentClient]:
    client = AgentClient(open_local(peer.port), "secret", "a")
    yield client
    client.close()


def answer(body: bytes, status: int = 200, size: int | None = None) -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\nContent-Length: {len(body) if size is None else size}\r\n\r\n".encode()
        + body
    )


def said(value: Any, status: int = 200) -> bytes:
    return answer(json.dumps(value).encode(), status)


def frame(*records: bytes, **header: Any) -> bytes:
    return protocol.results_frame({"cursor": 5, "jobs": ["j"], **header}, records, [])


ASKS: dict[str, Callable[[AgentClient], Any]] = {
    "info": lambda client: client.info(),
    "submit": lambda client: client.submit([b"frames"]),
    "results": lambda client: client.results("s", 0, 0.0),
    "body": lambda client: client.body(3),
    "cancel": lambda client: client.cancel("j", [1]),
    "revoke": lambda client: client.revoke("j", 1),
    "release": lambda client: client.release(["j"]),
    "dismantle": lambda client: client.dismantle(),
}


# ---- what is asked ----------------------------------------------------------------------------------


def test_requests_are_those_of_the_protocol(peer: Peer, client: AgentClient) -> None:
    peer.answers = [
        said({"agent_id": "x"}),
        said({"accepted": 2}),
        answer(frame()),
        answer(b"large"),
        said({}),
        said({"numbers": [4]}),
        said({}),
    ]
    assert client.info() == {"agent_id": "x"}
    assert client.submit([b"one", b"two"]) == 2
    assert client.results("s", 3, 1.5)[1] == []
    assert client.body(9) == b"large"
    client.cancel("j", None)
    assert client.revoke("j", 7) == [4]
    client.release(["j", "k"])
    assert peer.requests == [
        ("GET /v1/info", b""),
        ("POST /v1/submissions", b"onetwo"),
        ("GET /v1/results?session=s&after=3&wait=1.5", b""),
        ("GET /v1/results/9/body", b""),
        ("POST /v1/cancel", b'{"job": "j", "numbers": null}'),
        ("POST /v1/revoke", b'{"job": "j", "count": 7}'),
        ("POST /v1/release", b'{"jobs": ["j", "k"]}'),
    ]


def test_large_submissions_arrive_whole(peer: Peer, client: AgentClient) -> None:
    peer.answers = [said({"accepted": 1})]
    client.submit([b"head", bytes(3_000_000), b"tail"])
    assert peer.requests[0][1] == b"head" + bytes(3_000_000) + b"tail"


def test_records_are_read(peer: Peer, client: AgentClient) -> None:
    row = protocol.RESULT.pack(5, 0, 8, Status.SUCCESS, True, 99, *protocol.NO_STATS)
    peer.answers = [answer(frame(row))]
    header, records = client.results("s", 0, 0.0)
    assert header["cursor"] == 5
    assert records == [ResultRecord(5, "j", 8, Status.SUCCESS, 99, None, protocol.NO_STATS)]


# ---- what goes wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKS)
@pytest.mark.parametrize(
    "broken",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
    ids=["hung up", "half a body", "half a head", "not HTTP"],
)
def test_a_connection_that_breaks_loses_the_host(
    peer: Peer, client: AgentClient, name: str, broken: bytes | None
) -> None:
    def respond(connection: socket.socket, first: bytes, file: Any) -> bool:
        Peer._respond(peer, connection, first, file)
        return False

    peer._respond = respond  # type: ignore[method-assign]
    peer.answers = [broken, said({"agent_id": "again"})]
    with pytest.raises(HostLost) as caught:
        ASKS[name](client)
    assert caught.value.host == "a"
    assert caught.value.retryable
    # The next request opens another connection.
    assert client.info() == {"agent_id": "again"}


@pytest.mark.parametrize(
    "name", [name for name in ASKS if name not in ("body", "cancel", "release", "dismantle")]
)
@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\x00" * 11, b"\xff" * 40])
def test_an_answer_that_is_not_of_the_protocol_loses_the_host(
    peer: Peer, client: AgentClient, name: str, body: bytes
) -> None:
    peer.answers = [answer(body)]
    with pytest.raises(HostLost, match="the agent sent"):
        ASKS[name](client)


@pytest.mark.parametrize(
    "body",
    [
        frame(b"\x00" * protocol.RESULT.size)[:-5],
        frame(b"\x00" * 7),
        protocol.frame_head({"kind": "results"}, 0),
        frame(protocol.RESULT.pack(5, 3, 8, 0, True, 99, *protocol.NO_STATS)),
    ],
    ids=["cut off", "no whole record", "no jobs", "a job that is not named"],
)
def test_results_that_cant_be_read_lose_the_host(peer: Peer, client: AgentClient, body: bytes) -> None:
    peer.answers = [answer(body)]
    with pytest.raises(HostLost, match="can't be read"):
        client.results("s", 0, 0.0)


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError("gone"), TimeoutError("late")])
def test_whatever_a_broken_channel_raises_loses_the_host(error: Exception) -> None:
    def opener(timeout: float) -> SocketLike:
        raise error

    with pytest.raises(HostLost, match=type(error).__name__):
        AgentClient(opener, "secret", "a").info()


def test_why_a_channel_cant_be_opened_is_passed_on() -> None:
    def opener(timeout: float) -> SocketLike:
        raise AgentError("nobody listens", host="a")

    with pytest.raises(AgentError, match="nobody listens"):
        AgentClient(opener, "secret", "a").info()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Problem.BAD_REQUEST),
        (401, Problem.UNAUTHORIZED),
        (404, Problem.UNKNOWN_JOB),
        (409, Problem.MISSING_BLOBS),
        (500, Problem.INTERNAL),
        (503, Problem.DRAINING),
    ],
)
def test_a_problem_is_a_refusal(peer: Peer, client: AgentClient, status: int, kind: str) -> None:
    problem = {"type": kind, "status": status, "detail": "what is wrong", "missing": ["x"]}
    peer.answers = [said(problem, status), said({"accepted": 1})]
    with pytest.raises(Refused) as caught:
        client.submit([b"frames"])
    assert caught.value.kind == kind
    assert caught.value.details == problem
    assert str(caught.value) == f"host a: what is wrong (HTTP {status})"
    # The connection stays as it is.
    assert client.submit([b"frames"]) == 1


def test_a_full_disk_is_an_error_of_its_own(peer: Peer, client: AgentClient) -> None:
    peer.answers = [said({"type": Problem.NO_SPACE, "detail": "the disk is full"}, 507)]
    with pytest.raises(HostDiskFull) as caught:
        client.submit([b"frames"])
    assert (caught.value.host, caught.value.phase) == ("a", "submit")


@pytest.mark.parametrize("body", [b"<h1>Bad gateway</h1>", b"", b"[]", b'{"type": "x"}'])
def test_a_refusal_that_is_not_of_the_protocol(peer: Peer, client: AgentClient, body: bytes) -> None:
    peer.answers = [answer(body, 502)]
    with pytest.raises(Refused, match="HTTP 502") as caught:
        client.info()
    assert caught.value.kind == ""


# ---- the contract of agents -------------------------------------------------------------------------


Served = Callable[[], AgentClient]


@pytest.fixture(params=["real", "fake"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AgentClient]:
    """A client of the agent's own application, and one of the fake that stands for it in tests."""
    if request.param == "fake":
        from lithops.testing_agent import FakeAgent

        fake = FakeAgent(processes=1, answer=_fake_answer)
        client = AgentClient(open_local(fake.port), fake.token, "a")
        yield client
        client.close()
        fake.close()
        return
    yield from _real(tmp_path)


def _fake_answer(job: str, number: int, data: bytes) -> tuple[int, bytes] | None:
    import pickle

    (size,), _ = pickle.loads(data)
    return None if size < 0 else (Status.SUCCESS, pickle.dumps(bytes(size)))


def _function(size: int) -> bytes:
    import time

    if size < 0:
        time.sleep(600)
    return bytes(size)


def _real(folder: Path) -> Iterator[AgentClient]:
    from werkzeug.serving import make_server

    from lithops_agent.api import create_app
    from lithops_agent.keeper import Policy
    from lithops_agent.service import Agent
    from tests.unit.agent.pools import worker_path

    agent = Agent(
        folder / "home",
        processes=1,
        worker_path=worker_path(folder),
        bundle="test",
        policy=Policy(soft=None, hard=None),
        end=lambda reason: None,
    )
    agent.start()
    server = make_server("127.0.0.1", 0, create_app(agent, "token"), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = AgentClient(open_local(server.port), "token", "a")
    yield client
    client.close()
    server.shutdown()
    agent.pool.stop()


def job(name: str = "j", session: str = "s") -> tuple[list[bytes], list[bytes]]:
    """The frames of a job and of the blob that it needs."""
    import hashlib

    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    function = cloudpickle.dumps(_function)
    sha = hashlib.sha256(function).hexdigest()
    spec = JobSpec(job=name, session=session, function=sha, total=9, runtime=sys.executable)
    return [protocol.frame_head(spec.to_json(), 0)], protocol.blob_frame(sha, function)


def calls(name: str, **sizes: int) -> list[bytes]:
    """A frame of calls: ``n3=5`` is call 3, which gives 5 bytes; below 0 it does not end."""
    import pickle

    return protocol.calls_frame(
        name, [(int(number[1:]), pickle.dumps(((size,), {}))) for number, size in sizes.items()]
    )


def collect(client: AgentClient, count: int, session: str = "s") -> list[ResultRecord]:
    records: list[ResultRecord] = []
    while len(records) < count:
        header, more = client.results(session, records[-1].seq if records else 0, 20.0)
        assert more, header
        records += more
        assert header["cursor"] == records[-1].seq
    return records


def test_contract_info(agent: AgentClient) -> None:
    assert {"protocol", "agent_id", "processes"} <= set(agent.info())
    assert agent.info()["processes"] == 1
    assert {"waiting", "running", "time_to_dismantle", "draining"} <= set(agent.status())


def test_contract_submissions(agent: AgentClient) -> None:
    spec, function = job()
    with pytest.raises(Refused) as caught:
        agent.submit(calls("j", n0=1))
    assert caught.value.kind == Problem.UNKNOWN_JOB
    with pytest.raises(Refused) as caught:
        agent.submit([*spec, *calls("j", n0=1)])
    assert caught.value.kind == Problem.MISSING_BLOBS
    assert len(caught.value.details["missing"]) == 1
    assert agent.submit([*function, *spec, *calls("j", n0=1, n1=2)]) == 2
    assert agent.submit([*spec, *calls("j", n0=1, n1=2, n2=3)]) == 1
    assert sorted(record.number for record in collect(agent, 3)) == [0, 1, 2]
    # A call that has a result is not run again.
    assert agent.submit(calls("j", n0=1)) == 0


def test_contract_results(agent: AgentClient) -> None:
    spec, function = job()
    agent.submit([*function, *spec, *calls("j", n0=1, n1=100_000)])
    small, large = sorted(collect(agent, 2), key=lambda record: record.number)
    assert small.body is not None
    assert large.body is None
    assert len(agent.body(large.seq)) == large.size > 100_000
    with pytest.raises(Refused) as caught:
        agent.body(small.seq)
    assert caught.value.kind == Problem.UNKNOWN_RESULT
    # Another session sees nothing of it; the results stay.
    assert agent.results("other", 0, 0.0)[1] == []
    assert len(collect(agent, 2)) == 2
    header, records = agent.results("s", max(small.seq, large.seq), 0.0)
    assert records == []
    assert header["cursor"] == max(small.seq, large.seq)


def test_contract_holdings(agent: AgentClient) -> None:
    spec, function = job()
    assert agent.holdings("j") == []
    agent.submit([*function, *spec, *calls("j", n0=1, n1=-1, n2=-1, n7=-1)])
    assert agent.holdings("j") == [0, 1, 2, 7]
    collect(agent, 1)
    assert agent.holdings("j") == [0, 1, 2, 7]
    agent.release(["j"])
    assert agent.holdings("j") == []


def test_contract_load_revoke_and_cancel(agent: AgentClient) -> None:
    spec, function = job()
    agent.submit([*function, *spec, *calls("j", n0=-1, n1=-1, n2=-1)])
    header, _ = agent.results("s", 0, 0.0)
    assert (header["waiting"], header["free"]) == ({"j": 2}, 0)
    assert [list(call) for call in header["running"]] == [["j", 0]]
    assert agent.results("other", 0, 0.0)[0]["waiting"] == {}
    assert agent.revoke("j", 1) == [2]
    assert agent.revoke("unknown", 1) == []
    # What was given back can come again.
    assert agent.submit(calls("j", n2=-1)) == 1
    assert sorted(agent.revoke("j", 9)) == [1, 2]
    agent.cancel("j", [0])
    agent.cancel("unknown", None)
    (record,) = collect(agent, 1)
    assert (record.number, record.status) == (0, Status.CANCELLED)
    assert agent.results("s", 0, 0.0)[0]["waiting"] == {}


def test_contract_release(agent: AgentClient) -> None:
    spec, function = job()
    agent.submit([*function, *spec, *calls("j", n0=1, n1=-1)])
    collect(agent, 1)
    agent.release(["j", "unknown"])
    agent.release(["j"])
    assert agent.results("s", 0, 0.0)[1] == []
    with pytest.raises(Refused) as caught:
        agent.submit(calls("j", n1=1))
    assert caught.value.kind == Problem.UNKNOWN_JOB
    # The blob is still there.
    assert agent.submit([*spec, *calls("j", n0=1)]) == 1
    assert [record.number for record in collect(agent, 1)] == [0]


def test_contract_token(agent: AgentClient) -> None:
    wrong = AgentClient(agent._connection._opener, "wrong", "a")
    with pytest.raises(HostError) as caught:
        wrong.info()
    assert isinstance(caught.value, Refused)
    assert caught.value.kind == Problem.UNAUTHORIZED
    wrong.close()
