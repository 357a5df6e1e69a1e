"""Examples of every message, and the files that fix their bytes for ever.

A file is changed on purpose only: an agent and a coordinator of different releases meet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lithops_agent import protocol
from lithops_agent.protocol import RESULT, JobSpec, Status

FOLDER = Path(__file__).parent / "golden"

SPEC = JobSpec(
    job="4f1c-A000",
    session="4f1c",
    function="ab" * 32,
    total=3,
    runtime="/usr/bin/python3.11",
    function_name="hello_world",
    modules="cd" * 32,
    env={"LANG": "C.UTF-8", "NAME": "Grüße"},
    timeout=1800.0,
    cwd="/tmp",
    depth=1,
    retries=2,
    soft_timeout=300.0,
    hard_timeout=None,
    processes=4,
    most=2,
    ending="keep",
    container={"name": "python:3.11", "python": "3.11", "volumes": ["/data:/data:ro"]},
)
STATS = tuple(float(number) for number in range(len(protocol.STATS)))
RESULTS_HEADER = {
    "cursor": 8,
    "jobs": ["4f1c-A000"],
    "waiting": {"4f1c-A000": 1},
    "running": [["4f1c-A000", 2]],
}
PRINTED_HEADER = {"cursor": 7, "running": [2], "left": 2}
PARTS = [protocol.Part("4f1c-A000", 0, 0, b"hello\n"), protocol.Part("4f1c-A000", 2, 1 << 40, b"\xff")]


def frames() -> dict[str, bytes]:
    """Each kind of frame, written by this version of the protocol."""
    records = [
        RESULT.pack(7, 0, 0, Status.SUCCESS, 0, 5, *STATS),
        RESULT.pack(8, 0, 1, Status.EXCEPTION, 1, 1 << 40, *STATS),
    ]
    return {
        "job": protocol.frame_head(SPEC.to_json(), 0),
        "blob": b"".join(protocol.blob_frame("ab" * 32, b"\x80\x05 function")),
        "calls": b"".join(protocol.calls_frame(SPEC.job, [(0, b"zero"), (1, b""), (2, bytes(range(256)))])),
        "results": protocol.results_frame(RESULTS_HEADER, records, [b"hello"]),
        "printed": protocol.printed_frame(PRINTED_HEADER, PARTS),
    }


def frame(name: str) -> bytes:
    """The bytes of a frame as they were fixed."""
    return (FOLDER / f"{name}.frame").read_bytes()


def message(name: str) -> dict[str, dict[str, Any]]:
    """A control message as it was fixed: its "request" (where it has one) and its "answer"."""
    read: dict[str, dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())
    return read


def shape(value: Any) -> Any:
    """The keys and JSON types of a message, without what differs from one to the next."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    return type(value).__name__
