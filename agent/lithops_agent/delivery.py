"""Hands out how calls ended, and what they print, to those who poll for it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from lithops_agent.journal import Journal, Page
from lithops_agent.pool import Pool
from lithops_agent.printed import Printed
from lithops_agent.protocol import Part

_PAGE = 4 * 1024 * 1024
_SESSIONS = 1000
_LOOK = 0.2
"""Seconds between two looks at what calls print, while somebody waits for it."""


class Delivery:
    """Lets requests wait for news, and knows who has heard what. Thread-safe."""

    def __init__(self, journal: Journal, pool: Pool) -> None:
        self._journal = journal
        self._pool = pool
        self._cursors: dict[str, int] = {}
        """Up to where each session has heard of results."""
        self._closed = False

    def results(self, session: str, after: int, wait: float) -> tuple[Page, dict[str, Any]]:
        """Results after a cursor, waiting up to ``wait`` seconds for the first; and what waits and runs."""
        self._cursors[session] = after
        seen = self._pool.recorded(session)
        page = self._journal.results(session, after, _PAGE)
        deadline = time.monotonic() + wait
        while not page.records and not self._closed:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            seen = self._pool.wait_for_results(session, seen, left)
            page = self._journal.results(session, after, _PAGE)
        waiting, running = self._pool.snapshot()
        return page, {
            "waiting": {job: count for job, count in waiting.items() if self._belongs(job, session)},
            "running": [[job, number] for job, number in running if self._belongs(job, session)],
            # Of all sessions: whoever has others' calls in mind must know of the room, not of the calls.
            "free": max(self._pool.processes - len(running) - sum(waiting.values()), 0),
        }

    def printed(
        self, job: str, after: int, seen: Mapping[int, int], wait: float
    ) -> tuple[dict[str, Any], list[Part]]:
        """What calls of a job have printed: see `protocol.PRINTED`. Waits up to ``wait`` seconds for more."""
        deadline = time.monotonic() + wait
        while True:
            waiting, running = self._pool.snapshot()
            # The running ones first: one that ends meanwhile is found among the ended, or is yet to be.
            now = self._pool.printing(job)
            pending = self._pool.pending(job)
            cursor, parts = self._journal.printed(job, after, _PAGE)
            parts += [part for old in now if (part := _since(old, seen.get(old.number, 0))).text]
            mine = [number for name, number in running if name == job]
            left = waiting.get(job, 0) + len(mine) + pending
            if parts or not left or time.monotonic() >= deadline or self._closed:
                return {"cursor": cursor, "running": mine, "left": left}, parts
            time.sleep(_LOOK)

    def _belongs(self, job: str, session: str) -> bool:
        spec = self._journal.spec(job)
        return spec is not None and spec.session == session

    # -- the end of the agent --

    def readers(self, jobs: Collection[str]) -> set[str]:
        """The sessions that hear of the results of these jobs."""
        return {spec.session for job in jobs if (spec := self._journal.spec(job))}

    def has_heard(self, session: str) -> bool:
        """Whether a session has asked for what comes after the last of its results."""
        return not self._journal.results(session, self._cursors.get(session, 0), 1).records

    def close(self) -> None:
        """Let nobody wait any more. Those who wait for results notice when the pool is stopped."""
        self._closed = True

    def tidy(self) -> None:
        """Forget sessions if there are many; those that still poll are noted again."""
        if len(self._cursors) > _SESSIONS:
            self._cursors.clear()


def _since(part: Part, seen: int) -> Part:
    """What comes after the first ``seen`` bytes."""
    return Part(part.job, part.number, *Printed(part.begins, part.text).since(seen))
