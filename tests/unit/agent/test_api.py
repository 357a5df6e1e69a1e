"""The agent over HTTP: every endpoint of the protocol, every refusal, and requests that come twice."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from lithops_agent import protocol
from lithops_agent.protocol import ENDPOINTS, Endpoint, Problem, Status
from tests.unit.agent import functions, messages
from tests.unit.agent.agents import Station, calls, is_problem
from tests.unit.agent.pools import within

# ---- the table of endpoints -------------------------------------------------------------------------

MESSAGES = {
    protocol.INFO: "info",
    protocol.JOB: "holdings",
    protocol.STATUS: "status",
    protocol.CANCEL: "cancel",
    protocol.REVOKE: "revoke",
    protocol.RELEASE: "release",
    protocol.DISMANTLE: "dismantle",
    protocol.SUBMIT: "submit",
    protocol.PLATFORM: "platform",
    protocol.ENVIRONMENT: "environment",
    protocol.PREPARE: "prepare",
    protocol.RUNTIMES: "runtimes",
    protocol.REMOVE: "remove",
    protocol.HOLD: "hold",
    protocol.ENTER: "enter",
    protocol.CONTENTS: "contents",
}
BINARY = {protocol.RESULTS, protocol.BODY, protocol.PRINTED}


def test_every_endpoint_is_tested_here() -> None:
    assert {*MESSAGES, *BINARY} == set(ENDPOINTS)


@pytest.fixture
def mute_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Docker engine that never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "engine"))
        listener.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'engine'}")
        yield


@pytest.mark.parametrize("endpoint", MESSAGES, ids=MESSAGES.get)
def test_every_control_message_is_answered_as_ever(
    lonely: Station,
    tmp_path: Path,
    endpoint: Endpoint,
    mute_engine: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fixed request is understood, and the answer has the keys and types of the fixed answer."""
    fixed = messages.message(MESSAGES[endpoint])
    spec, head = lonely.job(functions.wait_for, 3, job="4f1c-A000")
    frames = [*head, *calls(spec, *[str(tmp_path / "never")] * 3)]
    if endpoint == protocol.SUBMIT:
        answer = lonely.submit(frames).get_json()
    else:
        assert lonely.submit(frames).status_code == 200
        within(10, lambda: len(lonely.agent.pool.snapshot()[1]) == 2)
        request = fixed.get("request")
        if endpoint == protocol.RUNTIMES:
            monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
        if endpoint == protocol.PLATFORM:
            request = {"python": sys.executable}
        answer = lonely.answer(endpoint, data=json.dumps(request) if request is not None else None)
    expected = fixed["answer"]
    if endpoint == protocol.ENVIRONMENT and shutil.which("uv"):
        del expected["missing"][1], answer["missing"][1:]  # A host with a uv of its own is not sent one.
    if endpoint == protocol.STATUS:
        assert answer["time_to_dismantle"] is None, "no countdown was configured"
        assert answer["waiting"] == {"4f1c-A000": 1}
        assert sorted(answer["running"]) == [["4f1c-A000", 0], ["4f1c-A000", 1]]
        assert answer.keys() == expected.keys()
        assert messages.shape(answer["host"]) == messages.shape(expected["host"])
        assert answer["jobs"] == {"4f1c-A000": {"function": "", "runtime": sys.executable}}
        assert answer["processes"] == 2
    else:
        assert messages.shape(answer) == messages.shape(expected)


def test_results_and_a_body_apart(station: Station, session: str) -> None:
    spec, head = station.job(functions.make, 2, session=session)
    assert station.submit(head, calls(spec, 10, 200_000)).get_json() == {"accepted": 2}
    small, large = sorted(station.collect(2, session), key=lambda record: record.number)
    assert small.body is not None
    assert pickle.loads(small.body) == bytes(10)
    assert large.body is None
    response = station.ask(protocol.BODY, seq=large.seq)
    assert response.status_code == 200
    assert len(response.data) == large.size
    assert pickle.loads(response.data) == bytes(200_000)


def test_what_calls_print(lonely: Station, tmp_path: Path) -> None:
    spec, head = lonely.job(functions.say_and_wait, 2)
    gates = [tmp_path / "first", tmp_path / "second"]
    data = [(n, cloudpickle.dumps((("a", str(gate)), {}))) for n, gate in enumerate(gates)]
    lonely.submit(head, protocol.calls_frame(spec.job, data))
    asked: dict[str, Any] = {"job": spec.job, "after": 0, "seen": {}, "wait": 20}
    within(20, lambda: len(lonely.printed(asked)[1]) == 2)
    gates[0].touch()
    lonely.collect(1)
    header, parts = lonely.printed({**asked, "seen": {"1": 2}})
    assert (header["running"], header["left"]) == ([1], 1)
    assert parts == [protocol.Part(spec.job, 0, 0, b"a\nthen\n")]
    asked = {**asked, "after": header["cursor"], "seen": {"1": 2}}
    assert lonely.printed({**asked, "wait": 0})[1] == []
    gates[1].touch()
    header, parts = lonely.printed(asked)
    while not parts or parts[0].begins:
        header, parts = lonely.printed(asked)
    assert (header["left"], parts) == (0, [protocol.Part(spec.job, 1, 0, b"a\nthen\n")])
    # A coordinator is told along with the results.
    query = {"session": "s", "after": 0, "wait": 0}
    _, _, frames = lonely.frames(lonely.ask(protocol.RESULTS, query_string=query).data)
    assert [(part.number, part.text) for part in frames[0][1]] == [(0, b"a\nthen\n"), (1, b"a\nthen\n")]


