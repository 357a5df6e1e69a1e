"""What the agent refuses over HTTP: one test for each type of a problem, and many for bad requests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from typing import Any

import pytest

from lithops_agent import protocol
from lithops_agent.protocol import Endpoint, Problem, Status
from tests.unit.agent import functions, messages
from tests.unit.agent.agents import Station, calls, is_problem


def test_missing_blobs_are_named(station: Station) -> None:
    spec, _ = (
        station.job(functions.double, function="ab" * 32, modules="cd" * 32) if False else (messages.SPEC, [])
    )
    told = is_problem(station.submit(protocol.frame_head(spec.to_json(), 0)), 409, Problem.MISSING_BLOBS)
    assert told["missing"] == ["ab" * 32, "cd" * 32]
    assert messages.shape(told) == messages.shape(messages.message("problem")["answer"])
    assert station.agent.journal.spec(messages.SPEC.job) is None


def test_calls_of_an_unknown_job(station: Station) -> None:
    spec, _ = station.job(functions.double)
    told = is_problem(station.submit(calls(spec, 1)), 404, Problem.UNKNOWN_JOB)
    assert spec.job in told["detail"]


def test_the_body_of_an_unknown_result(station: Station) -> None:
    is_problem(station.ask(protocol.BODY, seq=987654), 404, Problem.UNKNOWN_RESULT)


GOOD = messages.SPEC.to_json()


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        protocol.frame_head({"kind": "dance"}, 0),
        protocol.frame_head({**GOOD, "total": "many"}, 0),
        protocol.frame_head({"kind": "job"}, 0),
        protocol.frame_head({"kind": "blob"}, 0),
        protocol.frame_head({"kind": "blob", "sha256": "../../../etc/passwd"}, 0),
        protocol.frame_head({"kind": "blob", "sha256": "AB" * 32}, 0),
        b"".join(protocol.blob_frame("ab" * 32, b"of another hash")),
        protocol.frame_head({"kind": "blob", "sha256": "ab" * 32}, 100) + b"too short",
        protocol.frame_head({"kind": "calls", "job": "a"}, 0),
        protocol.frame_head({"kind": "calls", "job": "a", "count": "1"}, 0),
    ],
)
def test_bad_submissions_are_refused_and_leave_nothing(station: Station, body: bytes) -> None:
    blobs = station.agent.journal.blob_path("x").parent
    before = sorted(blobs.iterdir())
    is_problem(station.submit(body), 400, Problem.BAD_REQUEST)
    assert sorted(blobs.iterdir()) == before


@pytest.mark.parametrize("count", [-1, 2, 1 << 62])
def test_a_bad_table_of_calls_is_refused(station: Station, count: int) -> None:
    spec, head = station.job(functions.double)
    station.submit(head)
    frame = protocol.frame_head({"kind": "calls", "job": spec.job, "count": count}, 20) + bytes(20)
    is_problem(station.submit(frame), 400, Problem.BAD_REQUEST)


def test_a_cut_submission_takes_none_of_the_calls_of_its_last_frame(station: Station) -> None:
    spec, head = station.job(functions.length, 2)
    frame = b"".join(calls(spec, b"small", bytes(200_000)))
    is_problem(station.submit(head, frame[:-1]), 400, Problem.BAD_REQUEST)
    assert station.agent.journal.load_calls(spec.job, [0, 1]) == []
    assert [*station.agent.journal.job_folder(spec.job).iterdir()] == []


def test_modules_that_are_no_archive_are_refused(station: Station) -> None:
    data = b"not a zip"
    sha256 = hashlib.sha256(data).hexdigest()
    spec, head = station.job(functions.double, modules=sha256)
    is_problem(station.submit(protocol.blob_frame(sha256, data), head), 400, Problem.BAD_REQUEST)
    assert station.agent.journal.spec(spec.job) is None


@pytest.mark.parametrize(
    ("endpoint", "sent"),
    [
        (protocol.CANCEL, None),
        (protocol.CANCEL, []),
        (protocol.CANCEL, {"job": "a"}),
        (protocol.CANCEL, {"job": ["a"], "numbers": None}),
        (protocol.CANCEL, {"job": "a", "numbers": 5}),
        (protocol.CANCEL, {"job": "a", "numbers": [[]]}),
        (protocol.REVOKE, {"job": "a"}),
        (protocol.REVOKE, {"job": "a", "count": "all"}),
        (protocol.RELEASE, {}),
        (protocol.RELEASE, {"jobs": "abc"}),
        (protocol.RELEASE, {"jobs": [{}]}),
    ],
)
def test_bad_control_messages_are_refused(station: Station, endpoint: Endpoint, sent: Any) -> None:
    data = b"{" if sent is None else json.dumps(sent)
    is_problem(station.ask(endpoint, data=data), 400, Problem.BAD_REQUEST)


@pytest.mark.parametrize("name", ["after", "wait"])
@pytest.mark.parametrize("value", ["x", "nan", "inf", "-1", "1e30"])
def test_bad_cursors_are_refused(station: Station, name: str, value: str) -> None:
    response = station.ask(protocol.RESULTS, query_string={"session": "s", name: value})
    is_problem(response, 400, Problem.BAD_REQUEST)


def full_disk(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_refuses_blobs(lonely: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    _, head = lonely.job(functions.double)
    monkeypatch.setattr(os, "open", full_disk)
    response = lonely.submit(head)
    monkeypatch.undo()
    is_problem(response, 507, Problem.NO_SPACE)
    assert lonely.submit(head).status_code == 200


def test_a_full_disk_refuses_calls_and_keeps_none_of_them(lonely: Station) -> None:
    spec, head = lonely.job(functions.length, 50)
    lonely.submit(head)
    lonely.agent.journal._db.execute("PRAGMA max_page_count=1")
    frame = calls(spec, *[bytes(50_000)] * 50)
    is_problem(lonely.submit(frame), 507, Problem.NO_SPACE)
    assert lonely.agent.pool.snapshot() == ({}, [])
    lonely.agent.journal._db.execute("PRAGMA max_page_count=1000000")
    assert lonely.submit(frame).get_json() == {"accepted": 50}
    assert {record.status for record in lonely.collect(50)} == {Status.SUCCESS}


def test_an_error_of_the_agent_is_told(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(station.agent.pool, "snapshot", fail)
    told = is_problem(station.ask(protocol.STATUS), 500, Problem.INTERNAL)
    assert told["detail"] == "RuntimeError: a bug"


def test_an_agent_that_ends_takes_nothing_more_and_ends_once(lonely: Station) -> None:
    spec, head = lonely.job(functions.double, 2)
    lonely.submit(head, calls(spec, 1))
    lonely.collect(1)
    assert lonely.answer(protocol.DISMANTLE, data="{}") == {}
    assert lonely.answer(protocol.DISMANTLE, data="{}") == {}
    lonely.agent.join(10)
    assert lonely.reasons == ["asked to"]
    is_problem(lonely.submit(calls(spec, 2, first=1)), 503, Problem.DRAINING)
    is_problem(lonely.submit(lonely.job(functions.double)[1]), 503, Problem.DRAINING)
    assert lonely.answer(protocol.STATUS)["draining"] is True
    assert [record.number for record in lonely.results(wait=30)[1]] == [0], "results can still be collected"
