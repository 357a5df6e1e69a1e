"""How the agent serves HTTP connections: those that are in use stay with their thread.

gunicorn's threaded worker hands a connection back to its main thread after each request, and to another
thread of the pool with the next one. Requests of a coordinator follow one another within milliseconds, and
the two changes of threads cost as much as a short request itself.
"""

from __future__ import annotations

import select
import threading
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from lithops_agent.lifeline import die_with

_NEAR = 0.05
"""Seconds that a thread waits for the next request of a connection before it gives the connection back."""
_SHARE = 4
"""At most one thread in so many waits like that: the others are there for connections that have requests."""


class ConnectionWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, whose threads serve a connection while requests follow closely."""

    def init_process(self) -> None:
        """Run the worker; it returns when it ends.

        It ends at once when the process above it does. Its successor runs the calls again that it had, and
        they would run at the same time.
        """
        die_with(self.ppid)
        self._may_wait = threading.Semaphore(max(self.cfg.threads // _SHARE, 1))
        super().init_process()

    def handle(self, conn: Any) -> tuple[bool, Any]:
        """Serve a request and those that follow it closely; whether the connection is kept, and it."""
        while True:
            is_kept, conn = super().handle(conn)
            if not is_kept or not self.alive or not self._is_another_near(conn):
                return is_kept, conn

    def _is_another_near(self, conn: Any) -> bool:
        if not self._may_wait.acquire(blocking=False):
            return False
        try:
            poll = select.poll()
            poll.register(conn.sock, select.POLLIN)
            return bool(poll.poll(_NEAR * 1000))
        finally:
            self._may_wait.release()
