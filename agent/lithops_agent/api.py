"""The agent over HTTP: parse, call, answer."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, request, send_file

from lithops_agent import protocol
from lithops_agent.caretaker import Draining
from lithops_agent.disk import is_disk_full
from lithops_agent.environments.manager import InUse
from lithops_agent.environments.request import read_wanted
from lithops_agent.journal import CallData, UnknownJob
from lithops_agent.leftovers import unlink_all
from lithops_agent.protocol import (
    ENDINGS,
    INLINE_LIMIT,
    ContainerOptions,
    JobSpec,
    Problem,
    ProtocolError,
    RuntimeUnusable,
)
from lithops_agent.service import Agent, MissingBlobs

_PIECE = 1024 * 1024
_LONG = 1024 * 1024
"""Bytes of a blob that may take longer than a time-out for idle hosts."""
_MAX_WAIT = 60.0
_MAX_HOLD = 600.0
"""Seconds that a host is kept from counting as idle although whoever asked for it may be gone."""
_TOGETHER = 1000
"""Calls with inline data that are read from the request at once."""


def create_app(agent: Agent, token: str) -> Flask:
    """The WSGI application of an agent; every request must carry ``token`` as a bearer token."""
    app = Flask("lithops_agent")
    handlers: dict[protocol.Endpoint, Callable[..., Any]] = {
        protocol.INFO: agent.info,
        protocol.STATUS: agent.status,
        protocol.SUBMIT: lambda: _submit(agent),
        protocol.RESULTS: lambda: _results(agent),
        protocol.PRINTED: lambda: _printed(agent),
        protocol.BODY: lambda seq: _body(agent, seq),
        protocol.JOB: lambda job: {"numbers": protocol.ranges_of(agent.journal.numbers_of(job))},
        protocol.CANCEL: lambda: _cancel(agent),
        protocol.REVOKE: lambda: _revoke(agent),
        protocol.RELEASE: lambda: _release(agent),
        protocol.PREPARE: lambda: _prepare(agent),
        protocol.DISMANTLE: lambda: _dismantle(agent),
        protocol.HOLD: lambda: _hold(agent),
        protocol.ENTER: lambda: agent.enter(*_arguments(job=str)),
        protocol.CONTENTS: agent.contents,
        protocol.PLATFORM: lambda: agent.environments.platform(*_arguments(python=str)),
        protocol.ENVIRONMENT: lambda: _environment(agent),
        protocol.RUNTIMES: agent.catalogue.listed,
        protocol.REMOVE: lambda: _remove(agent),
    }
    for endpoint in protocol.ENDPOINTS:
        app.add_url_rule(
            endpoint.path,
            endpoint=endpoint.path,
            view_func=handlers[endpoint],
            methods=[endpoint.method],
            provide_automatic_options=False,
        )
    expected = f"Bearer {token}".encode()

    @app.before_request
    def check_token() -> Response | None:
        given = request.headers.get("Authorization", "").encode()
        if hmac.compare_digest(given, expected):
            return None
        return _problem(401, Problem.UNAUTHORIZED, "the request carries no valid token")

    _handle_errors(app)
    return app


def _handle_errors(app: Flask) -> None:
    @app.errorhandler(MissingBlobs)
    def missing(exc: MissingBlobs) -> Response:
        return _problem(409, Problem.MISSING_BLOBS, "blobs are missing", missing=exc.hashes)

    @app.errorhandler(UnknownJob)
    def unknown(exc: UnknownJob) -> Response:
        return _problem(404, Problem.UNKNOWN_JOB, str(exc))

    @app.errorhandler(Draining)
    def draining(exc: Draining) -> Response:
        return _problem(503, Problem.DRAINING, str(exc))

    @app.errorhandler(RuntimeUnusable)
    def unusable(exc: RuntimeUnusable) -> Response:
        return _problem(422, Problem.RUNTIME, str(exc), failure=exc.kind)

    @app.errorhandler(InUse)
    def in_use(exc: InUse) -> Response:
        return _problem(409, Problem.IN_USE, str(exc))

    @app.errorhandler(ProtocolError)
    def bad(exc: ProtocolError) -> Response:
        return _problem(400, Problem.BAD_REQUEST, str(exc))

    @app.errorhandler(Exception)
    def other(exc: Exception) -> Response:
        code = getattr(exc, "code", None)
        if isinstance(code, int):
            return _problem(code, Problem.BAD_REQUEST, str(exc))
        if is_disk_full(exc):
            return _problem(507, Problem.NO_SPACE, f"the disk is full: free some space ({exc})")
        app.logger.exception("request failed")
        return _problem(500, Problem.INTERNAL, f"{type(exc).__name__}: {exc}")


def _problem(code: int, kind: str, detail: str, **more: Any) -> Response:
    import json

    body = json.dumps({"type": kind, "status": code, "detail": detail, **more})
    return Response(body, status=code, content_type="application/problem+json")


def _arguments(**kinds: type | tuple[type, ...]) -> list[Any]:
    """The values of a JSON object that was sent, in the order of their names, each of its kind."""
    sent = request.get_json(force=True, silent=True)
    if not isinstance(sent, dict):
        raise ProtocolError(f"a JSON object with {', '.join(kinds)} is expected")
    for name, kind in kinds.items():
        if name not in sent or not isinstance(sent[name], kind):
            raise ProtocolError(f"{name} is missing, or of a wrong type")
    return [sent[name] for name in kinds]


def _number(name: str) -> float:
    try:
        number = float(request.args.get(name, "0"))
    except ValueError as exc:
        raise ProtocolError(f"{name} is not a number") from exc
    if not 0 <= number < 1 << 63:
        raise ProtocolError(f"{name} can't be {number}")
    return number


# ---- submissions ------------------------------------------------------------------------------------


def _submit(agent: Agent) -> dict[str, Any]:
    agent.journal.refuse_when_full()
    stream = request.stream
    spec: JobSpec | None = None
    accepted = 0
    while True:
        head = protocol.read_frame_head(stream)
        if head is None:
            break
        header, size = head
        if header["kind"] == "job":
            spec = JobSpec.from_json(header)
        elif header["kind"] == "blob":
            _receive_blob(agent, header, size)
        elif header["kind"] == "calls":
            if spec is not None:
                agent.accept_job(spec)
                spec = None
            accepted += _receive_calls(agent, header, size)
        else:
            raise ProtocolError(f"a frame of unknown kind {header['kind']!r}")
    if spec is not None:
        agent.accept_job(spec)
    return {"accepted": accepted}


def _receive_blob(agent: Agent, header: dict[str, Any], size: int) -> None:
    sha256 = str(header.get("sha256"))
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ProtocolError("a blob without a SHA-256")
    path = agent.journal.blob_path(sha256)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    if size > _LONG:
        # It may come slowly, from a coordinator that has not submitted its job yet.
        with agent.caretaker.in_use(f"blob {sha256}"):
            digest = _receive_file(str(temporary), size)
    else:
        digest = _receive_file(str(temporary), size)
    if digest != path.name:
        temporary.unlink()
        raise ProtocolError(f"a blob named {path.name} has the hash {digest}")
    temporary.rename(path)


def _receive_file(path: str, size: int) -> str:
    """Write the next ``size`` bytes of the request to a file; their SHA-256."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            while size:
                piece = protocol.read_exactly(request.stream, min(size, _PIECE))
                digest.update(piece)
                file.write(piece)
                size -= len(piece)
    except BaseException:
        os.unlink(path)
        raise
    return digest.hexdigest()


