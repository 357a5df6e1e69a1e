"""Futures that functions made on a host and returned: their results, collected for the caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lithops.dispatch.client import AgentClient
from lithops.dispatch.outcomes import outcome_of
from lithops.errors import HostError
from lithops.future import batch
from lithops.job.model import Outcome

if TYPE_CHECKING:
    from lithops.dispatch.runner import HostRunner
    from lithops.future import ResponseFuture
    from lithops_agent.protocol import ResultRecord

_POLL = 0.5
_PAUSE = 0.02


@dataclasses.dataclass
class _Nested:
    """A session that a function opened on the host, and what is still missing of it."""

    session: str
    futures: dict[tuple[str, int], ResponseFuture] = dataclasses.field(default_factory=dict)
    jobs: set[str] = dataclasses.field(default_factory=set)
    cursor: int = 0
    rewound: bool = False
    """The cursor was set back while a poll was under way."""


class Adoption:
    """Collects the results of nested sessions on one host, one poll after the other."""

    def __init__(self, runner: HostRunner) -> None:
        self._runner = runner
        self._lock = runner._session.lock
        self._sessions: dict[str, _Nested] = {}

    @property
    def pending(self) -> bool:
        """Whether a result is missing."""
        return bool(self._sessions)

    def add(self, futures: Sequence[ResponseFuture]) -> None:
        """Collect these too."""
        for future in futures:
            nested = self._sessions.setdefault(future.executor_id, _Nested(future.executor_id))
            nested.futures[(future.job_key, future._number)] = future
            nested.jobs.add(future.job_key)
            # What came before for other futures of the session may be wanted now.
            nested.cursor, nested.rewound = 0, True

    def fail(self, error: HostError) -> None:
        """The host is lost, and with it what was missing."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        with batch():
            for nested in sessions.values():
                for future in nested.futures.values():
                    future._on_outcome(Outcome(ok=False, host=self._runner.name, error=error))

    def run(self) -> None:
        """The thread: poll for as long as something is missing."""
        while True:
            link = self._runner.wait_for_link(lambda: self.pending)
            if link is None:
                return
            client = self._runner.client(link)
            try:
                while self.pending:
                    self._poll_all(client)
            except HostError:
                self._runner.broke(link)
            finally:
                client.close()

    def _poll_all(self, client: AgentClient) -> None:
        with self._lock:
            sessions = list(self._sessions.values())
        came = 0
        for nested in sessions:
            wait = _POLL if len(sessions) == 1 else 0.0
            nested.rewound = False
            header, records = client.results(nested.session, nested.cursor, 0, wait)
            with self._lock:
                if not nested.rewound:
                    nested.cursor = int(header["cursor"])
            came += len(records)
            bodies = [r.body if r.body is not None else client.body(r.seq) for r in records]
            self._hand_over(nested, records, bodies)
            if not nested.futures:
                self._forget(client, nested)
        if not came and len(sessions) > 1:
            with self._lock:
                self._runner._changed.wait(_PAUSE)

    def _hand_over(self, nested: _Nested, records: Sequence[ResultRecord], bodies: Sequence[bytes]) -> None:
        with batch():
            for record, body in zip(records, bodies):
                future = nested.futures.pop((record.job, record.number), None)
                if future is not None:
                    timeout = future.execution_timeout
                    outcome = outcome_of(record, body, self._runner.name, future.function_name, timeout)
                    future._on_outcome(outcome)

    def _forget(self, client: AgentClient, nested: _Nested) -> None:
        with self._lock:
            if nested.futures:
                return
            self._sessions.pop(nested.session, None)
        client.release(sorted(nested.jobs))
