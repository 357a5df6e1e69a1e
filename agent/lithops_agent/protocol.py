"""The wire protocol: what the coordinator and the agent say to each other, and in which bytes.

HTTP/1.1 with the version in the path. Control messages are JSON objects. Calls and results travel
as *frames*, many to a body::

    frame   := length of header (uint32) | length of payload (uint64) | header | payload
    header  := a JSON object with the key "kind"

    kind "job"      header: a JobSpec                       payload: empty
    kind "blob"     header: sha256                          payload: the bytes
    kind "calls"    header: job, count                      payload: count CALL records, then their data
    kind "results"  header: cursor, jobs and a load (below)  payload: RESULT records, then their bodies
    kind "printed"  header: parts, and more (below)         payload: what was printed, part after part

A part is ``[job, number, begins, size]``: of all that a call has printed, the ``size`` bytes after the
first ``begins``.

All integers are little-endian. Rules: what is written is exact, unknown keys are ignored on
reading; a request that changes something can be sent twice without harm (calls have numbers, blobs
have hashes); every refusal is a problem+json answer (RFC 9457) whose ``type`` is one of `Problem`.

This module imports nothing but the standard library and works on Python 3.9 and newer.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

PROTOCOL = 1
MAX_HEADER = 64 * 1024 * 1024
INLINE_LIMIT = 64 * 1024
"""Bytes above which the data or the result of a call lives in a file of its own on the host."""

CLOUD_ENDINGS = ("stop", "delete")
"""Ways to end that the agent asks its host's cloud for; when the cloud refuses, the host is switched off."""
HOST_ENDINGS = ("poweroff", *CLOUD_ENDINGS)
"""Ways to end after which the host is off or gone."""
ENDINGS = ("remove", "keep", *HOST_ENDINGS)
"""What dismantling means on a host: remove all that was put there, keep the bundle, or end the host."""

STATS = (
    "worker_start_tstamp",  # seconds since the epoch, clock of the host, as are the next three
    "worker_func_start_tstamp",
    "worker_func_end_tstamp",
    "worker_end_tstamp",
    "worker_func_cpu_user_time",  # seconds
    "worker_func_cpu_system_time",
    "worker_func_rss",  # bytes
    "worker_peak_memory_start",  # bytes
    "worker_peak_memory_end",
    "attempt",  # 1 for the first
    "worker_pid",
)
NO_STATS = (0.0,) * len(STATS)

_FRAME = struct.Struct("<IQ")
CALL = struct.Struct("<IQ")
"""Number of a call within its job, length of its data."""
RESULT = struct.Struct(f"<QIIBBQ{len(STATS)}d")
"""Sequence number, index into the header's jobs, call number, Status, 1 if the body is fetched
on its own, length of the body, and the numbers that STATS names."""


class Status(enum.IntEnum):
    """How a call ended. Up to BAD_RESULT the body is a pickle of the worker's; beyond, UTF-8 text."""

    SUCCESS = 0
    EXCEPTION = 1
    BAD_RESULT = 2
    WORKER_DIED = 10
    OUT_OF_MEMORY = 11
    TIMED_OUT = 12
    CANCELLED = 13
    HARD_DISMANTLE = 14
    NO_SPACE = 15


class Problem:
    """The stable ``type`` of a problem+json answer."""

    UNAUTHORIZED = "urn:lithops:unauthorized"
    BAD_REQUEST = "urn:lithops:bad-request"
    MISSING_BLOBS = "urn:lithops:missing-blobs"
    UNKNOWN_JOB = "urn:lithops:unknown-job"
    UNKNOWN_RESULT = "urn:lithops:unknown-result"
    NO_SPACE = "urn:lithops:no-space"
    DRAINING = "urn:lithops:draining"
    RUNTIME = "urn:lithops:runtime"
    """The image can't be used; the answer's ``failure`` is one of `RuntimeFailure`."""
    IN_USE = "urn:lithops:in-use"
    INTERNAL = "urn:lithops:internal"