def _receive_calls(agent: Agent, header: dict[str, Any], size: int) -> int:
    job, count = str(header.get("job")), header.get("count")
    if not isinstance(count, int):
        raise ProtocolError("a frame of calls without their count")
    if agent.journal.spec(job) is None:
        raise UnknownJob(job)
    table = protocol.read_call_table(request.stream, count, size)
    calls: list[CallData] = []
    try:
        for some in _together(table):
            if some[0][1] <= INLINE_LIMIT:
                calls += _receive_small(some)
            else:
                calls.append(_receive_large(agent.journal.job_folder(job), *some[0]))
    except BaseException:
        unlink_all(call.file for call in calls if call.file)
        raise
    return agent.accept_calls(job, calls)


def _together(table: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The (number, size) of calls whose data are received in one piece."""
    some: list[tuple[int, int]] = []
    for number, size in table:
        if some and (size > INLINE_LIMIT or len(some) >= _TOGETHER):
            yield some
            some = []
        if size > INLINE_LIMIT:
            yield [(number, size)]
        else:
            some.append((number, size))
    if some:
        yield some


def _receive_large(folder: Path, number: int, size: int) -> CallData:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = str(folder / f"data-{number}-{uuid.uuid4().hex[:8]}")
    _receive_file(path, size)
    return CallData(number, None, path)


def _receive_small(table: list[tuple[int, int]]) -> list[CallData]:
    """The next calls of the stream, read in one piece."""
    data = protocol.read_exactly(request.stream, sum(length for _, length in table)) if table else b""
    calls, offset = [], 0
    for number, length in table:
        calls.append(CallData(number, data[offset : offset + length], None))
        offset += length
    return calls


# ---- results and the rest ---------------------------------------------------------------------------


def _results(agent: Agent) -> Response:
    session = request.args.get("session", "")
    page, mine = agent.results(session, int(_number("after")), min(_number("wait"), _MAX_WAIT))
    header = {"cursor": page.cursor, "jobs": page.jobs, **mine}
    frame = protocol.results_frame(header, page.records, page.bodies)
    if page.printed:
        frame += protocol.printed_frame({}, page.printed)
    return Response(frame, content_type="application/octet-stream")


def _printed(agent: Agent) -> Response:
    job, after, seen, wait = _arguments(job=str, after=int, seen=dict, wait=(int, float))
    try:
        known = {int(number): int(count) for number, count in seen.items()}
    except (TypeError, ValueError) as exc:
        raise ProtocolError(f"seen is not made of numbers: {exc}") from exc
    header, parts = agent.delivery.printed(job, after, known, min(wait, _MAX_WAIT))
    return Response(protocol.printed_frame(header, parts), content_type="application/octet-stream")


def _body(agent: Agent, seq: int) -> Response:
    found = agent.journal.result_file(seq)
    if found is None or not os.path.exists(found[0]):
        return _problem(404, Problem.UNKNOWN_RESULT, f"no body is kept for result {seq}")
    return send_file(found[0], mimetype="application/octet-stream", conditional=False, etag=False)


def _cancel(agent: Agent) -> dict[str, Any]:
    job, numbers = _arguments(job=str, numbers=(list, type(None)))
    if not all(isinstance(number, int) for number in numbers or ()):
        raise ProtocolError("numbers are not all numbers")
    agent.pool.cancel(job, numbers)
    return {}


def _revoke(agent: Agent) -> dict[str, Any]:
    job, count = _arguments(job=str, count=int)
    return {"numbers": agent.pool.revoke(job, count)}


def _release(agent: Agent) -> dict[str, Any]:
    (jobs,) = _arguments(jobs=list)
    if not all(isinstance(job, str) for job in jobs):
        raise ProtocolError("jobs are not all names")
    agent.pool.release(jobs)
    return {}


def _dismantle(agent: Agent) -> dict[str, Any]:
    ending = (request.get_json(force=True, silent=True) or {}).get("ending")
    if ending is not None and ending not in ENDINGS:
        raise ProtocolError(f"an agent can't end by {ending!r}")
    agent.caretaker.dismantle("asked to", ending)
    return {}


def _hold(agent: Agent) -> dict[str, Any]:
    name, seconds = _arguments(name=str, seconds=(int, float))
    if not 0 <= seconds <= _MAX_HOLD:
        raise ProtocolError(f"a host is held for 0 to {_MAX_HOLD:g} seconds at a time, not for {seconds}")
    return {"hard_in": agent.caretaker.hold(name, seconds)}


def _environment(agent: Agent) -> dict[str, Any]:
    (wait,) = _arguments(wait=(int, float))
    wanted = read_wanted(request.get_json(force=True))
    return agent.catalogue.environment(wanted, min(wait, _MAX_WAIT))


def _remove(agent: Agent) -> dict[str, Any]:
    kind, name = _arguments(kind=str, name=str)
    if kind not in ("image", "environment") or not re.fullmatch(r"[\w.:/@-]+", name) or ".." in name:
        raise ProtocolError(f"no {kind} can be called {name!r}")
    return {"removed": agent.catalogue.remove(kind, name)}


def _prepare(agent: Agent) -> dict[str, Any]:
    request_id, container, pull, auth, wait = _arguments(
        request=str, container=dict, pull=bool, auth=(dict, type(None)), wait=(int, float)
    )
    options = ContainerOptions.from_json(container)
    return agent.catalogue.image(request_id, options, pull, auth, min(max(wait, 0.0), _MAX_WAIT))
