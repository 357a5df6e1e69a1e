"""The bytes of the wire: fixed examples, round trips, and refusal of what is not of this protocol."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_agent import protocol
from lithops_agent.protocol import CALL, RESULT, JobSpec, ProtocolError, ResultRecord, Status
from tests.unit.agent import messages

quick = settings(max_examples=60, deadline=None)


class Dribble:
    """A stream that gives a few bytes at a time, as a network does."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._stream = io.BytesIO(data)
        self._piece = piece

    def read(self, size: int) -> bytes:
        return self._stream.read(min(size, self._piece))


# ---- fixed for ever ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["job", "blob", "calls", "results", "printed"])
def test_a_frame_is_written_as_ever(name: str) -> None:
    assert messages.frames()[name] == messages.frame(name)


def test_the_fixed_job_is_read() -> None:
    head = protocol.read_frame_head(io.BytesIO(messages.frame("job")))
    assert head is not None
    assert head[1] == 0
    assert JobSpec.from_json(head[0]) == messages.SPEC


def test_the_fixed_calls_are_read() -> None:
    stream = io.BytesIO(messages.frame("calls"))
    head = protocol.read_frame_head(stream)
    assert head is not None
    header, size = head
    assert header == {"kind": "calls", "job": "4f1c-A000", "count": 3}
    assert protocol.read_call_table(stream, header["count"], size) == [(0, 4), (1, 0), (2, 256)]
    assert stream.read() == b"zero" + bytes(range(256))


def test_the_fixed_results_are_read() -> None:
    stream = io.BytesIO(messages.frame("results"))
    head = protocol.read_frame_head(stream)
    assert head is not None
    header, size = head
    assert header == {"kind": "results", "count": 2, **messages.RESULTS_HEADER}
    assert list(protocol.parse_results(header, protocol.read_exactly(stream, size))) == [
        ResultRecord(7, "4f1c-A000", 0, Status.SUCCESS, 5, b"hello", messages.STATS),
        ResultRecord(8, "4f1c-A000", 1, Status.EXCEPTION, 1 << 40, None, messages.STATS),
    ]


def test_the_fixed_printed_text_is_read() -> None:
    stream = io.BytesIO(messages.frame("printed"))
    head = protocol.read_frame_head(stream)
    assert head is not None
    header, size = head
    assert protocol.parse_printed(header, protocol.read_exactly(stream, size)) == messages.PARTS
    assert {name: header[name] for name in messages.PRINTED_HEADER} == messages.PRINTED_HEADER


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({}, b""),
        ({"parts": 1}, b""),
        ({"parts": [["job", 0, 0]]}, b""),
        ({"parts": [["job", "x", 0, 1]]}, b"a"),
        ({"parts": [["job", 0, 0, 2]]}, b"a"),
        ({"parts": [["job", 0, 0, 1]]}, b"ab"),
    ],
)
def test_printed_text_that_is_not_whole_is_refused(header: dict[str, object], payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.parse_printed(header, payload)


def test_statuses_and_problems_keep_their_values() -> None:
    assert {status.name: status.value for status in Status} == {
        "SUCCESS": 0,
        "EXCEPTION": 1,
        "BAD_RESULT": 2,
        "WORKER_DIED": 10,
        "OUT_OF_MEMORY": 11,
        "TIMED_OUT": 12,
        "CANCELLED": 13,
        "HARD_DISMANTLE": 14,
        "NO_SPACE": 15,
    }
    kinds = {value for name, value in vars(protocol.Problem).items() if name.isupper()}
    assert kinds == {
        f"urn:lithops:{kind}"
        for kind in (
            *("unauthorized", "bad-request", "missing-blobs", "unknown-job", "unknown-result"),
            *("no-space", "draining", "internal", "runtime", "in-use"),
        )
    }


def test_every_endpoint_is_in_the_table_once() -> None:
    named = [value for value in vars(protocol).values() if isinstance(value, protocol.Endpoint)]
    assert sorted(named) == sorted(protocol.ENDPOINTS)
    assert len(set(protocol.ENDPOINTS)) == len(protocol.ENDPOINTS)
    assert all(endpoint.path.startswith(f"/v{protocol.PROTOCOL}/") for endpoint in protocol.ENDPOINTS)


# ---- round trips ------------------------------------------------------------------------------------

TEXT = st.text(max_size=20)
SECONDS = st.none() | st.floats(0, 1e9)
SPECS = st.builds(
    JobSpec,
    job=TEXT,
    session=TEXT,
    function=TEXT,
    total=st.integers(0, 1 << 32),
    runtime=TEXT,
    function_name=TEXT,
    modules=st.none() | TEXT,
    env=st.dictionaries(TEXT, TEXT, max_size=4),
    timeout=SECONDS,
    cwd=st.none() | TEXT,
    depth=st.integers(0, 9),
    retries=st.integers(0, 9),
    soft_timeout=SECONDS,
    hard_timeout=SECONDS,
)
CALLS = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=50)), max_size=20)


