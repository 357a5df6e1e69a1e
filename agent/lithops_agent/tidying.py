"""Gives space back to the file system, in steps so small that no request waits long for one."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from lithops_agent.ballast import Ballast
from lithops_agent.database import Database

_CHUNK = 1000
"""Rows of released jobs that are deleted at a time."""


class Tidying:
    """Deletes rows and folders of jobs that were released, and shortens the files of the journal."""

    def __init__(self, jobs: Path, db: Database, lock: threading.RLock, ballast: Ballast) -> None:
        self._jobs = jobs
        self._db = db
        self._lock = lock
        self._ballast = ballast
        self._changes = 0

    def step(self) -> bool:
        """One step, with the lock held for some milliseconds; whether another one is worth while at once."""
        self._ballast.refill()
        if self._delete_garbage():
            return True
        with self._lock:
            if self._ballast.spend_on(self._db.vacuum):
                return True
            is_quiet = self._changes == self._db.changes()
            self._changes = self._db.changes()
        if self._db.checkpoint(is_quiet):
            with self._lock:
                self._db.cut_log()
        return False

    def _delete_garbage(self) -> bool:
        with self._lock:
            found = self._db.execute("SELECT job FROM garbage LIMIT 1").fetchone()
        if found is None:
            return False
        shutil.rmtree(self._jobs / str(found[0]), ignore_errors=True)
        with self._lock:
            self._ballast.spend_on(lambda: self._delete_rows(found[0]))
        return True

    def _delete_rows(self, row: int) -> None:
        some = "SELECT {} FROM {} WHERE job=? LIMIT ?"
        with self._db.transaction():
            count = self._db.execute(
                f"DELETE FROM calls WHERE job=? AND number IN ({some.format('number', 'calls')})",
                (row, row, _CHUNK),
            ).rowcount
            for table in ("results", "printed"):
                count += self._db.execute(
                    f"DELETE FROM {table} WHERE seq IN ({some.format('seq', table)})", (row, _CHUNK)
                ).rowcount
            if not count:
                self._db.execute("DELETE FROM garbage WHERE job=?", (row,))
