"""One host, as a session sees it: threads that keep a link to its agent, send, and collect.

- The *link* thread opens the link, collects results by long polls, and opens it again when it broke.
- The *send* thread delivers what is in the outbox, in order; what was under way when the link broke is
  sent again, which the agent takes without harm.
- The *bodies* thread fetches results that are too large for the stream.

All state is guarded by the session's lock; nothing is sent or received while it is held. A thread that
meets an error that nobody thought of gives the host up, so that no call waits for a thread that is gone.
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
from lithops.dispatch.patience import Patience
from lithops.errors import AgentError, HostDiskFull, HostError, HostLost
from lithops_agent import protocol
from lithops_agent.protocol import Problem, ResultRecord

if TYPE_CHECKING:
    from lithops.dispatch.session import RemoteSession
    from lithops.future import ResponseFuture

logger = logging.getLogger(__name__)

_RELEASE_INTERVAL = 0.5
"""Seconds that the release of a job waits for others to go along."""
_BATCH_CALLS = 2000
_BATCH_BYTES = 4 * 1024 * 1024
"""A submission ends with the call that reaches one of these."""
_SENT_UNASKED = 64 * 1024
"""Bytes of blobs that are sent without asking whether they are there, which would take a round trip."""
_TRIES = 4


@dataclasses.dataclass(eq=False)
class _Submit:
    job: str
    numbers: Sequence[int]
    position: int = 0
    """How many of the numbers the agent has."""
    tried: bool = False
    """Whether it was under way before, and may have arrived."""


@dataclasses.dataclass(eq=False)
class _Revoke:
    job: str
    count: int
    tried: bool = False


@dataclasses.dataclass(eq=False)
class _Cancel:
    job: str
    numbers: Sequence[int]
    tried: bool = False


@dataclasses.dataclass(eq=False)
class _Release:
    jobs: list[str]
    tried: bool = False


_Item = Union[_Submit, _Revoke, _Cancel, _Release]


class Sender:
    """What a host is to be told, in order, and what it knows already."""

    def __init__(self, runner: HostRunner) -> None:
        self._runner = runner
        self._session = runner.session
        self._outbox: deque[_Item] = deque()
        self._done_jobs: list[str] = []
        self._done_at = 0.0
        self._releasing: list[str] = []
        self._known_jobs: set[str] = set()
        self._known_blobs: set[str] = set()

    # -- what is to be sent; under the session's lock --

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be sent, except that jobs may be forgotten."""
        return not self._outbox

    @property
    def is_released(self) -> bool:
        """Whether the agent has heard of all jobs that it may forget."""
        return not self._done_jobs and not self._releasing

    @property
    def cancelling(self) -> bool:
        """Whether the host has not heard yet of calls that were cancelled."""
        return any(isinstance(item, _Cancel) for item in self._outbox)

    def submit(self, job: str, numbers: Sequence[int]) -> None:
        """Submit calls."""
        if job in self._done_jobs:
            # Its calls had all ended, and now there are more; the agent has not forgotten it yet.
            self._done_jobs.remove(job)
            self._known_jobs.add(job)
        self._outbox.append(_Submit(job, numbers))

    def revoke(self, job: str, count: int) -> None:
        """Ask for calls back."""
        self._outbox.append(_Revoke(job, count))

    def cancel(self, job: str, numbers: Sequence[int]) -> None:
        """End calls; this goes first."""
        self._outbox.appendleft(_Cancel(job, numbers))
        self._runner.changed.notify_all()

    def job_done(self, job: str) -> None:
        """The program has been told of all calls of a job: the agent may forget it, in a while."""
        if job in self._known_jobs and not self._session.options.nested:
            self._known_jobs.discard(job)
            if not self._done_jobs:
                self._done_at = time.monotonic()
            self._done_jobs.append(job)
            self._runner.changed.notify_all()

    def clear(self) -> None:
        """Send none of it."""
        self._outbox.clear()

    def forget_agent(self) -> None:
        """The agent is another one: it knows nothing, and nothing that was to be sent is for it."""
        self.clear()
        self._done_jobs.clear()
        self._known_jobs.clear()
        self._known_blobs.clear()

    # -- the thread --

    def run(self) -> None:
        """Send what is there, and what comes, until the session is closed."""
        runner = self._runner
        while (link := runner.wait_for_link(lambda: bool(self._outbox or self._done_jobs))) is not None:
            client = runner.client(link)
            try:
                while (item := self._next(link)) is not None:
                    self._deliver(client, link, item)
            except HostError as exc:
                runner.broke(link, exc)
            finally:
                client.close()

    def _next(self, link: Link) -> _Item | None:
        """What is to be sent next; None when the link is another one now."""
        with self._session.lock:
            while not self._runner.is_off(link):
                if self._outbox:
                    return self._outbox[0]
                left = None
                if self._done_jobs:
                    left = (
                        0.0 if self._session.closing else self._done_at + _RELEASE_INTERVAL - time.monotonic()
                    )
                    if left <= 0:
                        self._releasing, self._done_jobs = self._done_jobs, []
                        return _Release(self._releasing)
                self._runner.changed.wait(left)
        return None

    def _deliver(self, client: AgentClient, link: Link, item: _Item) -> None:
        again, item.tried = item.tried, True
        if isinstance(item, _Submit):
            self._submit(client, link, item)
        elif isinstance(item, _Revoke):
            self._revoke(client, link, item, again)
        elif isinstance(item, _Cancel):
            self._cancel(client, item)
        else:
            self._release(client, item)
        with self._session.lock:
            # A cancellation may have come before it, and a loss of the host emptied the box.
            if item in self._outbox:
                self._outbox.remove(item)
            self._runner.changed.notify_all()

    def _revoke(self, client: AgentClient, link: Link, item: _Revoke, again: bool) -> None:
        numbers: list[int] = []
        if again:
            # The answer was lost, so nobody knows what the host gave back. It is sent all that it has
            # to have, and takes what it lacks.
            held = self._session.calls_on(self._runner.name, item.job)
            self._submit(client, link, _Submit(item.job, held))
        else:
            try:
                numbers = client.revoke(item.job, item.count)
            except Refused as exc:
                logger.debug("host %s gives no calls back: %s", self._runner.name, exc)
        self._session.calls_revoked(self._runner.name, item.job, numbers)

    def _cancel(self, client: AgentClient, item: _Cancel) -> None:
        try:
            client.cancel(item.job, item.numbers)
        except Refused as exc:
            # Their futures have ended; whatever the host does with them is not missed here.
            logger.debug("host %s does not cancel: %s", self._runner.name, exc)

    def _release(self, client: AgentClient, item: _Release) -> None:
        try:
            client.release(item.jobs)
        except Refused as exc:
            logger.debug("host %s does not release jobs: %s", self._runner.name, exc)
        except HostError:
            with self._session.lock:
                again = [job for job in self._releasing if self._session.job_state(job) is None]
                self._done_jobs[:0] = again
            raise
        finally:
            with self._session.lock:
                self._releasing = []

    # -- submissions --

    def _submit(self, client: AgentClient, link: Link, item: _Submit) -> None:
        name, failures = self._runner.name, 0
        while True:
            calls, position = self._batch(item)
            if not calls:
                return
            numbers = [number for number, _ in calls]
            try:
                self._submit_batch(client, link, item.job, calls)
            except Refused as exc:
                if exc.kind == Problem.DRAINING:
                    raise HostLost("the agent is ending", host=name, phase="submit") from exc
                failures += 1
                if exc.kind in (Problem.MISSING_BLOBS, Problem.UNKNOWN_JOB) and failures < _TRIES:
                    self._agent_forgot(item)
                    continue
                self._session.calls_refused(name, item.job, numbers, exc)
            except HostDiskFull as exc:
                self._session.calls_refused(name, item.job, numbers, exc)
            else:
                failures = 0
            item.position = position

    def _batch(self, item: _Submit) -> tuple[list[tuple[int, bytes]], int]:
        """The next calls that have not ended, with their data, and the position after them."""
        with self._session.lock:
            state = self._session.job_state(item.job)
            payloads = {} if state is None else state.payloads
            calls: list[tuple[int, bytes]] = []
            size, position = 0, item.position
            while position < len(item.numbers) and len(calls) < _BATCH_CALLS and size < _BATCH_BYTES:
                number = item.numbers[position]
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
            self._known_jobs.add(job)
            self._known_blobs.update(blobs)
            if self._session.is_released(job):
                # It was while these calls were on their way.
                self.job_done(job)

    def _head(self, client: AgentClient, job: str, link: Link) -> tuple[list[bytes], list[str]]:
        """The frames that have to come before the calls: the job, and blobs that are not there yet."""
        with self._session.lock:
            state = self._session.job_state(job)
            if state is None or job in self._known_jobs:
                return [], []
            spec = state.spec(link, self._session.session_id, self._session.options)
            blobs = [state.job.function, *([state.job.modules] if state.job.modules else [])]
            missing = [blob for blob in blobs if blob.sha256 not in self._known_blobs]
        head = protocol.frame_head(spec.to_json(), 0)
        if sum(len(blob.data) for blob in missing) > _SENT_UNASKED:
            lacking = _blobs_lacking(client, head)
            missing = [blob for blob in missing if blob.sha256 in lacking]
        pieces: list[bytes] = []
        for blob in missing:
            pieces += protocol.blob_frame(blob.sha256, blob.data)
        return [*pieces, head], [blob.sha256 for blob in blobs]

    def _agent_forgot(self, item: _Submit) -> None:
        """The agent lacks the job or its blobs: it is told again of all that it has to have."""
        with self._session.lock:
            if item.job in self._known_jobs:
                item.numbers, item.position = self._session.calls_on(self._runner.name, item.job), 0
            self._known_jobs.discard(item.job)
            self._known_blobs.clear()


