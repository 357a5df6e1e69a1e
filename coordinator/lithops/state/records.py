"""``~/.lithops/state.db``: the executors, jobs and hosts of all processes of this user.

SQLite in WAL mode, so that several processes use it at once. It survives the death of a process at any
instruction; nothing waits for the disk, so the last moments before a power cut of this machine may be
missing. Secrets are not in it: the token of an agent is read from its host at each connection, and
passwords are left out of the configurations.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

_SCHEMA = """
CREATE TABLE IF NOT EXISTS executors(
    executor_id TEXT PRIMARY KEY, backend TEXT NOT NULL, config TEXT NOT NULL, pid INTEGER NOT NULL,
    created_at REAL NOT NULL, closed_at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs(
    job_key TEXT PRIMARY KEY, executor_id TEXT NOT NULL, job_id TEXT NOT NULL, function_name TEXT NOT NULL,
    total_calls INTEGER NOT NULL, created_at REAL NOT NULL, ended_at REAL, released_at REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_executor ON jobs(executor_id);
CREATE TABLE IF NOT EXISTS hosts(
    backend TEXT NOT NULL, host TEXT NOT NULL, executor_id TEXT NOT NULL, agent_id TEXT NOT NULL,
    seen_at REAL NOT NULL, deadline_at REAL, ended_at REAL, PRIMARY KEY(backend, host)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS placements(
    executor_id TEXT NOT NULL, host TEXT NOT NULL, agent_id TEXT NOT NULL,
    PRIMARY KEY(executor_id, host)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress(
    job_key TEXT PRIMARY KEY, done INTEGER NOT NULL, failed INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures(
    job_key TEXT NOT NULL, number INTEGER NOT NULL, host TEXT NOT NULL, error TEXT NOT NULL,
    message TEXT NOT NULL, PRIMARY KEY(job_key, number)) WITHOUT ROWID;
"""
_BUSY_TIMEOUT = 10.0
_KEPT = 30 * 24 * 3600.0
"""Seconds that a job can be asked for after it was submitted, and its record after it was released."""
FAILURES_KEPT = 1000
"""Calls of a job of which it is noted why they failed; of the others, only how many they are."""


@dataclass(frozen=True, kw_only=True)
class ExecutorRecord:
    """An executor that had calls. ``config`` is its expanded configuration without secrets."""

    executor_id: str
    backend: str
    config: Mapping[str, Any]
    pid: int
    created_at: float
    closed_at: Optional[float] = None


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A job. ``ended_at``: all of its results were here; ``released_at``: its host has forgotten it."""

    job_key: str
    executor_id: str
    job_id: str
    function_name: str
    total_calls: int
    created_at: float
    ended_at: Optional[float] = None
    released_at: Optional[float] = None


@dataclass(frozen=True, kw_only=True)
class HostRecord:
    """A host that an agent was started on. ``deadline_at`` is when that agent meant to end at last
    hearing, None for never; ``ended_at`` when it was seen to have ended. ``executor_id`` names the
    executor that used it last, whose configuration leads to it."""

    backend: str
    host: str
    executor_id: str
    agent_id: str
    seen_at: float
    deadline_at: Optional[float] = None
    ended_at: Optional[float] = None


@dataclass(frozen=True, kw_only=True)
class ProgressRecord:
    """How many calls of a job have ended, and how many of these failed, when that was last noted."""

    job_key: str
    done: int
    failed: int
    at: float


@dataclass(frozen=True, kw_only=True)
class FailureRecord:
    """A call that failed: the class of the error, and the first line of its message."""

    job_key: str
    number: int
    host: str
    error: str
    message: str


def state_folder() -> Path:
    """Where the records of this user are."""
    return Path(os.path.expanduser("~"), ".lithops")


class Records:
    """The file. Thread-safe; made when it is not there. Times are in seconds since the epoch.

    Raises:
        OSError, sqlite3.Error: the folder can't be written, or the file is none of ours.
    """

    def __init__(self, folder: Optional[Path] = None) -> None:
        folder = folder or state_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "state.db"
        # SQLite gives its other files the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # -- executors --

    def executor_opened(self, record: ExecutorRecord) -> None:
        """An executor is about to submit its first job, or another process goes on with its jobs."""
        self._do(
            "INSERT INTO executors VALUES(?, ?, ?, ?, ?, NULL) "
            "ON CONFLICT(executor_id) DO UPDATE SET pid=excluded.pid, created_at=excluded.created_at, "
            "closed_at=NULL",
            record.executor_id, record.backend, json.dumps(record.config), record.pid, record.created_at,
        )  # fmt: skip

    def executor_closed(self, executor_id: str, pid: int, at: float) -> None:
        """A program has closed its executor; another one that took it over is not concerned."""
        self._do("UPDATE executors SET closed_at=? WHERE executor_id=? AND pid=?", at, executor_id, pid)

    def executor(self, executor_id: str) -> Optional[ExecutorRecord]:
        """What is known of an executor."""
        rows = self._do("SELECT * FROM executors WHERE executor_id=?", executor_id)
        return _executor(rows[0]) if rows else None

    # -- jobs --

    def job_submitted(self, record: JobRecord) -> None:
        """The first calls of a job are about to be handed to hosts."""
        self._do(
            "INSERT OR IGNORE INTO jobs VALUES(?, ?, ?, ?, ?, ?, NULL, NULL)",
            record.job_key, record.executor_id, record.job_id, record.function_name, record.total_calls,
            record.created_at,
        )  # fmt: skip

    def job_ended(self, job_key: str, at: float) -> None:
        """All results of a job are here."""
        self._do("UPDATE jobs SET ended_at=? WHERE job_key=?", at, job_key)

    def jobs_released(self, job_keys: Iterable[str], at: float) -> None:
        """Hosts may forget these jobs: nobody will ask for them."""
        with self._lock:
            self._db.executemany(
                "UPDATE jobs SET released_at=? WHERE job_key=?", [(at, key) for key in job_keys]
            )

    def job(self, job_key: str) -> Optional[JobRecord]:
        """What is known of a job."""
        rows = self._do("SELECT * FROM jobs WHERE job_key=?", job_key)
        return _job(rows[0]) if rows else None

    def jobs_of(self, executor_id: str) -> list[JobRecord]:
        """The jobs of an executor, the oldest first."""
        query = "SELECT * FROM jobs WHERE executor_id=? ORDER BY created_at, job_key"
        return [_job(row) for row in self._do(query, executor_id)]

    def jobs(self) -> list[JobRecord]:
        """All jobs, the newest first."""
        return [_job(row) for row in self._do("SELECT * FROM jobs ORDER BY created_at DESC")]

    # -- how calls ended --

    def progressed(self, record: ProgressRecord) -> None:
        """More calls of a job have ended."""
        self._do(
            "INSERT OR REPLACE INTO progress VALUES(?, ?, ?, ?)",
            record.job_key, record.done, record.failed, record.at,
        )  # fmt: skip

    def progress(self) -> dict[str, ProgressRecord]:
        """How far jobs are, by job; of a job that ended at once, nothing was noted."""
        rows = self._do("SELECT * FROM progress")
        return {row[0]: ProgressRecord(job_key=row[0], done=row[1], failed=row[2], at=row[3]) for row in rows}

    def calls_failed(self, records: Iterable[FailureRecord]) -> None:
        """Calls have failed. Of each job, the first `FAILURES_KEPT` are kept."""
        with self._lock:
            self._db.executemany(
                "INSERT OR REPLACE INTO failures SELECT ?1, ?2, ?3, ?4, ?5 WHERE "
                "(SELECT count(*) FROM failures WHERE job_key=?1 AND number!=?2) < ?6",
                [(r.job_key, r.number, r.host, r.error, r.message, FAILURES_KEPT) for r in records],
            )

    def failures_of(self, job_key: str) -> list[FailureRecord]:
        """The calls of a job that failed, by number."""
        rows = self._do("SELECT * FROM failures WHERE job_key=? ORDER BY number", job_key)
        return [
            FailureRecord(job_key=row[0], number=row[1], host=row[2], error=row[3], message=row[4])
            for row in rows
        ]

    # -- hosts --

    def host_used(self, record: HostRecord) -> None:
        """An agent is there, and serves this executor."""
        self._do(
            "INSERT OR REPLACE INTO hosts VALUES(?, ?, ?, ?, ?, ?, ?)",
            record.backend, record.host, record.executor_id, record.agent_id, record.seen_at,
            record.deadline_at, record.ended_at,
        )  # fmt: skip
        self._do(
            "INSERT OR REPLACE INTO placements VALUES(?, ?, ?)",
            record.executor_id, record.host, record.agent_id,
        )  # fmt: skip

    def host_ended(self, backend: str, host: str, at: float) -> None:
        """The agent of a host was seen to have ended."""
        self._do("UPDATE hosts SET ended_at=? WHERE backend=? AND host=?", at, backend, host)

    def agents_of(self, executor_id: str) -> dict[str, str]:
        """Where an executor's calls may be: the agent that it last used on each host."""
        rows = self._do("SELECT host, agent_id FROM placements WHERE executor_id=?", executor_id)
        return {row[0]: row[1] for row in rows}

    def hosts(self) -> list[HostRecord]:
        """All hosts, the one that was seen last first."""
        return [_host(row) for row in self._do("SELECT * FROM hosts ORDER BY seen_at DESC")]

    def overdue(self, now: float, grace: float) -> list[HostRecord]:
        """Hosts whose agent should have ended ``grace`` seconds ago, and was not seen to have."""
        query = "SELECT * FROM hosts WHERE ended_at IS NULL AND deadline_at + ? <= ?"
        return [_host(row) for row in self._do(query, grace, now)]

    def has_unreleased_jobs(self, host: str) -> bool:
        """Whether a job whose results may be asked for was run on a host."""
        jobs = "SELECT 1 FROM placements JOIN jobs USING(executor_id)"
        return bool(self._do(f"{jobs} WHERE host=? AND released_at IS NULL LIMIT 1", host))

    # -- the rest --

    def forget_old(self, now: float) -> list[str]:
        """Drop what was released, or left alone, long ago; the executors that have no job left."""
        limit = now - _KEPT
        with self._lock:
            self._db.execute("DELETE FROM jobs WHERE coalesce(released_at, created_at) <= ?", (limit,))
            for table in ("progress", "failures"):
                self._db.execute(f"DELETE FROM {table} WHERE job_key NOT IN (SELECT job_key FROM jobs)")
            gone = self._db.execute(
                "SELECT executor_id FROM executors WHERE created_at <= ? AND executor_id NOT IN "
                "(SELECT executor_id FROM jobs UNION SELECT executor_id FROM hosts)",
                (limit,),
            ).fetchall()
            for table in ("executors", "placements"):
                self._db.executemany(f"DELETE FROM {table} WHERE executor_id=?", gone)
        return [row[0] for row in gone]

    def _do(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _executor(row: tuple[Any, ...]) -> ExecutorRecord:
    executor_id, backend, config, pid, created_at, closed_at = row
    return ExecutorRecord(
        executor_id=executor_id, backend=backend, config=json.loads(config), pid=pid,
        created_at=created_at, closed_at=closed_at,
    )  # fmt: skip


def _job(row: tuple[Any, ...]) -> JobRecord:
    key, executor_id, job_id, function_name, total_calls, created_at, ended_at, released_at = row
    return JobRecord(
        job_key=key, executor_id=executor_id, job_id=job_id, function_name=function_name,
        total_calls=total_calls, created_at=created_at, ended_at=ended_at, released_at=released_at,
    )  # fmt: skip


def _host(row: tuple[Any, ...]) -> HostRecord:
    backend, host, executor_id, agent_id, seen_at, deadline_at, ended_at = row
    return HostRecord(
        backend=backend, host=host, executor_id=executor_id, agent_id=agent_id, seen_at=seen_at,
        deadline_at=deadline_at, ended_at=ended_at,
    )  # fmt: skip
