"""What was created in clouds, in ``state.db``: noted down before it is asked for, until it is gone."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from lithops.state.records import Records, state_folder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources(
    name TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL, executor_id TEXT NOT NULL,
    region TEXT NOT NULL, profile TEXT NOT NULL, id TEXT, asked_at REAL NOT NULL, made_at REAL,
    ready_at REAL, gone_at REAL, PRIMARY KEY(name, asked_at)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS resources_by_scope ON resources(scope);
"""
_BUSY_TIMEOUT = 10.0


@dataclass(frozen=True, kw_only=True)
class ResourceRecord:
    """One thing. ``id`` is None until the cloud has told it; ``ready_at`` is of machines: when the first
    agent ran there; ``gone_at`` when it was seen to be gone. ``profile`` is of machines. Times are in seconds
    since the epoch."""

    name: str
    kind: str
    scope: str
    executor_id: str
    region: str
    profile: str = ""
    id: Optional[str] = None
    asked_at: float
    made_at: Optional[float] = None
    ready_at: Optional[float] = None
    gone_at: Optional[float] = None


class CloudRecords:
    """The table. Thread-safe.

    Raises:
        OSError, sqlite3.Error: the folder can't be written, or the file is none of ours.
    """

    def __init__(self, folder: Optional[Path] = None) -> None:
        Records(folder).close()  # Makes the file with the mode that it has to have.
        self._lock = threading.Lock()
        path = (folder or state_folder()) / "state.db"
        self._db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def asked(self, record: ResourceRecord) -> None:
        """Something is about to be created; what had its name before is gone."""
        self.gone(record.name, record.asked_at)
        self._do(
            "INSERT OR REPLACE INTO resources VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            record.name, record.kind, record.scope, record.executor_id, record.region, record.profile,
            record.id, record.asked_at, record.made_at, record.ready_at, record.gone_at,
        )  # fmt: skip

    def made(self, name: str, id: str, at: float) -> None:
        """It was created."""
        self._do("UPDATE resources SET id=?, made_at=? WHERE name=? AND gone_at IS NULL", id, at, name)

    def ready(self, name: str, at: float) -> None:
        """An agent runs on this machine."""
        self._do(
            "UPDATE resources SET ready_at=? WHERE name=? AND ready_at IS NULL AND gone_at IS NULL", at, name
        )

    def gone(self, name: str, at: float) -> None:
        """It is not there any more."""
        self._do("UPDATE resources SET gone_at=? WHERE name=? AND gone_at IS NULL", at, name)

    def get(self, name: str) -> Optional[ResourceRecord]:
        """What there is of a name, as far as is known."""
        rows = self._do("SELECT * FROM resources WHERE name=? AND gone_at IS NULL", name)
        return _record(rows[0]) if rows else None

    def left(self, scope: Optional[str] = None) -> list[ResourceRecord]:
        """What may be there, of one scope or of all, in the order of creation."""
        query = "SELECT * FROM resources WHERE gone_at IS NULL"
        rows = self._do(query) if scope is None else self._do(f"{query} AND scope=?", scope)
        return sorted(map(_record, rows), key=lambda record: record.asked_at)

    def of_executor(self, executor_id: str) -> list[ResourceRecord]:
        """What was created for an executor, also what is gone."""
        rows = self._do("SELECT * FROM resources WHERE executor_id=?", executor_id)
        return sorted(map(_record, rows), key=lambda record: record.asked_at)

    def _do(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _record(row: tuple[Any, ...]) -> ResourceRecord:
    name, kind, scope, executor_id, region, profile, id, asked_at, made_at, ready_at, gone_at = row
    return ResourceRecord(
        name=name, kind=kind, scope=scope, executor_id=executor_id, region=region, profile=profile, id=id,
        asked_at=asked_at, made_at=made_at, ready_at=ready_at, gone_at=gone_at,
    )  # fmt: skip