def _blobs_lacking(client: AgentClient, job_frame: bytes) -> frozenset[str]:
    """Tell an agent of a job; the hashes of the blobs that it lacks. An earlier script may have left some."""
    try:
        client.submit([job_frame])
    except Refused as exc:
        if exc.kind != Problem.MISSING_BLOBS:
            raise
        return frozenset(exc.details["missing"])
    return frozenset()


_POLL = 2.0
"""Seconds that a poll for results stays open; after that it also tells what runs and waits."""
_LINGER = 30.0
"""Seconds without work during which polls go on, so that the next call finds one open."""


class Collector:
    """Collects the results of a host; they stay there until their job is released."""

    def __init__(self, runner: HostRunner) -> None:
        self._runner = runner
        self._session = runner.session
        self._cursor = 0
        self._worked_at = 0.0
        self._bodies: deque[ResultRecord] = deque()

    def start_over(self) -> None:
        """There is a link to a new agent."""
        self._cursor = 0
        self._bodies.clear()

    def collect(self, link: Link) -> None:
        """Poll for results until the link breaks or the session is closed. Raises HostError."""
        client = self._runner.client(link)
        try:
            while self._poll(client, link):
                pass
        finally:
            client.close()

    def _poll(self, client: AgentClient, link: Link) -> bool:
        runner, session = self._runner, self._session
        with session.lock:
            runner.changed.wait_for(lambda: self._must_poll(link))
            if runner.is_off(link):
                return False
            after = self._cursor
        header, records = client.results(session.session_id, after, _POLL)
        with session.lock:
            if runner.is_off(link):
                return False
            self._cursor = max(self._cursor, int(header["cursor"]))
        self._hand_over(records)
        session.calls_running((job, number) for job, number in header["running"])
        session.load_reported(runner.name, header["waiting"], int(header["free"]))
        return True

    def _must_poll(self, link: Link) -> bool:
        if self._runner.is_off(link):
            return True
        now = time.monotonic()
        if self._session.has_work(self._runner.name):
            self._worked_at = now
        return now - self._worked_at < _LINGER

    def _hand_over(self, records: Sequence[ResultRecord]) -> None:
        self._session.results_came(self._runner.name, [(r, r.body) for r in records if r.body is not None])
        large = [r for r in records if r.body is None and self._session.is_awaited(r.job, r.number)]
        if large:
            with self._session.lock:
                self._bodies.extend(large)
                self._runner.spawn("bodies", self._fetch_bodies)
                self._runner.changed.notify_all()

    def _fetch_bodies(self) -> None:
        while (link := self._runner.wait_for_link(lambda: bool(self._bodies))) is not None:
            client = self._runner.client(link)
            try:
                while (record := self._next_body(link)) is not None:
                    self._fetch_body(client, record)
            except HostError as exc:
                self._runner.broke(link, exc)
            finally:
                client.close()

    def _next_body(self, link: Link) -> ResultRecord | None:
        with self._session.lock:
            return None if self._runner.is_off(link) or not self._bodies else self._bodies[0]

    def _fetch_body(self, client: AgentClient, record: ResultRecord) -> None:
        name = self._runner.name
        try:
            body = client.body(record.seq)
        except Refused as exc:
            self._session.calls_refused(name, record.job, [record.number], exc)
        else:
            self._session.results_came(name, [(record, body)])
        with self._session.lock:
            if self._bodies and self._bodies[0] is record:
                self._bodies.popleft()
            self._runner.changed.notify_all()