@quick
@given(spec=SPECS, piece=st.integers(1, 40))
def test_a_job_comes_back(spec: JobSpec, piece: int) -> None:
    head = protocol.read_frame_head(Dribble(protocol.frame_head(spec.to_json(), 0), piece))
    assert head is not None
    assert JobSpec.from_json(head[0]) == spec


@quick
@given(spec=SPECS, more=st.dictionaries(st.sampled_from(("new_a", "new_b")), st.integers(), max_size=3))
def test_keys_that_a_newer_coordinator_adds_are_ignored(spec: JobSpec, more: dict[str, int]) -> None:
    assert JobSpec.from_json({**spec.to_json(), **more}) == spec


@quick
@given(job=TEXT, calls=CALLS, piece=st.integers(1, 100))
def test_calls_come_back(job: str, calls: list[tuple[int, bytes]], piece: int) -> None:
    stream = Dribble(b"".join(protocol.calls_frame(job, calls)), piece)
    head = protocol.read_frame_head(stream)
    assert head is not None
    header, size = head
    assert (header["kind"], header["job"]) == ("calls", job)
    table = protocol.read_call_table(stream, header["count"], size)
    assert [(number, protocol.read_exactly(stream, length)) for number, length in table] == calls
    assert protocol.read_frame_head(stream) is None


RECORDS = st.lists(
    st.builds(
        ResultRecord,
        seq=st.integers(0, 2**63),
        job=st.sampled_from(("a", "b", "c")),
        number=st.integers(0, 2**32 - 1),
        status=st.sampled_from(tuple(int(status) for status in Status)),
        size=st.integers(1 << 17, 1 << 60),
        body=st.none() | st.binary(max_size=50),
        stats=st.tuples(*[st.floats(allow_nan=False)] * len(protocol.STATS)),
    ),
    max_size=12,
)


@quick
@given(records=RECORDS)
def test_results_come_back(records: list[ResultRecord]) -> None:
    records = [r if r.body is None else r._replace(size=len(r.body)) for r in records]
    jobs = ["a", "b", "c"]
    packed = [
        RESULT.pack(r.seq, jobs.index(r.job), r.number, r.status, r.body is None, r.size, *r.stats)
        for r in records
    ]
    frame = protocol.results_frame({"jobs": jobs}, packed, [r.body for r in records if r.body is not None])
    stream = io.BytesIO(frame)
    head = protocol.read_frame_head(stream)
    assert head is not None
    assert list(protocol.parse_results(head[0], protocol.read_exactly(stream, head[1]))) == records


def test_a_job_names_its_blobs() -> None:
    assert messages.SPEC.blobs() == ("ab" * 32, "cd" * 32)
    assert dataclasses.replace(messages.SPEC, modules=None).blobs() == ("ab" * 32,)


# ---- refused ----------------------------------------------------------------------------------------

HEAD = struct.Struct("<IQ")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x01", "too early"),
        (HEAD.pack(10, 0) + b"{}", "8 bytes too early"),
        (HEAD.pack(protocol.MAX_HEADER + 1, 0), f"{protocol.MAX_HEADER + 1} bytes"),
        (HEAD.pack(2, 0) + b"{]", "not JSON"),
        (HEAD.pack(2, 0) + b"\xff\xfe", "not JSON"),
        (HEAD.pack(100_000, 0) + b"[" * 100_000, "not JSON"),
        (HEAD.pack(2, 0) + b"[]", "without a kind"),
        (HEAD.pack(2, 0) + b"{}", "without a kind"),
        (HEAD.pack(10, 0) + b'{"kind":1}', "without a kind"),
        (b"GET /v1/info HTTP/1.1\r\n\r\n", "bytes"),
    ],
)
def test_a_bad_frame_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        protocol.read_frame_head(io.BytesIO(data))


