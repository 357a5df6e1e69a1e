"""``~/.lithops/spool/EXECUTOR``: what an executor has submitted, so that another process can go on with it.

The file is a sequence of frames of the wire protocol (`lithops_agent.protocol`): a "job" frame before the
first calls of a job, a "blob" frame before the first job that needs it, and "calls" frames. It is written
before the calls are handed to hosts. A frame that is not whole was being written when the process died;
its calls had not been submitted.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Optional

from lithops.job.info import JobInfo
from lithops.job.model import Blob, Job
from lithops_agent import protocol
from lithops_agent.protocol import ProtocolError

_BATCH = 5000
"""Calls that go in one frame, so that what a kill cuts off is small."""
_SMALL = 1 << 20
"""Bytes below which a file that nobody needs any more is not worth emptying."""
_INFO = ("runtime_name", "stats")
"""What futures are told of their job that is not in `Job`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpooledJob:
    """A job as it was submitted: with what its futures share, and the data of its calls by number."""

    job: Job
    info: JobInfo
    payloads: dict[int, bytes] = dataclasses.field(repr=False)


class Spool:
    """Writes the file of one executor. For one thread at a time. ``jobs`` are in the file already."""

    def __init__(self, path: Path, jobs: Collection[str] = ()) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._file: BinaryIO = open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")  # noqa: SIM115
        self._jobs: set[str] = set(jobs)
        self._blobs: set[str] = set()

    def write(self, key: str, job: Job, info: JobInfo, calls: Sequence[tuple[int, bytes]]) -> None:
        """Append calls, with their job and its blobs when these are not there yet. Raises OSError."""
        if key not in self._jobs:
            self._write_job(key, job, info)
        for start in range(0, len(calls), _BATCH):
            self._file.writelines(protocol.calls_frame(key, calls[start : start + _BATCH]))
        self._file.flush()

    def _write_job(self, key: str, job: Job, info: JobInfo) -> None:
        for blob in (job.function, job.modules):
            if blob is not None and blob.sha256 not in self._blobs:
                self._file.writelines(protocol.blob_frame(blob.sha256, blob.data))
                self._blobs.add(blob.sha256)
        self._file.write(protocol.frame_head(_header(key, job, info), 0))
        self._jobs.add(key)

    def empty(self) -> None:
        """Nothing of what was written is needed any more. Raises OSError."""
        if self._file.tell() >= _SMALL:
            self._file.truncate(0)
            self._jobs.clear()
            self._blobs.clear()

    def close(self, *, remove: bool) -> None:
        """Close the file; ``remove``: nothing in it is needed any more."""
        self._file.close()
        if remove:
            self._path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, SpooledJob]:
    """What the file of an executor has, by job key; empty when there is no file."""
    jobs: dict[str, SpooledJob] = {}
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return jobs
    blobs: dict[str, bytes] = {}
    with file:
        for header, payload in frames(file):
            if header["kind"] == "blob":
                blobs[header["sha256"]] = payload
            elif header["kind"] == "job":
                # Two programs that go on with a job may both have written it.
                known = jobs.get(header["job"])
                fresh = _job(header, blobs)
                jobs[header["job"]] = dataclasses.replace(fresh, payloads=known.payloads) if known else fresh
            elif header["kind"] == "calls":
                jobs[header["job"]].payloads.update(_calls(header, payload))
    return jobs


def frames(file: BinaryIO) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The frames of a file: header and payload of each."""
    while True:
        try:
            head = protocol.read_frame_head(file)
            if head is None:
                return
            header, size = head
            payload = protocol.read_exactly(file, size)
        except ProtocolError:
            return  # The last frame was being written.
        yield header, payload


def _calls(header: Mapping[str, Any], payload: bytes) -> dict[int, bytes]:
    count = int(header["count"])
    offset = count * protocol.CALL.size
    calls: dict[int, bytes] = {}
    for number, size in protocol.CALL.iter_unpack(payload[:offset]):
        calls[number] = payload[offset : offset + size]
        offset += size
    return calls


def _header(key: str, job: Job, info: JobInfo) -> dict[str, Any]:
    plain = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    plain["function"] = job.function.sha256
    plain["modules"] = job.modules.sha256 if job.modules else None
    plain["extra_env"] = dict(job.extra_env)
    return {"kind": "job", "job": key, "spec": plain, "info": {name: getattr(info, name) for name in _INFO}}


def _job(header: Mapping[str, Any], blobs: Mapping[str, bytes]) -> SpooledJob:
    plain = dict(header["spec"])

    def blob(sha256: Optional[str]) -> Optional[Blob]:
        return None if sha256 is None else Blob(sha256=sha256, data=blobs[sha256])

    job = Job(**{**plain, "function": blob(plain["function"]), "modules": blob(plain["modules"])})
    info = JobInfo(
        executor_id=job.executor_id,
        job_id=job.job_id,
        function_name=job.function_name,
        runtime_memory=job.runtime_memory,
        execution_timeout=job.timeout,
        created_at=job.created_at,
        total_calls=job.total_calls,
        **header["info"],
    )
    return SpooledJob(job=job, info=info, payloads={})
