"""Futures that functions made on a host and returned: their results, collected for the caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lithops.dispatch.client import AgentClient, Refused
from lithops.dispatch.outcomes import outcome_of
from lithops.errors import HostError, LithopsError
from lithops.future import batch
from lithops.job.model import Outcome
from lithops.job.printed import output

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
        self._lock = runner.session.lock
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

    def start_over(self) -> None:
        """The agent may have lost the last of its results."""
        for nested in self._sessions.values():
            nested.cursor, nested.rewound = 0, True

    def fail(self, error: LithopsError) -> None:
        """What was missing does not come."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        with batch():
            for nested in sessions.values():
                for future in nested.futures.values():
                    future._on_outcome(Outcome(ok=False, host=self._runner.name, error=error))

    def run(self) -> None:
        """The thread: poll for as long as something is missing."""
        while (link := self._runner.wait_for_link(lambda: self.pending)) is not None:
            client = self._runner.client(link)
            try:
                while self.pending and not self._runner.is_off(link):
                    self._poll_all(client)
            except HostError as exc:
                self._runner.broke(link, exc)
            finally:
                client.close()

    def _poll_all(self, client: AgentClient) -> None:
        with self._lock:
            sessions = list(self._sessions.values())
        came = 0
        for nested in sessions:
            came += self._poll(client, nested, _POLL if len(sessions) == 1 else 0.0)
        if not came and len(sessions) > 1:
            with self._lock:
                self._runner.changed.wait(_PAUSE)

    def _poll(self, client: AgentClient, nested: _Nested, wait: float) -> int:
        with self._lock:
            after, nested.rewound = nested.cursor, False
        header, records = client.results(nested.session, after, wait)
        printed = {(part.job, part.number): output(part.begins, part.text) for part in header["printed"]}
        with self._lock:
            wanted = [r for r in records if (r.job, r.number) in nested.futures]
        # When the link breaks here, nothing has been taken off the list yet.
        bodies = [self._body(client, record) for record in wanted]
        with self._lock:
            if not nested.rewound:
                nested.cursor = int(header["cursor"])
            ended = [
                (future, record, body)
                for record, body in zip(wanted, bodies)
                if (future := nested.futures.pop((record.job, record.number), None)) is not None
            ]
        with batch():
            for future, record, body in ended:
                outcome = self._outcome(future, record, body)
                found = printed.get((record.job, record.number))
                future._on_outcome(dataclasses.replace(outcome, printed=found) if found else outcome)
        self._forget(client, nested)
        return len(records)

    def _body(self, client: AgentClient, record: ResultRecord) -> bytes | Refused:
        if record.body is not None:
            return record.body
        try:
            return client.body(record.seq)
        except Refused as exc:
            return exc

    def _outcome(self, future: ResponseFuture, record: ResultRecord, body: bytes | Refused) -> Outcome:
        name = self._runner.name
        if isinstance(body, Refused):
            return Outcome(ok=False, host=name, error=body)
        return outcome_of(record, body, name, future.function_name, future.execution_timeout)

    def _forget(self, client: AgentClient, nested: _Nested) -> None:
        with self._lock:
            if nested.futures or self._sessions.get(nested.session) is not nested:
                return
            del self._sessions[nested.session]
        client.release(sorted(nested.jobs))
