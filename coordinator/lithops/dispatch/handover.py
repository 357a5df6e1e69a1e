"""Hands calls to the agent of one host, with what it needs first: the image, the job, the function.

State is guarded by the session's lock; nothing is sent while it is held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lithops.backends.machine import Link
from lithops.dispatch.client import AgentClient, Refused
from lithops.dispatch.images import Ready, prepare
from lithops.errors import HostDiskFull, HostDraining
from lithops_agent import protocol
from lithops_agent.protocol import Problem

if TYPE_CHECKING:
    from lithops.dispatch.runner import HostRunner

_BATCH_CALLS = 2000
_BATCH_BYTES = 4 * 1024 * 1024
"""A submission ends with the call that reaches one of these."""
_SENT_UNASKED = 64 * 1024
"""Bytes of blobs that are sent without asking whether they are there, which would take a round trip."""
_TRIES = 4


@dataclasses.dataclass(eq=False)
class Submission:
    """Calls of a job that a host is to have."""

    job: str
    numbers: Sequence[int]
    position: int = 0
    """How many of the numbers the agent has."""


class Handover:
    """What the agent of a host knows, and how it is given calls.

    ``on_released`` is told, under the session's lock, of a job whose calls were on their way when somebody
    said that nobody will ask for their results.
    """

    def __init__(self, runner: HostRunner, on_released: Callable[[str], None]) -> None:
        self._runner = runner
        self._session = runner.session
        self._on_released = on_released
        self._jobs: set[str] = set()
        self._blobs: set[str] = set()
        self._ready: dict[str, Ready] = {}
        """The images that are ready on the host, by what was asked for."""

    # -- what the agent knows; under the session's lock --

    def learned(self, job: str) -> None:
        """The agent has a job."""
        self._jobs.add(job)

    def forget_job(self, job: str) -> bool:
        """The agent is to forget a job; whether it has it."""
        known = job in self._jobs
        self._jobs.discard(job)
        return known

    def forget_all(self) -> None:
        """The agent is another one, and knows nothing."""
        self._jobs.clear()
        self._blobs.clear()
        self._ready.clear()
        for job in self._session.jobs_on(self._runner.name):
            state = self._session.awaited.job(job)
            if state is not None:
                state.images.pop(self._runner.name, None)

    # -- the thread --

    def submit(self, client: AgentClient, link: Link, wanted: Submission) -> None:
        """Send what is missing of a submission, in batches. The session is told of calls that are refused.

        Raises:
            HostError: the link broke, the host takes no more calls, or its image can't be made ready. The
                position of the submission says how far it came.
        """
        name, failures = self._runner.name, 0
        while True:
            calls, position = self._batch(wanted)
            if not calls:
                return
            numbers = [number for number, _ in calls]
            try:
                if not self._make_ready(client, link, wanted.job):
                    return
                self._submit_batch(client, link, wanted.job, calls)
            except Refused as exc:
                if exc.kind == Problem.DRAINING:
                    message = "it is being dismantled and takes no more calls"
                    raise HostDraining(message, host=name, phase="submit") from exc
                failures += 1
                if exc.kind in (Problem.MISSING_BLOBS, Problem.UNKNOWN_JOB) and failures < _TRIES:
                    self._agent_forgot(wanted)
                    continue
                self._session.calls_refused(name, wanted.job, numbers, exc)
            except HostDiskFull as exc:
                self._session.calls_without_room(name, wanted.job, numbers, exc)
            else:
                failures = 0
            wanted.position = position

    def _batch(self, wanted: Submission) -> tuple[list[tuple[int, bytes]], int]:
        """The next calls that have not ended, with their data, and the position after them."""
        with self._session.lock:
            state = self._session.awaited.job(wanted.job)
            payloads = {} if state is None else state.payloads
            calls: list[tuple[int, bytes]] = []
            size, position = 0, wanted.position
            while position < len(wanted.numbers) and len(calls) < _BATCH_CALLS and size < _BATCH_BYTES:
                number = wanted.numbers[position]
                position += 1
                payload = payloads.get(number)
                if payload is not None:
                    calls.append((number, payload))
                    size += len(payload)
            return calls, position

    def _submit_batch(
        self, client: AgentClient, link: Link, job: str, calls: Sequence[tuple[int, bytes]]
    ) -> None:
        pieces, blobs = self._head(client, job, link)
        # Before, not after: the first results may be here before the answer is.
        self._session.calls_sent(job, [number for number, _ in calls])
        client.submit([*pieces, *protocol.calls_frame(job, calls)])
        with self._session.lock:
            self._jobs.add(job)
            self._blobs.update(blobs)
            if self._session.is_released(job):
                # It was while these calls were on their way.
                self._on_released(job)

    def _make_ready(self, client: AgentClient, link: Link, job: str) -> bool:
        """Have the image of a job made ready, if it has one; False when the job has ended meanwhile."""
        session, runtime = self._session, self._session.options.image
        with session.lock:
            state = session.awaited.job(job)
            if runtime is None or state is None or job in self._jobs or link.host in state.images:
                return True
            options = state.container(link, runtime)

        def is_wanted() -> bool:
            with session.lock:
                return session.awaited.job(job) is not None and not self._runner.is_off(link)

        ready = self._ready.get(options.key)
        try:
            ready = ready or prepare(client, runtime, options, job, link.host, is_wanted, self._runner.tell)
        finally:
            self._runner.tell("")
        if ready is not None:
            with session.lock:
                if not runtime.pull:
                    # Later jobs find it there, and need no question.
                    self._ready[options.key] = ready
                state.images[link.host] = ready
                for future in state.futures.values():
                    future._info.digests[link.host] = ready.digest or ready.options.image
        return ready is not None

    def _head(self, client: AgentClient, job: str, link: Link) -> tuple[list[bytes], list[str]]:
        """The frames that have to come before the calls: the job, and blobs that are not there yet."""
        session = self._session
        with session.lock:
            state = session.awaited.job(job)
            if state is None or job in self._jobs:
                return [], []
            most = session.hosts.most_on(link.host)
            spec = state.spec(link, session.session_id, session.options, most)
            blobs = [state.job.function, *([state.job.modules] if state.job.modules else [])]
            missing = [blob for blob in blobs if blob.sha256 not in self._blobs]
        head = protocol.frame_head(spec.to_json(), 0)
        if sum(len(blob.data) for blob in missing) > _SENT_UNASKED:
            lacking = _blobs_lacking(client, head)
            missing = [blob for blob in missing if blob.sha256 in lacking]
        pieces: list[bytes] = []
        for blob in missing:
            pieces += protocol.blob_frame(blob.sha256, blob.data)
        return [*pieces, head], [blob.sha256 for blob in blobs]

    def _agent_forgot(self, wanted: Submission) -> None:
        """The agent lacks the job or its blobs: it is told again of all that it has to have."""
        with self._session.lock:
            if wanted.job in self._jobs:
                wanted.numbers = self._session.calls_on(self._runner.name, wanted.job)
                wanted.position = 0
            self._jobs.discard(wanted.job)
            self._blobs.clear()


def _blobs_lacking(client: AgentClient, job_frame: bytes) -> frozenset[str]:
    """Tell an agent of a job; the hashes of the blobs that it lacks. An earlier script may have left some."""
    try:
        client.submit([job_frame])
    except Refused as exc:
        if exc.kind != Problem.MISSING_BLOBS:
            raise
        return frozenset(exc.details["missing"])
    return frozenset()