@pytest.mark.parametrize("seconds", [-1, 601, 1e9])
def test_a_host_is_not_held_for_long(station: Station, seconds: float) -> None:
    asked = {"name": "me", "seconds": seconds}
    is_problem(station.ask(protocol.HOLD, json=asked), 400, Problem.BAD_REQUEST)


@pytest.mark.parametrize("seen", [{"x": 1}, {"1": "y"}, {"1": None}])
def test_what_was_seen_is_numbers(station: Station, seen: dict[str, Any]) -> None:
    asked = {"job": "none", "after": 0, "seen": seen, "wait": 0}
    is_problem(station.ask(protocol.PRINTED, json=asked), 400, Problem.BAD_REQUEST)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
@pytest.mark.parametrize("token", [None, "", "wrong", "correct horse battery staple ", "Grüße"])
def test_every_endpoint_wants_the_token(station: Station, endpoint: Endpoint, token: str | None) -> None:
    is_problem(station.ask(endpoint, token=token), 401, Problem.UNAUTHORIZED)


def test_a_token_of_another_scheme_is_refused(station: Station) -> None:
    response = station.client.get("/v1/info", headers={"Authorization": "Basic correct horse battery staple"})
    is_problem(response, 401, Problem.UNAUTHORIZED)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_every_endpoint_has_one_method(station: Station, endpoint: Endpoint) -> None:
    other = endpoint._replace(method="POST" if endpoint.method == "GET" else "GET")
    is_problem(station.ask(other), 405, Problem.BAD_REQUEST)
    is_problem(station.ask(endpoint._replace(method="OPTIONS")), 405, Problem.BAD_REQUEST)


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/info", "/v1/results/x/body", "/v1/results/-1/body"])
def test_other_paths_are_refused(station: Station, path: str) -> None:
    is_problem(station.ask(Endpoint("GET", path)), 404, Problem.BAD_REQUEST)


# ---- submissions ------------------------------------------------------------------------------------


def test_a_job_runs(station: Station, session: str) -> None:
    spec, head = station.job(functions.double, 3, session=session)
    assert station.submit(head, calls(spec, 1, 2, 3)).get_json() == {"accepted": 3}
    records = station.collect(3, session)
    assert {r.number: pickle.loads(r.body or b"") for r in records} == {0: 2, 1: 4, 2: 6}
    assert {r.job for r in records} == {spec.job}


def test_a_submission_that_comes_twice_runs_once(station: Station, session: str, tmp_path: Path) -> None:
    spec, head = station.job(functions.length, 3, session=session)
    frames = [*head, *calls(spec, b"", b"one", bytes(200_000))]
    assert station.submit(frames).get_json() == {"accepted": 3}
    assert station.submit(frames).get_json() == {"accepted": 0}
    station.collect(3, session)
    assert station.submit(frames).get_json() == {"accepted": 0}
    assert station.submit(calls(spec, b"late", first=2)).get_json() == {"accepted": 0}
    assert len(station.results(session, wait=0)[1]) == 3
    assert [*station.agent.journal.job_folder(spec.job).iterdir()] == [], "second copies of data were kept"


def test_calls_may_come_in_any_number_of_requests(station: Station, session: str) -> None:
    spec, head = station.job(functions.length, 2500, session=session)
    sizes = [70_000 if number % 1000 == 500 else number % 50 for number in range(2500)]
    station.submit(head)
    accepted = station.submit(
        calls(spec, *[bytes(size) for size in sizes[:2400]]),
        calls(spec, *[bytes(size) for size in sizes[2400:]], first=2400),
    )
    assert accepted.get_json() == {"accepted": 2500}
    records = station.collect(2500, session)
    assert {r.number: pickle.loads(r.body or b"") for r in records} == dict(enumerate(sizes))


def test_unknown_keys_are_ignored(station: Station, session: str) -> None:
    spec, head = station.job(functions.double, session=session)
    job = protocol.frame_head({**spec.to_json(), "new_in_release_9": {"a": 1}}, 0)
    assert station.submit(head[:-1], job, calls(spec, 4)).get_json() == {"accepted": 1}
    assert station.collect(1, session)[0].status == Status.SUCCESS
    sent = json.dumps({"job": spec.job, "count": 1, "new": None})
    assert station.answer(protocol.REVOKE, data=sent) == {"numbers": []}
    assert station.answer(protocol.INFO, query_string={"new": "1"})["protocol"] == 1


