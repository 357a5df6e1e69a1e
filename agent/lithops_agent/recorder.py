"""Records how calls ended, and tells those who wait for it; on a full disk, later."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from lithops_agent.disk import is_disk_full
from lithops_agent.journal import Ended, Journal

_RETRY = 0.5
"""Seconds after which it is tried again to record what a full disk had no room for."""


class Recorder:
    """What has ended and is not in the journal yet. Thread-safe.

    Ends are recorded in the order in which they were `add`-ed. Those that there is no space for are kept
    here until there is: their calls were accepted, and are not run again for it.
    """

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._arrived = threading.Condition()
        self._ended: list[Ended] = []
        self._pending: Counter[str] = Counter()
        self._recorded: dict[str, int] = {}
        self._retry_at: float | None = None
        self.recorded_at: float | None = None
        """When a result was recorded last, by the clock; None: never."""

    def add(self, ended: Ended) -> None:
        """A call has ended; `settle` records it."""
        with self._lock:
            self._ended.append(ended)
            self._pending[ended.job] += 1

    def __len__(self) -> int:
        return len(self._ended)

    def pending(self, job: str) -> int:
        """How many calls of a job have ended and are not in the journal yet."""
        return self._pending[job]

    @property
    def is_stuck(self) -> bool:
        """Whether there was no space for what has ended."""
        return self._retry_at is not None

    def retry_in(self) -> float | None:
        """Seconds until `settle` tries again; None when nothing waits for space."""
        retry_at = self._retry_at
        return None if retry_at is None else max(retry_at - self._clock(), 0.0)

    def settle(self) -> bool:
        """Record what has ended, and wake those who wait for it; whether anything was recorded.

        Raises what the journal raises, unless the disk is full; nothing is lost then.
        """
        if self._retry_at is not None and self._clock() < self._retry_at:
            return False
        with self._lock:
            ended, self._ended = self._ended, []
        if not ended:
            return False
        sessions: dict[str, int] = {}
        for e in ended:
            spec = self._journal.spec(e.job)
            if spec is not None:
                sessions[spec.session] = sessions.get(spec.session, 0) + 1
        try:
            self._journal.record(ended)
        except BaseException as exc:
            full = is_disk_full(exc)
            with self._lock:
                # On a full disk, the results are what there must be room for.
                self._ended[:0] = [e._replace(printed=None) for e in ended] if full else ended
            if not full:
                raise
            self._retry_at = self._clock() + _RETRY
            return False
        self._retry_at = None
        with self._lock:
            for job, count in Counter(e.job for e in ended).items():
                self._pending[job] -= count
                if not self._pending[job]:
                    del self._pending[job]
        with self._arrived:
            for session, count in sessions.items():
                self._recorded[session] = self._recorded.get(session, 0) + count
            self.recorded_at = self._clock()
            self._arrived.notify_all()
        return True

    def recorded(self, session: str) -> int:
        """How many results of a session were recorded so far."""
        return self._recorded.get(session, 0)

    def wait(self, session: str, seen: int, timeout: float, is_over: Callable[[], bool]) -> int:
        """Wait until more results of a session than ``seen`` were recorded, or it is over; how many were."""
        with self._arrived:
            self._arrived.wait_for(lambda: self.recorded(session) > seen or is_over(), timeout)
            return self.recorded(session)

    def wake(self) -> None:
        """Let those who `wait` look whether it is over."""
        with self._arrived:
            self._arrived.notify_all()
