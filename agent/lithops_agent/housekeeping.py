"""The thread that makes room on the disk."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

from lithops_agent.disk import is_disk_full
from lithops_agent.journal import Journal

_INTERVAL = 1.0
_PAUSE = 0.003
"""Seconds between two steps of the same work, in which others have the journal."""
_SELDOM = 600.0
"""Seconds between two looks for jobs that nobody comes for."""


class Housekeeper:
    """Deletes what was released or abandoned, a little at a time."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._look_at = clock()
        self._stopping = False
        self._something = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._something.set()

    def stop(self) -> None:
        """End the thread; what it has not done is done after the next start."""
        self._stopping = True
        self._something.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping:
            self._something.clear()
            try:
                goes_on = self._step()
            except Exception as exc:  # noqa: BLE001 - the agent does its work without this
                if not is_disk_full(exc):
                    traceback.print_exc()
                goes_on = False
            self._something.wait(_PAUSE if goes_on else _INTERVAL)

    def _step(self) -> bool:
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + _SELDOM
            self._journal.release_abandoned()
        return self._journal.tidy()