@pytest.mark.parametrize(
    ("count", "table", "size"),
    [
        (-1, b"", 0),
        (2, CALL.pack(0, 0), CALL.size),
        (1, CALL.pack(0, 5), CALL.size + 4),
        (1, CALL.pack(0, 5), CALL.size + 6),
        (1, CALL.pack(0, 2**64 - 1), CALL.size),
        (1, CALL.pack(0, 5)[:-1], CALL.size + 5),
        (2**62, b"", 100),
    ],
)
def test_a_bad_table_of_calls_is_refused(count: int, table: bytes, size: int) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_call_table(io.BytesIO(table), count, size)


def record(job: int = 0, apart: int = 0, size: int = 5) -> bytes:
    return RESULT.pack(1, job, 0, 0, apart, size, *protocol.NO_STATS)


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({"jobs": ["a"]}, record() + b"hello"),
        ({"count": 1}, record() + b"hello"),
        ({"jobs": "a", "count": 1}, record() + b"hello"),
        ({"jobs": ["a"], "count": "1"}, record() + b"hello"),
        ({"jobs": ["a"], "count": -1}, record() + b"hello"),
        ({"jobs": ["a"], "count": 2}, record() + b"hello"),
        ({"jobs": ["a"], "count": 1}, record() + b"hell"),
        ({"jobs": ["a"], "count": 1}, record() + b"hello!"),
        ({"jobs": ["a"], "count": 1}, record(apart=1) + b"hello"),
        ({"jobs": ["a"], "count": 1}, record(job=1) + b"hello"),
        ({"jobs": ["a"], "count": 1}, record()[:-1]),
    ],
)
def test_bad_results_are_refused(header: dict[str, object], payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(protocol.parse_results(header, payload))


@pytest.mark.parametrize(
    "change",
    [
        {"job": 5},
        {"session": None},
        {"total": "3"},
        {"runtime": None},
        {"env": []},
        {"env": {"A": 1}},
        {"timeout": "5"},
        {"depth": 1.5},
        {"modules": 0},
        {"hard_timeout": {}},
    ],
)
def test_a_job_of_wrong_types_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match=next(iter(change))):
        JobSpec.from_json({**messages.SPEC.to_json(), **change})


@pytest.mark.parametrize("key", ["job", "session", "function", "total", "runtime"])
def test_a_job_without_a_mandatory_key_is_refused(key: str) -> None:
    header = messages.SPEC.to_json()
    del header[key]
    with pytest.raises(ProtocolError, match=key):
        JobSpec.from_json(header)


def read_all(data: bytes) -> None:
    """Read a body of frames as an agent and a coordinator do."""
    stream = io.BytesIO(data)
    while (head := protocol.read_frame_head(stream)) is not None:
        header, size = head
        if header["kind"] == "job":
            JobSpec.from_json(header)
        elif header["kind"] == "calls" and isinstance(header.get("count"), int):
            protocol.read_call_table(stream, header["count"], size)
        else:
            list(protocol.parse_results(header, protocol.read_exactly(stream, size)))


def survives(read: Callable[[bytes], None], data: bytes) -> None:
    try:
        read(data)
    except ProtocolError:
        pass


@quick
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    survives(read_all, data)


def test_a_frame_that_no_machine_could_hold_is_refused() -> None:
    for size in (sys.maxsize + 1, 2**64 - 1):
        with pytest.raises(ProtocolError, match="a frame of"):
            protocol.read_frame_head(io.BytesIO(protocol.frame_head({"kind": "calls"}, size)))


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(("job", "calls", "results")),
    place=st.integers(0, 400),
    byte=st.integers(0, 255),
    cut=st.none() | st.integers(0, 400),
)
def test_damaged_frames_are_read_or_refused(name: str, place: int, byte: int, cut: int | None) -> None:
    data = bytearray(messages.frame(name))
    data[place % len(data)] = byte
    survives(read_all, bytes(data[:cut]))


@pytest.mark.parametrize("name", ["job", "blob", "calls", "results", "printed"])
def test_a_body_cut_anywhere_is_refused(name: str) -> None:
    data = messages.frame(name)
    for cut in range(1, len(data)):
        with pytest.raises(ProtocolError):
            read_one(data[:cut])
    read_one(data)


def read_one(data: bytes) -> None:
    stream = io.BytesIO(data)
    head = protocol.read_frame_head(stream)
    assert head is not None
    protocol.read_exactly(stream, head[1])


def test_headers_are_compact_json() -> None:
    frame = protocol.frame_head({"kind": "job", "a": [1, 2]}, 0)
    assert frame[HEAD.size :] == b'{"kind":"job","a":[1,2]}'
    assert json.loads(frame[HEAD.size :]) == {"kind": "job", "a": [1, 2]}