class RuntimeFailure:
    """Why functions can't run in an image on a host."""

    NO_ENGINE = "no-engine"
    NO_PERMISSION = "no-permission"
    REGISTRY_UNREACHABLE = "registry-unreachable"
    UNAUTHORIZED = "unauthorized"
    NO_SUCH_IMAGE = "no-such-image"
    NO_SPACE = "no-space"
    ARCHITECTURE = "architecture"
    NO_PYTHON = "no-python"
    OTHER_PYTHON = "other-python"
    ENGINE = "engine"
    """Whatever else the engine refuses, in its own words."""


class RuntimeUnusable(Exception):
    """Functions can't run in an image; ``kind`` is one of `RuntimeFailure`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ProtocolError(Exception):
    """The other side sent bytes that are not of this protocol."""


class Endpoint(NamedTuple):
    """One row of the table that the agent's routes and the coordinator's client are built from."""

    method: str
    path: str


INFO = Endpoint("GET", "/v1/info")
"""Frozen for ever: protocol, version, bundle, agent_id, boot_id, python, processes, busy."""
SUBMIT = Endpoint("POST", "/v1/submissions")
"""Body: frames (at most one job, then blobs, then calls). Answers `{"accepted": calls}`."""
RESULTS = Endpoint("GET", "/v1/results")
"""Query: session, after (cursor), wait (seconds). Results stay until their job is released.
Answers one "results" frame, and a "printed" frame if the calls have printed anything. The header of the
former also tells the load: ``running``, ``waiting`` (calls of the session that have not begun, by job),
``free`` (slots that no session uses), and ``ends_in`` (seconds until the host is dismantled if nothing else
happens; null: never)."""
PRINTED = Endpoint("POST", "/v1/printed")
"""`{"job": id, "after": cursor, "seen": {number: bytes}, "wait": seconds}`: what calls of a job print: those
that have ended, after the cursor, and those that run, after the bytes that were seen of them. Answers one
"printed" frame, whose header has the ``cursor``, the numbers of the calls that are ``running``, and how many
are ``left`` that have not ended."""
BODY = Endpoint("GET", "/v1/results/<int:seq>/body")
"""The body of one result that is too large for the stream."""
JOB = Endpoint("GET", "/v1/jobs/<job>")
"""`{"numbers": [[first, last], ..]}`: the calls of a job that are here, or whose results are."""
CANCEL = Endpoint("POST", "/v1/cancel")
"""`{"job": id, "numbers": [..] or null}`: kills or withdraws calls; their results tell so. Answers `{}`."""
REVOKE = Endpoint("POST", "/v1/revoke")
"""`{"job": id, "count": n}`: gives back calls that have not started. Answers `{"numbers": [..]}`."""
RELEASE = Endpoint("POST", "/v1/release")
"""`{"jobs": [id, ..]}`: forgets jobs and all that belongs to them. Answers `{}`."""
PREPARE = Endpoint("POST", "/v1/runtimes")
"""`{"request": id, "container": ContainerOptions, "pull": whether, "auth": {"serveraddress", "username",
"password"} or null, "wait": seconds}`: makes an image ready, which may take many such requests with one id.
Answers `{"ready": false, "doing", "layers": [done, of], "bytes": [done, of]}` or
`{"ready": true, "image": id, "digest": that of the registry or "", "python": version}`."""
STATUS = Endpoint("GET", "/v1/status")
"""What runs and waits, by job, and ``time_to_dismantle`` (seconds, null: never) with its ``reason``. Of each
such job its ``function`` and ``runtime``; how many ``processes`` run calls; and how busy the ``host`` is: see
`lithops_agent.usage`."""
DISMANTLE = Endpoint("POST", "/v1/dismantle")
"""`{"ending": how, or null for that of the last job}` or no body: ends the agent now. Answers `{}`."""
HOLD = Endpoint("POST", "/v1/hold")
"""`{"name": who, "seconds": how long}`: somebody is in a shell there, or reaches other machines through it.
Until then the host does not count as idle; it is said again and again, and with 0 seconds at the end. Answers
`{"hard_in": seconds, null: never}`: when the hard time-out ends the host all the same."""
ENTER = Endpoint("POST", "/v1/enter")
"""`{"job": id}`: the way into what the calls of a job see. Answers `{"enter": the path of a shell script that
runs a command there, or a shell, "container": the id of the container that it has to run in, or null,
"function": the path of the pickled function, "blobs": the folder of the blobs}`."""
CONTENTS = Endpoint("GET", "/v1/contents")
"""`{"home": folder, "jobs": [{"job", "function_name", "total", "waiting", "running", "ended", "bytes"},
..]}`: what the agent holds, the oldest job first; ``bytes`` are those of the results."""
PLATFORM = Endpoint("POST", "/v1/platform")
"""`{"python": path}`: what wheels for an interpreter must fit: its version, implementation, machine, libc."""
ENVIRONMENT = Endpoint("POST", "/v1/environments")
"""Makes sure that a Python environment is there: ``environment`` (its SHA-256), ``python`` (the interpreter
that it is for), ``wheels`` and ``uv`` (each ``file``, ``sha256``, ``size``, ``url``), ``fetch`` (whether the
host may fetch them) and ``wait`` (seconds). Answers the ``state``: ready (with ``python``), missing (the
hashes to send as blobs, and ``why`` they could not be fetched), building (``progress``) or failed (``error``,
``kind``)."""
RUNTIMES = Endpoint("GET", "/v1/inventory")
"""What functions can run in: ``images`` (name, id, size, made_at) with ``engine`` ("" or why there are none
to see), and ``environments`` (name, size, used_at, packages)."""
REMOVE = Endpoint("POST", "/v1/inventory/remove")
"""`{"kind": "image" or "environment", "name": name}`. Answers `{"removed": whether it was there}`."""
ENDPOINTS = (
    INFO, SUBMIT, RESULTS, BODY, JOB, CANCEL, REVOKE, RELEASE, PREPARE, STATUS, DISMANTLE, PLATFORM,
    ENVIRONMENT, RUNTIMES, REMOVE, PRINTED, HOLD, ENTER, CONTENTS,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ContainerOptions:
    """The container that the calls of a job run in; jobs with the same one share it.

    ``name`` is the image as the user calls it and ``image`` its id, empty until it is known. ``python`` is
    the version (3.11) that it must have. ``volumes`` are as of ``docker run --volume``, ``env`` are variables
    of its environment, ``memory`` is in
    bytes for each worker, and ``cpus`` how many CPUs all of them may use; None: no limit.
    """

    name: str
    python: str
    image: str = ""
    network: str = "host"
    gpu: bool = False
    volumes: Sequence[str] = ()
    env: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    memory: int | None = None
    cpus: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)},
            "volumes": [*self.volumes],
            "env": {**self.env},
        }

    @property
    def key(self) -> str:
        """Jobs with the same key share a container."""
        return json.dumps(self.to_json(), sort_keys=True)

    @classmethod
    def from_json(cls, given: Any) -> ContainerOptions:
        """Read what another side has written, ignoring keys that are new. Raises ProtocolError."""
        if not isinstance(given, dict):
            raise ProtocolError("a container that is no JSON object")
        known = {f.name: _JSON_TYPES[str(f.type)] for f in dataclasses.fields(cls)}
        for key, kinds in known.items():
            if key in given and not isinstance(given[key], kinds):
                shown = "of this type" if key == "env" else repr(given[key])
                raise ProtocolError(f"{key} of a container can't be {shown}")
        if not all(isinstance(volume, str) for volume in given.get("volumes", ())):
            raise ProtocolError("volumes of a container that are not strings")
        if not all(isinstance(value, str) for value in given.get("env", {}).values()):
            raise ProtocolError("env of a container has values that are not strings")
        try:
            return cls(**{key: given[key] for key in known if key in given})
        except TypeError as exc:
            raise ProtocolError(f"a container without all of its keys: {exc}") from exc


@dataclasses.dataclass(frozen=True)
class JobSpec:
    """What an agent must know to run the calls of a job.

    ``runtime`` is the path of the Python interpreter, or the name of an image; then ``container`` is the JSON
    of the `ContainerOptions`. ``timeout`` is in seconds for each call,
    None for no limit. ``depth`` is 0 for a job from outside, and one more than its parent's for a
    job that a function submitted from within a worker. ``hard_timeout`` and ``soft_timeout`` are
    the dismantle time-outs in seconds, None for none.
    ``ending`` is how the host ends once its time is up: one of `ENDINGS`.
    ``processes`` is how many calls the host runs at a time from now on, None for its own choice, and
    ``most`` the most that it may choose; only
    a job from outside changes that.
    """

    job: str
    session: str
    function: str
    total: int
    runtime: str
    function_name: str = ""
    modules: str | None = None
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    timeout: float | None = None
    cwd: str | None = None
    depth: int = 0
    retries: int = 0
    soft_timeout: float | None = None
    hard_timeout: float | None = None
    processes: int | None = None
    most: int | None = None
    ending: str = "remove"
    container: Mapping[str, Any] | None = None

    def blobs(self) -> tuple[str, ...]:
        """The SHA-256 of every blob that the job needs."""
        return (self.function, self.modules) if self.modules else (self.function,)

    def to_json(self) -> dict[str, Any]:
        """The header of a "job" frame."""
        return {"kind": "job", **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}}

    @classmethod
    def from_json(cls, header: Mapping[str, Any]) -> JobSpec:
        """Read a header, ignoring keys that a newer coordinator may have added."""
        known = {f.name: _JSON_TYPES[str(f.type)] for f in dataclasses.fields(cls)}
        given = {key: value for key, value in header.items() if key in known}
        for key, value in given.items():
            if not isinstance(value, known[key]):
                raise ProtocolError(f"{key} of a job can't be {value!r}")
        if not all(isinstance(value, str) for value in given.get("env", {}).values()):
            raise ProtocolError("env of a job has values that are not strings")
        if given.get("container") is not None:
            ContainerOptions.from_json(given["container"])
        if given.get("ending", "remove") not in ENDINGS:
            raise ProtocolError(f"ending of a job can't be {given['ending']!r}")
        try:
            return cls(**given)
        except TypeError as exc:
            raise ProtocolError(f"a job without all of its keys: {exc}") from exc


_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
    "float | None": (float, int, type(None)),
    "Mapping[str, str]": (dict,),
    "Mapping[str, Any] | None": (dict, type(None)),
    "Sequence[str]": (list, tuple),
    "bool": (bool,),
}
"""What JSON gives for each type of a field of JobSpec. An agent that took something else would fail later,
where nobody learns of it."""


class Part(NamedTuple):
    """Of all that a call has printed, the ``text`` after the first ``begins`` bytes."""

    job: str
    number: int
    begins: int
    text: bytes

    @property
    def end(self) -> int:
        """How many bytes the call has printed up to here."""
        return self.begins + len(self.text)


class Reader(Protocol):
    """Anything that bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, none at the end."""


class ResultRecord(NamedTuple):
    """One result as it came over the wire; ``body`` is None when it must be fetched on its own."""

    seq: int
    job: str
    number: int
    status: int
    size: int
    body: bytes | None
    stats: tuple[float, ...]


def ranges_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers as (first, last) of each run without a gap."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def frame_head(header: Mapping[str, Any], payload_size: int) -> bytes:
    """The bytes of a frame up to its payload."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return _FRAME.pack(len(text), payload_size) + text


