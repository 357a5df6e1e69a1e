"""The results of one host: long polls, and the bodies that are too large for the stream.

State is guarded by the session's lock; nothing is received while it is held.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lithops.backends.machine import Link
from lithops.dispatch.client import AgentClient, Refused
from lithops.errors import HostError
from lithops_agent.protocol import ResultRecord

if TYPE_CHECKING:
    from lithops.dispatch.runner import HostRunner

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
        """There is a link to a new agent, or to one that may have lost the last of its results."""
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
        if header["printed"]:
            session.printed_came(header["printed"])
        self._hand_over(records)
        session.calls_running(runner.name, header["running"])
        session.host_heard(runner.name, link.agent_id, header.get("ends_in"))
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
        large = [r for r in records if r.body is None and self._session.awaited.has(r.job, r.number)]
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