def test_modules_are_unpacked_once(station: Station, session: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("shipped_along.py", "NAME = 'from the archive'")
    data = packed.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    for _ in range(2):
        spec, head = station.job(functions.use_module, session=session, modules=sha256)
        frame = protocol.calls_frame(spec.job, [(0, pickle.dumps(((), {})))])
        assert station.submit(protocol.blob_frame(sha256, data), head, frame).get_json() == {"accepted": 1}
    assert [pickle.loads(r.body or b"") for r in station.collect(2, session)] == ["from the archive"] * 2
    assert [path.name for path in station.agent.journal.modules_path(sha256).parent.iterdir()] == [sha256]


def test_a_blob_is_kept_for_the_next_job(station: Station, session: str) -> None:
    spec, head = station.job(functions.double, session=session)
    station.submit(head)
    again, head = station.job(functions.double, session=session)
    assert again.function == spec.function
    assert station.submit(head[-1], calls(again, 8)).get_json() == {"accepted": 1}
    station.collect(1, session)


# ---- results ----------------------------------------------------------------------------------------


def test_a_poll_returns_at_the_end_of_its_wait(station: Station) -> None:
    header, records = station.results("nobody", after=7, wait=0.05)
    assert records == []
    assert header["cursor"] == 7
    assert (header["waiting"], header["running"]) == ({}, [])


def test_results_are_there_until_their_job_is_released(station: Station, session: str) -> None:
    spec, head = station.job(functions.make, 3, session=session)
    station.submit(head, calls(spec, 1, 2, 100_000))
    records = station.collect(3, session)
    assert [r.seq for r in station.results(session)[1]] == [r.seq for r in records]
    folder = station.agent.journal.job_folder(spec.job)
    for _ in range(2):
        assert station.answer(protocol.RELEASE, json={"jobs": [spec.job]}) == {}
    assert station.results(session, wait=0)[1] == []
    within(10, lambda: not folder.exists(), "the deletion of its files")
    large = next(record for record in records if record.number == 2)
    is_problem(station.ask(protocol.BODY, seq=large.seq), 404, Problem.UNKNOWN_RESULT)


def test_what_is_here_of_a_job(station: Station, session: str) -> None:
    spec, head = station.job(functions.double, 9, session=session)
    assert station.answer(protocol.JOB, job=spec.job) == {"numbers": []}
    station.submit(head, calls(spec, 1, 2, 3), calls(spec, 4, first=7))
    assert station.answer(protocol.JOB, job=spec.job) == {"numbers": [[0, 2], [7, 7]]}
    station.collect(4, session)
    assert station.answer(protocol.JOB, job=spec.job) == {"numbers": [[0, 2], [7, 7]]}


def test_a_poll_tells_the_load_of_its_own_session(station: Station, session: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    spec, head = station.job(functions.wait_for, 5, session=session)
    station.submit(head, calls(spec, *[str(go)] * 5))
    within(10, lambda: len(station.agent.pool.snapshot()[1]) == 2)
    header, _ = station.results(session, wait=0)
    assert header["waiting"] == {spec.job: 3}
    assert sorted(header["running"]) == [[spec.job, 0], [spec.job, 1]]
    other, _ = station.results("other", wait=0)
    assert (other["waiting"], other["running"]) == ({}, [])
    assert station.answer(protocol.INFO)["busy"] is True
    go.touch()
    station.collect(5, session)


# ---- control, twice ---------------------------------------------------------------------------------


def test_cancelling_twice_ends_once(station: Station, session: str, tmp_path: Path) -> None:
    spec, head = station.job(functions.wait_for, 4, session=session)
    station.submit(head, calls(spec, *[str(tmp_path / "never")] * 4))
    for numbers in ([3, 99], [3, 99], None, None):
        assert station.answer(protocol.CANCEL, data=json.dumps({"job": spec.job, "numbers": numbers})) == {}
    records = station.collect(4, session)
    assert [record.status for record in records] == [Status.CANCELLED] * 4
    assert records[0].number == 3


def test_releasing_twice_forgets_once(station: Station, session: str, tmp_path: Path) -> None:
    spec, head = station.job(functions.wait_for, 4, session=session)
    station.submit(head, calls(spec, *[str(tmp_path / "never")] * 4))
    for _ in range(2):
        assert station.answer(protocol.RELEASE, data=json.dumps({"jobs": [spec.job, "unknown"]})) == {}
    assert station.results(session, wait=0)[0]["waiting"] == {}
    is_problem(station.submit(calls(spec, "x")), 404, Problem.UNKNOWN_JOB)


def test_calls_that_were_given_back_may_be_submitted_again(
    station: Station, session: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    spec, head = station.job(functions.wait_for, 6, session=session)
    frame = calls(spec, *[str(go)] * 6)
    station.submit(head, frame)
    given = station.answer(protocol.REVOKE, data=json.dumps({"job": spec.job, "count": 3}))["numbers"]
    assert sorted(given) == [3, 4, 5]
    assert station.submit(frame).get_json() == {"accepted": 3}
    go.touch()
    assert sorted(record.number for record in station.collect(6, session)) == list(range(6))
