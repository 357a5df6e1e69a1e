"""One host, as a session sees it: threads that keep a link to its agent, send, and collect.

- The *link* thread opens the link, collects results by long polls, and opens it again when it broke.
- The *send* thread delivers what is in the outbox, in order; what was under way when the link broke is
  sent again, which the agent takes without harm.
- The *bodies* thread fetches results that are too large for the stream.

All state is guarded by the session's lock; nothing is sent or received while it is held.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Union

from lithops.backends.machine import Link, Machine
from lithops.dispatch.adoption import Adoption
from lithops.dispatch.client import AgentClient, Refused
from lithops.errors import HostError, HostLost
from lithops_agent import protocol
from lithops_agent.protocol import Problem, ResultRecord

if TYPE_CHECKING:
    from lithops.dispatch.session import RemoteSession
    from lithops.future import ResponseFuture

logger = logging.getLogger(__name__)

_POLL = 2.0
"""Seconds that a poll for results stays open; after that it also tells what runs and waits."""
_LINGER = 30.0
"""Seconds without work during which polls go on, so that the next call finds one open."""
_ACK_INTERVAL = 0.5
_ACK_RESULTS = 5000
"""Results are acknowledged, and jobs released, after so many seconds or results, not one by one."""
_BATCH_CALLS = 2000
_BATCH_BYTES = 4 * 1024 * 1024
_LOST_AFTER = 15.0
"""Seconds without a link after which a host that was ready is lost, when another one is ready."""
_LAST_LOST_AFTER = 600.0
"""The same for the last host: nothing is gained by giving it up early."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_TRIES = 4


@dataclasses.dataclass(frozen=True)
class _Submit:
    job: str
    numbers: Sequence[int]


@dataclasses.dataclass(frozen=True)
class _Revoke:
    job: str
    count: int


@dataclasses.dataclass(frozen=True)
class _Cancel:
    job: str
    numbers: Sequence[int]


_Item = Union[_Submit, _Revoke, _Cancel]


