"""What one host is to be told, in order: submissions, revocations, cancellations and releases.

What was under way when the link broke is sent again, which the agent takes without harm. State is guarded
by the session's lock; nothing is sent while it is held.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

from lithops.backends.machine import Link
from lithops.dispatch.client import AgentClient, Refused
from lithops.dispatch.handover import Handover, Submission
from lithops.errors import HostError

if TYPE_CHECKING:
    from lithops.dispatch.runner import HostRunner

logger = logging.getLogger(__name__)

_RELEASE_INTERVAL = 0.5
"""Seconds that the release of a job waits for others to go along."""


@dataclasses.dataclass(eq=False)
class _Submit:
    calls: Submission
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


@dataclasses.dataclass(eq=False)
class _Find:
    job: str
    tried: bool = False


_Item = Union[_Submit, _Revoke, _Cancel, _Release, _Find]


class Sender:
    """What a host is to be told, in order, and the thread that tells it."""

    def __init__(self, runner: HostRunner) -> None:
        self._runner = runner
        self._session = runner.session
        self._outbox: deque[_Item] = deque()
        self._urgent: deque[_Cancel] = deque()
        self._is_submitting = False
        self._done_jobs: list[str] = []
        self._done_at = 0.0
        self._releasing: list[str] = []
        self._handover = Handover(runner, self.job_done)

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
        return bool(self._urgent) or any(isinstance(item, _Cancel) for item in self._outbox)

    def submit(self, job: str, numbers: Sequence[int]) -> None:
        """Submit calls."""
        if job in self._done_jobs:
            # Its calls had all ended, and now there are more; the agent has not forgotten it yet.
            self._done_jobs.remove(job)
            self._handover.learned(job)
        self._outbox.append(_Submit(Submission(job, numbers)))

    def revoke(self, job: str, count: int) -> None:
        """Ask for calls back."""
        self._outbox.append(_Revoke(job, count))

    def find(self, job: str) -> None:
        """Ask which calls of a job the host has; this goes before calls are sent."""
        self._outbox.appendleft(_Find(job))
        self._runner.changed.notify_all()

    def cancel(self, job: str, numbers: Sequence[int]) -> None:
        """End calls; this goes first.

        Calls that are on their way may be large: it overtakes them, and is said again behind them.
        """
        self._outbox.appendleft(_Cancel(job, numbers))
        if self._is_submitting:
            self._urgent.append(_Cancel(job, numbers))
            try:
                self._runner.spawn("cancel", self._overtake)
            except RuntimeError:
                self._urgent.clear()  # No thread can be started so late in the end of a program.
        self._runner.changed.notify_all()

    def job_done(self, job: str) -> None:
        """The program has been told of all calls of a job: the agent may forget it, in a while."""
        if not self._session.options.nested and self._handover.forget_job(job):
            if not self._done_jobs:
                self._done_at = time.monotonic()
            self._done_jobs.append(job)
            self._runner.changed.notify_all()

    def clear(self) -> None:
        """Send none of it."""
        self._outbox.clear()
        self._urgent.clear()

    def send_all_again(self) -> None:
        """The agent may have lost some of what it had been sent: it takes what it lacks."""
        for job in self._session.jobs_on(self._runner.name):
            calls = Submission(job, self._session.calls_on(self._runner.name, job))
            self._outbox.appendleft(_Submit(calls))

    def forget_agent(self) -> None:
        """The agent is another one: it knows nothing, and nothing that was to be sent is for it."""
        self.clear()
        self._done_jobs.clear()
        self._handover.forget_all()

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

    def _overtake(self) -> None:
        """The thread of what is urgent; it ends when nothing is."""
        runner = self._runner
        while self._urgent and (link := runner.wait_for_link(lambda: True)) is not None:
            client = runner.client(link)
            try:
                while self._urgent:
                    self._cancel(client, self._urgent[0])
                    with self._session.lock:
                        if self._urgent:
                            self._urgent.popleft()
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
            self._is_submitting = True
            try:
                self._handover.submit(client, link, item.calls)
            finally:
                self._is_submitting = False
        elif isinstance(item, _Revoke):
            self._revoke(client, link, item, again)
        elif isinstance(item, _Cancel):
            self._cancel(client, item)
        elif isinstance(item, _Find):
            self._find(client, item)
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
            self._handover.submit(client, link, Submission(item.job, held))
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

    def _find(self, client: AgentClient, item: _Find) -> None:
        try:
            numbers = client.holdings(item.job)
        except Refused as exc:
            logger.debug("host %s does not tell what it has: %s", self._runner.name, exc)
            numbers = []
        with self._session.lock:
            # Unless that host was asked again meanwhile because it has another agent.
            if item in self._outbox:
                if numbers:
                    self._handover.learned(item.job)
                self._session.calls_found(self._runner.name, item.job, numbers)

    def _release(self, client: AgentClient, item: _Release) -> None:
        try:
            client.release(item.jobs)
        except Refused as exc:
            logger.debug("host %s does not release jobs: %s", self._runner.name, exc)
        except HostError:
            with self._session.lock:
                again = [job for job in self._releasing if self._session.awaited.job(job) is None]
                self._done_jobs[:0] = again
            raise
        finally:
            with self._session.lock:
                self._releasing = []