def calls_frame(job: str, calls: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """A "calls" frame, as pieces that are written one after the other."""
    table = b"".join(CALL.pack(number, len(data)) for number, data in calls)
    size = len(table) + sum(len(data) for _, data in calls)
    head = frame_head({"kind": "calls", "job": job, "count": len(calls)}, size)
    return [head, table, *(data for _, data in calls)]


def blob_frame(sha256: str, data: bytes) -> list[bytes]:
    """A "blob" frame, as pieces."""
    return [frame_head({"kind": "blob", "sha256": sha256}, len(data)), data]


def read_exactly(stream: Reader, size: int) -> bytes:
    """``size`` bytes, or ProtocolError when the stream ends before."""
    first = stream.read(size)
    if len(first) == size:
        return first
    pieces = [first]
    missing = size - len(first)
    while missing:
        piece = stream.read(missing)
        if not piece:
            raise ProtocolError(f"the body ended {missing} bytes too early")
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def read_frame_head(stream: Reader) -> tuple[dict[str, Any], int] | None:
    """The header of the next frame and the size of its payload; None at the end of the stream."""
    first = stream.read(_FRAME.size)
    if not first:
        return None
    if len(first) < _FRAME.size:
        first += read_exactly(stream, _FRAME.size - len(first))
    header_size, payload_size = _FRAME.unpack(first)
    if header_size > MAX_HEADER:
        raise ProtocolError(f"a frame header of {header_size} bytes")
    if payload_size > sys.maxsize:
        raise ProtocolError(f"a frame of {payload_size} bytes")
    try:
        header = json.loads(read_exactly(stream, header_size))
    except (ValueError, RecursionError) as exc:
        raise ProtocolError(f"a frame header that is not JSON: {exc}") from exc
    if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
        raise ProtocolError("a frame header without a kind")
    return header, payload_size


def read_call_table(stream: Reader, count: int, payload_size: int) -> list[tuple[int, int]]:
    """The (number, size) of each call of a "calls" frame, whose data follow in the stream."""
    if count < 0 or count * CALL.size > payload_size:
        raise ProtocolError(f"a frame of {payload_size} bytes can't hold {count} calls")
    table = list(CALL.iter_unpack(read_exactly(stream, count * CALL.size)))
    if count * CALL.size + sum(size for _, size in table) != payload_size:
        raise ProtocolError("the sizes of the calls do not add up to the size of their frame")
    return table


def results_frame(header: Mapping[str, Any], records: Iterable[bytes], bodies: Iterable[bytes]) -> bytes:
    """A whole "results" frame; ``records`` are packed RESULT structures."""
    records = list(records)
    payload = b"".join([*records, *bodies])
    return frame_head({"kind": "results", "count": len(records), **header}, len(payload)) + payload


def printed_frame(header: Mapping[str, Any], parts: Sequence[Part]) -> bytes:
    """A whole "printed" frame."""
    table = [[part.job, part.number, part.begins, len(part.text)] for part in parts]
    payload = b"".join(part.text for part in parts)
    return frame_head({"kind": "printed", "parts": table, **header}, len(payload)) + payload


def parse_printed(header: Mapping[str, Any], payload: bytes) -> list[Part]:
    """The parts of a "printed" frame. Raises ProtocolError."""
    parts, offset = [], 0
    try:
        for job, number, begins, size in header["parts"]:
            parts.append(Part(str(job), int(number), int(begins), payload[offset : offset + int(size)]))
            offset += int(size)
    except (KeyError, TypeError, ValueError) as exc:
        raise ProtocolError(f"a frame of printed text without its parts: {exc}") from exc
    if offset != len(payload):
        raise ProtocolError("the sizes of the parts do not add up to the size of their frame")
    return parts


def parse_results(header: Mapping[str, Any], payload: bytes) -> Iterator[ResultRecord]:
    """The records of a "results" frame, in the order of their sequence numbers."""
    jobs, count = header.get("jobs"), header.get("count")
    if not isinstance(jobs, list) or not isinstance(count, int) or count < 0:
        raise ProtocolError("a frame of results without jobs or count")
    table_size = count * RESULT.size
    if table_size > len(payload):
        raise ProtocolError(f"a frame of {len(payload)} bytes can't hold {count} results")
    view = memoryview(payload)
    offset = table_size
    for row in RESULT.iter_unpack(view[:table_size]):
        seq, job, number, status, apart, size = row[:6]
        if job >= len(jobs):
            raise ProtocolError(f"result {seq} is of a job that its frame does not name")
        body = None
        if not apart:
            body = bytes(view[offset : offset + size])
            offset += size
        yield ResultRecord(seq, jobs[job], number, status, size, body, row[6:])
    if offset != len(payload):
        raise ProtocolError("the sizes of the results do not add up to the size of their frame")