class HostRunner:
    """Carries out for one host what its session decides."""

    def __init__(self, machine: Machine, session: RemoteSession) -> None:
        self.name = machine.name
        self._machine = machine
        self._session = session
        self._changed = session.changed
        self._link: Link | None = None
        self._agent_id: str | None = None
        self._failed: HostError | None = None
        self._outbox: deque[_Item] = deque()
        self._threads: dict[str, threading.Thread] = {}
        self._cursor = 0
        self._acknowledged = 0
        self._acknowledged_at = 0.0
        self._worked_at = 0.0
        self._done_jobs: list[str] = []
        self._known_jobs: set[str] = set()
        self._known_blobs: set[str] = set()
        self._bodies: deque[ResultRecord] = deque()
        self._adoption = Adoption(self)

    # -- what the session asks for, under its lock --

    @property
    def in_use(self) -> bool:
        """Whether the host is ready or may become so."""
        return self._failed is None

    @property
    def ready(self) -> bool:
        """Whether there is a link to its agent."""
        return self._link is not None

    @property
    def cancelling(self) -> bool:
        """Whether the host has not heard yet of calls that were cancelled."""
        with self._session.lock:
            return any(isinstance(item, _Cancel) for item in self._outbox)

    def wake(self) -> bool:
        """See that the threads run; whether the host had been given up and is tried again."""
        again = self._failed is not None
        self._failed = None
        self._spawn("link", self._keep_link)
        self._spawn("send", self._send_all)
        return again

    def send(self, job: str, numbers: Sequence[int]) -> None:
        """Submit calls."""
        self._outbox.append(_Submit(job, numbers))

    def revoke(self, job: str, count: int) -> None:
        """Ask for calls back."""
        self._outbox.append(_Revoke(job, count))

    def cancel(self, job: str, numbers: Sequence[int]) -> None:
        """End calls; this goes first."""
        self._outbox.appendleft(_Cancel(job, numbers))
        self._changed.notify_all()

    def job_done(self, job: str) -> None:
        """All calls of a job have ended: the agent may forget it."""
        if job in self._known_jobs:
            self._known_jobs.discard(job)
            self._done_jobs.append(job)

    def adopt(self, futures: Sequence[ResponseFuture]) -> None:
        """Collect the results of futures that a function made on this host."""
        with self._session.lock:
            self._adoption.add(futures)
            self.wake()
            self._spawn("adopted", self._adoption.run)
            self._changed.notify_all()

    def drain(self, patience: float) -> None:
        """Wait until everything was sent, or the host was given up."""
        with self._session.lock:
            self._changed.wait_for(lambda: not self._outbox or self._failed is not None, patience)

    def dismantle(self) -> None:
        """End the agent. Raises HostError."""
        with self._session.lock:
            link = self._link
        link = link or self._machine.open()
        client = self.client(link)
        try:
            client.dismantle()
        finally:
            client.close()
            self.broke(link)

    def close(self) -> None:
        """Close the link; the session is closed."""
        with self._session.lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()

    # -- the link --

    def client(self, link: Link) -> AgentClient:
        """A connection of one's own to the agent."""
        return AgentClient(link.opener, link.token, self.name)

    def wait_for_link(self, wanted: Callable[[], bool]) -> Link | None:
        """Wait until there is a link and ``wanted()`` holds; None when the session was closed."""
        with self._session.lock:
            self._changed.wait_for(lambda: self._session.closed or (self._link is not None and wanted()))
            return None if self._session.closed else self._link

    def broke(self, link: Link) -> None:
        """A link does not work any more."""
        with self._session.lock:
            if self._link is link:
                self._link = None
                self._changed.notify_all()
        link.close()

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = self._threads.get(name)
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=target, name=f"{name} {self.name}", daemon=True)
            self._threads[name] = thread
            thread.start()

    def _has_work(self) -> bool:
        return bool(self._outbox) or self._session.has_work(self.name) or self._adoption.pending

    def _keep_link(self) -> None:
        while True:
            link = self._open()
            if link is None:
                return
            try:
                self._collect(link)
            except HostError as exc:
                logger.debug("host %s: link broke: %s", self.name, exc)
            self.broke(link)
            with self._session.lock:
                # Without work there is no hurry: the agent may have ended because its time had come.
                self._changed.wait_for(lambda: self._session.closed or self._has_work())
                if self._session.closed:
                    return

    def _open(self) -> Link | None:
        """Open the link, trying again for a while if the host was ready before."""
        started_at = time.monotonic()
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._open_once()
            except HostError as exc:
                with self._session.lock:
                    if self._session.closed:
                        return None
                    known = self._agent_id is not None
                    patience = _LOST_AFTER if self._session.any_ready() else _LAST_LOST_AFTER
                    waited = time.monotonic() + pause - started_at
                    if not known or not exc.retryable or waited > patience:
                        self._give_up(exc, known)
                        return None
                    logger.debug("host %s: %s; trying again in %.1f s", self.name, exc, pause)
                    self._changed.wait_for(lambda: self._session.closed, pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _open_once(self) -> Link:
        link = self._machine.open()
        client = self.client(link)
        try:
            info = client.info()
        except HostError:
            link.close()
            raise
        finally:
            client.close()
        with self._session.lock:
            if self._agent_id not in (None, link.agent_id):
                # Its journal is gone, and with it all that was handed to it.
                self._outbox.clear()
                self._session.host_failed(self.name, HostLost("its agent is a new one", host=self.name))
            if self._agent_id != link.agent_id:
                self._agent_id, self._acknowledged = link.agent_id, 0
                self._known_jobs.clear()
                self._known_blobs.clear()
            self._cursor = self._acknowledged
            self._bodies.clear()
            self._link = link
            self._session.host_ready(self.name, int(info["processes"]))
        return link

    def _give_up(self, error: HostError, known: bool) -> None:
        if known and error.retryable:
            lost = HostLost(f"lost during the job: {error.args[0]}", host=self.name, phase=error.phase)
            lost.__cause__ = error
            error = lost
        self._failed = error
        self._agent_id = None
        self._outbox.clear()
        self._adoption.fail(error)
        self._session.host_failed(self.name, error)

    # -- collecting --

    def _collect(self, link: Link) -> None:
        """Poll for results until the link breaks or the session is closed."""
        client = self.client(link)
        try:
            while True:
                with self._session.lock:
                    self._changed.wait_for(lambda: self._must_poll(link))
                    if self._session.closed or self._link is not link:
                        return
                    after, (ack, release) = self._cursor, self._due()
                header, records = client.results(self._session.session_id, after, ack, _POLL, release)
                with self._session.lock:
                    self._cursor = max(self._cursor, int(header["cursor"]))
                    self._acknowledged = max(self._acknowledged, ack)
                self._hand_over(records)
                self._session.calls_running((job, number) for job, number in header["running"])
                self._session.load_reported(self.name, header["waiting"])
        finally:
            client.close()

    def _must_poll(self, link: Link) -> bool:
        if self._session.closed or self._link is not link:
            return True
        now = time.monotonic()
        if self._session.has_work(self.name):
            self._worked_at = now
        return now - self._worked_at < _LINGER

    def _due(self) -> tuple[int, list[str]]:
        """Up to where results are to be acknowledged now, and which jobs to be released."""
        now, ack = time.monotonic(), self._ack()
        enough = ack - self._acknowledged >= _ACK_RESULTS or now - self._acknowledged_at >= _ACK_INTERVAL
        if self._session.options.nested or not enough:
            return 0, []
        self._acknowledged_at = now
        release, self._done_jobs = self._done_jobs, []
        return ack, release

    def _ack(self) -> int:
        """Everything up to this cursor is here, bodies included."""
        return min((record.seq for record in self._bodies), default=self._cursor + 1) - 1

    def _hand_over(self, records: Sequence[ResultRecord]) -> None:
        self._session.results_came(self.name, [(r, r.body) for r in records if r.body is not None])
        large = [record for record in records if record.body is None]
        if large:
            with self._session.lock:
                self._bodies.extend(large)
                self._spawn("bodies", self._fetch_bodies)
                self._changed.notify_all()

    def _fetch_bodies(self) -> None:
        while True:
            link = self.wait_for_link(lambda: bool(self._bodies))
            if link is None:
                return
            client = self.client(link)
            try:
                while self._link is link and self._bodies:
                    self._fetch_body(client, self._bodies[0])
            except HostError as exc:
                logger.debug("host %s: fetching a large result failed: %s", self.name, exc)
                self.broke(link)
            finally:
                client.close()

    def _fetch_body(self, client: AgentClient, record: ResultRecord) -> None:
        try:
            body = client.body(record.seq)
        except Refused as exc:
            self._session.calls_refused(self.name, record.job, [record.number], exc)
        else:
            self._session.results_came(self.name, [(record, body)])
        with self._session.lock:
            if self._bodies and self._bodies[0] is record:
                self._bodies.popleft()
            self._changed.notify_all()

    # -- sending --

    def _send_all(self) -> None:
        while True:
            link = self.wait_for_link(lambda: bool(self._outbox))
            if link is None:
                return
            client = self.client(link)
            try:
                while self._send_next(client, link):
                    pass
            except HostLost as exc:
                logger.debug("host %s: sending failed: %s", self.name, exc)
                self.broke(link)
            finally:
                client.close()

    def _send_next(self, client: AgentClient, link: Link) -> bool:
        """Deliver what is first in the outbox; False when the link is another one now."""
        with self._session.lock:
            self._changed.wait_for(
                lambda: self._session.closed or self._link is not link or bool(self._outbox)
            )
            if self._session.closed or self._link is not link:
                return False
            item = self._outbox[0]
        if isinstance(item, _Submit):
            self._submit(client, link, item)
        elif isinstance(item, _Revoke):
            self._session.calls_revoked(self.name, item.job, client.revoke(item.job, item.count))
        else:
            client.cancel(item.job, item.numbers)
        with self._session.lock:
            # A cancellation may have come before it, and a loss of the host emptied the box.
            if item in self._outbox:
                self._outbox.remove(item)
            self._changed.notify_all()
        return True

    def _submit(self, client: AgentClient, link: Link, item: _Submit) -> None:
        position = 0
        while position < len(item.numbers):
            numbers = item.numbers[position : position + _BATCH_CALLS]
            calls = self._payloads(item.job, numbers)
            position += len(numbers)
            if calls:
                self._submit_batch(client, link, item.job, calls)

    def _payloads(self, job: str, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        with self._session.lock:
            state = self._session.job_state(job)
            if state is None:
                return []
            return [(n, state.payloads[n]) for n in numbers if n in state.payloads]

    def _submit_batch(
        self, client: AgentClient, link: Link, job: str, calls: Sequence[tuple[int, bytes]]
    ) -> None:
        for tries in range(_TRIES):
            pieces, blobs = self._head(job, link)
            # Before, not after: the first results may be here before the answer is.
            self._session.calls_sent(job, [number for number, _ in calls])
            try:
                client.submit([*pieces, *protocol.calls_frame(job, calls)])
            except Refused as exc:
                again = exc.kind in (Problem.MISSING_BLOBS, Problem.UNKNOWN_JOB) and tries < _TRIES - 1
                if again:
                    self._forget(job)
                    continue
                if exc.kind == Problem.DRAINING:
                    raise HostLost("the agent is ending", host=self.name, phase="submit") from exc
                self._session.calls_refused(self.name, job, [number for number, _ in calls], exc)
            except HostLost:
                raise
            except HostError as exc:
                self._session.calls_refused(self.name, job, [number for number, _ in calls], exc)
            else:
                with self._session.lock:
                    self._known_jobs.add(job)
                    self._known_blobs.update(blobs)
            return

    def _head(self, job: str, link: Link) -> tuple[list[bytes], list[str]]:
        """The frames that have to come before the calls: the job, and blobs that are not there yet."""
        with self._session.lock:
            state = self._session.job_state(job)
            if state is None or job in self._known_jobs:
                return [], []
            spec = state.spec(link, self._session.session_id, self._session.options)
            blobs = [state.job.function, *([state.job.modules] if state.job.modules else [])]
            missing = [blob for blob in blobs if blob.sha256 not in self._known_blobs]
        pieces: list[bytes] = []
        for blob in missing:
            pieces += protocol.blob_frame(blob.sha256, blob.data)
        return [*pieces, protocol.frame_head(spec.to_json(), 0)], [blob.sha256 for blob in missing]

    def _forget(self, job: str) -> None:
        with self._session.lock:
            self._known_jobs.discard(job)
            self._known_blobs.clear()