_STEADY = 5.0
"""Seconds after which a link counts as one that works: the next trouble is a new one."""
_RELEASE_PATIENCE = 1.0
"""Seconds that closing waits for the agent to have heard of jobs that it may forget."""


class HostRunner:
    """Carries out for one host what its session decides."""

    def __init__(self, machine: Machine, session: RemoteSession) -> None:
        self.name = machine.name
        self.session = session
        self.changed = session.changed
        self.sender = Sender(self)
        self.collector = Collector(self)
        self.adoption = Adoption(self)
        self._machine = machine
        self._link: Link | None = None
        self._agent_id: str | None = None
        self._known = False
        """Whether it was ready since it was first tried, or tried again after it had been given up."""
        self._failed: HostError | None = None
        self._trouble: HostError | None = None
        """What the last link broke with."""
        self._patience = Patience()
        self._threads: dict[str, threading.Thread] = {}

    # -- what the session asks for, under its lock --

    @property
    def in_use(self) -> bool:
        """Whether the host is ready or may become so."""
        return self._failed is None

    @property
    def ready(self) -> bool:
        """Whether there is a link to its agent."""
        return self._link is not None

    def wake(self) -> bool:
        """See that the threads run; whether the host had been given up and is tried again."""
        again = self._failed is not None
        self._failed = None
        self.spawn("link", self._keep_link)
        self.spawn("send", self.sender.run)
        return again

    def adopt(self, futures: Sequence[ResponseFuture]) -> None:
        """Collect the results of futures that a function made on this host."""
        self.adoption.add(futures)
        self.spawn("adopted", self.adoption.run)
        self.changed.notify_all()

    def expect(self, agent_id: str) -> None:
        """This agent has calls of the session that an earlier process submitted: it is worth waiting for."""
        self._agent_id, self._known = agent_id, True

    def retire(self, error: HostError) -> None:
        """Open no further link, and send nothing more: the host is being dismantled."""
        self._failed, self._known = error, False
        self.sender.clear()
        self.adoption.fail(error)
        self._threads.pop("link", None)
        self.changed.notify_all()

    # -- what others ask for --

    def drain(self, patience: float) -> None:
        """Wait until everything was sent, or the host was given up."""
        with self.session.lock:
            self.changed.wait_for(lambda: self._failed is not None or self.sender.is_empty, patience)
            # Without a link, the jobs go with the agent.
            self.changed.wait_for(
                lambda: self._failed is not None or self._link is None or self.sender.is_released,
                min(patience, _RELEASE_PATIENCE),
            )

    def dismantle(self) -> None:
        """End the agent. Raises HostError."""
        with self.session.lock:
            link = self._link
        link = link or self._machine.open()
        client = self.client(link)
        try:
            client.dismantle()
        finally:
            client.close()
            self.broke(link, HostLost("dismantled", host=self.name))

    def close(self) -> None:
        """Close the link; the session is closed."""
        with self.session.lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()

    # -- what the threads ask for --

    def client(self, link: Link) -> AgentClient:
        """A connection of one's own to the agent."""
        return AgentClient(link.opener, link.token, self.name)

    def wait_for_link(self, wanted: Callable[[], bool]) -> Link | None:
        """Wait until there is a link and ``wanted()`` holds; None when the session was closed."""
        with self.session.lock:
            self.changed.wait_for(lambda: self.session.closed or (self._link is not None and wanted()))
            return None if self.session.closed else self._link

    def is_off(self, link: Link) -> bool:
        """Whether a link is not the one to be used any more."""
        return self.session.closed or self._link is not link

    def broke(self, link: Link, why: HostError) -> None:
        """A link does not work any more."""
        with self.session.lock:
            if self._link is link:
                logger.debug("host %s: the link broke: %s", self.name, why)
                self._link, self._trouble = None, why
                self.changed.notify_all()
        link.close()

    def spawn(self, name: str, target: Callable[[], None]) -> None:
        """Have a thread run ``target``, unless one does already."""
        thread = self._threads.get(name)
        if thread is None or not thread.is_alive():
            thread = threading.Thread(
                target=self._guard, args=(name, target), name=f"{name} {self.name}", daemon=True
            )
            self._threads[name] = thread
            thread.start()

    def _guard(self, name: str, target: Callable[[], None]) -> None:
        try:
            target()
        except Exception as exc:  # The top of a thread: the error goes to the calls.
            logger.debug("host %s: the thread %r failed", self.name, name, exc_info=True)
            what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
            error = HostError(
                f"an error that should not occur, in the thread {name!r}: {what}", host=self.name
            )
            error.__cause__ = exc
            self._fail(name, error)

    def _fail(self, name: str, error: HostError) -> None:
        with self.session.lock:
            if self._threads.get(name) is threading.current_thread():
                del self._threads[name]
            link, self._link = self._link, None
            if not self.session.closed:
                self._give_up(error)
        if link is not None:
            link.close()

    # -- the link --

    def _keep_link(self) -> None:
        while (link := self._open()) is not None:
            opened_at = time.monotonic()
            try:
                self.collector.collect(link)
            except HostError as exc:
                self.broke(link, exc)
            with self.session.lock:
                if time.monotonic() - opened_at > _STEADY:
                    self._patience.worked()
                self._wait_for_work()
                trouble = self._trouble
            if trouble is None or not self._is_worth_trying(trouble):
                return

    def _wait_for_work(self) -> None:
        """Without work there is no hurry: the agent may have ended because its time had come."""

        def has_work() -> bool:
            return not self.sender.is_empty or self.session.has_work(self.name) or self.adoption.pending

        if not has_work():
            self._patience.worked()
            self.changed.wait_for(lambda: self._is_over() or has_work())

    def _is_over(self) -> bool:
        """Whether this thread is not to keep the link any more."""
        return self.session.closed or self._threads.get("link") is not threading.current_thread()

    def _open(self) -> Link | None:
        """Open the link, trying again for a while if the host was ready before."""
        while True:
            try:
                return self._open_once()
            except HostError as exc:
                trouble = exc
            if not self._is_worth_trying(trouble):
                return None

    def _is_worth_trying(self, trouble: HostError) -> bool:
        """Whether to open a link again, decided after a pause; if it isn't, the host was given up."""
        options = self.session.options
        with self.session.lock:
            if self._is_over():
                return False
            limit = options.lost_after if self.session.any_ready() else options.last_lost_after
            # An agent that answered before and refuses now may be about to be started again.
            retryable = self._known and (trouble.retryable or isinstance(trouble, AgentError))
            pause = self._patience.failed(time.monotonic(), limit) if retryable else None
            if pause is None:
                self._give_up(trouble)
                return False
            if pause:
                logger.debug("host %s: %s; trying again in %.1f s", self.name, trouble, pause)
                self.changed.wait_for(self._is_over, pause)
            return not self._is_over()

    def _open_once(self) -> Link | None:
        """Open the link; None when it is not wanted any more. Raises HostError."""
        link = self._machine.open()
        client = self.client(link)
        try:
            info = client.info()
            held = {key: client.holdings(key) for key in self.session.sought()}
        except BaseException:
            link.close()
            raise
        finally:
            client.close()
        with self.session.lock:
            if self._is_over():
                link.close()
                return None
            is_new = self._agent_id != link.agent_id
            replaced = is_new and self._agent_id is not None
            if is_new:
                self._agent_id = link.agent_id
                self.sender.forget_agent()
                self.collector.start_over()
            if replaced:
                # The journal of the old one is gone, and with it all that was handed to it.
                self.adoption.fail(HostLost("its agent is a new one and has no calls", host=self.name))
            self._link, self._known, self._trouble = link, True, None
            for key, numbers in held.items():
                self.session.calls_found(self.name, key, numbers)
            self.session.host_ready(self.name, link.processes or int(info["processes"]), empty=replaced)
        return link

    def _give_up(self, error: HostError) -> None:
        if self._known and error.retryable:
            lost = HostLost(f"lost during the job: {error.args[0]}", host=self.name, phase=error.phase)
            lost.__cause__ = error
            error = lost
        self._failed, self._known = error, False
        self._patience.worked()
        self.sender.clear()
        # This thread is about to end: if the host is tried again, another one does so.
        self._threads.pop("link", None)
        self.adoption.fail(error)
        self.session.host_failed(self.name, error)
