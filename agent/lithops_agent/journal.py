"""What must survive the agent: jobs, the calls that have not ended, and the results not yet acknowledged.

One SQLite file in WAL mode, and a folder beside it for what is large. A call is here before it is
acknowledged, and its row goes in the transaction that records its result, so a result exists once. The
file is synced by the kernel: it survives the death of the agent at any instruction. (After a power cut
the machine's work is lost, and the coordinator, which keeps the data of each call until its result
arrives, has it run elsewhere.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lithops_agent.protocol import RESULT, JobSpec

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs(
    id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT UNIQUE NOT NULL,
    session TEXT NOT NULL, spec TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_by_session ON jobs(session);
CREATE TABLE IF NOT EXISTS calls(
    job INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB, file TEXT,
    PRIMARY KEY(job, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL, number INTEGER NOT NULL,
    session TEXT NOT NULL, status INTEGER NOT NULL, stats BLOB NOT NULL, size INTEGER NOT NULL,
    body BLOB, file TEXT);
CREATE INDEX IF NOT EXISTS results_by_session ON results(session, seq);
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_RECORD_HEAD = struct.Struct("<QIIBBQ").pack
"""The head of a RESULT structure; the packed STATS follow it."""


class UnknownJob(KeyError):
    """A job that this agent was never told of, or that was released."""

    def __str__(self) -> str:
        return f"unknown job {self.args[0]}"


class Ended(NamedTuple):
    """How one call ended: ``stats`` are packed doubles, ``file`` the path of a body that is not inline."""

    job: str
    number: int
    status: int
    stats: bytes
    size: int
    body: bytes | None
    file: str | None


class CallData(NamedTuple):
    """A call to be journalled: its data, or the path of the file they are in."""

    number: int
    data: bytes | None
    file: str | None


@dataclasses.dataclass(frozen=True)
class Page:
    """Results of a session, from a cursor on."""

    cursor: int
    jobs: list[str]
    records: list[bytes]
    bodies: list[bytes]


class Journal:
    """The journal of one agent. Thread-safe.

    What concerns a job that is not known raises UnknownJob. What can't be written because the disk is full
    raises OSError with ENOSPC, and changes nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("blobs", "modules", "jobs", "logs"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            folder / "journal.db", check_same_thread=False, isolation_level=None, cached_statements=64
        )
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=4000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._specs: dict[str, tuple[int, JobSpec]] = {}
        for row, job, spec in self._db.execute("SELECT id, job, spec FROM jobs"):
            self._specs[job] = (row, JobSpec.from_json(json.loads(spec)))
        self._delete_leftovers()

    def _delete_leftovers(self) -> None:
        """Delete the folders of jobs that were released at the moment when an earlier agent ended."""
        known = {str(row) for row, _ in self._specs.values()}
        for folder in (self._folder / "jobs").iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    # -- blobs and folders --

    def blob_path(self, sha256: str) -> Path:
        """Where a blob is, or would be."""
        return self._folder / "blobs" / sha256

    def modules_path(self, sha256: str) -> Path:
        """The folder into which an archive of modules is unpacked."""
        return self._folder / "modules" / sha256

    def job_folder(self, job: str) -> Path:
        """The folder for the large data and results of one job; whoever writes there makes it."""
        return self._folder / "jobs" / str(self._row(job))

    def log_path(self, worker: int) -> Path:
        """What a worker prints, for as long as it lives."""
        return self._folder / "logs" / str(worker)

    # -- jobs and calls --

    def add_job(self, spec: JobSpec) -> None:
        """Record a job; recording it again changes nothing."""
        with self._lock:
            if spec.job in self._specs:
                return
            with self._transaction():
                cursor = self._db.execute(
                    "INSERT INTO jobs(job, session, spec) VALUES(?, ?, ?)",
                    (spec.job, spec.session, json.dumps(spec.to_json())),
                )
            self._specs[spec.job] = (int(cursor.lastrowid or 0), spec)

    def spec(self, job: str) -> JobSpec | None:
        """The job as it was submitted, None when it is not known (any more)."""
        found = self._specs.get(job)
        return found[1] if found else None

    def _row(self, job: str) -> int:
        found = self._specs.get(job)
        if found is None:
            raise UnknownJob(job)
        return found[0]

    def add_calls(self, job: str, calls: Sequence[CallData]) -> list[int]:
        """Record calls; the numbers of those that were not here before, with or without a result.

        The files of those that were here before are deleted: they are second copies.
        """
        fresh: dict[int, CallData] = {}
        with self._lock, self._transaction():
            row = self._row(job)
            new = self._not_yet_here(row, [call.number for call in calls])
            for call in calls:
                if call.number in new:
                    fresh.setdefault(call.number, call)
            self._db.executemany(
                "INSERT INTO calls VALUES(?, ?, ?, ?)",
                ((row, call.number, call.data, call.file) for call in fresh.values()),
            )
        for call in calls:
            if call.file is not None and fresh.get(call.number) is not call:
                _unlink(call.file)
        return list(fresh)

    def _not_yet_here(self, row: int, numbers: list[int]) -> set[int]:
        low, high = min(numbers, default=0), max(numbers, default=-1)
        here = "SELECT number FROM {} WHERE job=? AND number BETWEEN ? AND ?"
        known = {n for (n,) in self._db.execute(here.format("calls"), (row, low, high))}
        known.update(n for (n,) in self._db.execute(here.format("results"), (row, low, high)))
        return set(numbers) - known

    def load_calls(self, job: str, numbers: Sequence[int]) -> list[CallData]:
        """The data of calls, in the order asked for; those that have ended are left out."""
        found: dict[int, CallData] = {}
        with self._lock:
            row = self._row(job)
            for start in range(0, len(numbers), 500):
                some = numbers[start : start + 500]
                marks = ",".join("?" * len(some))
                query = f"SELECT number, data, file FROM calls WHERE job=? AND number IN ({marks})"
                found.update((r[0], CallData(*r)) for r in self._db.execute(query, (row, *some)))
        return [found[number] for number in numbers if number in found]

    def forget_calls(self, job: str, numbers: Iterable[int]) -> None:
        """Give calls away: they are no longer this agent's."""
        with self._lock:
            with self._transaction():
                row = self._row(job)
                dropped = self._drop_call_rows([(row, number) for number in numbers])
            _unlink_data(dropped)

    def unfinished(self) -> list[tuple[JobSpec, list[int]]]:
        """Every job with calls that have no result, for a start after a stop."""
        with self._lock:
            return [
                (spec, numbers)
                for row, spec in self._specs.values()
                if (
                    numbers := [
                        n for (n,) in self._db.execute("SELECT number FROM calls WHERE job=?", (row,))
                    ]
                )
            ]

    # -- results --

    def record(self, ended: Sequence[Ended]) -> None:
        """Record how calls ended; a call that has ended before keeps its first result."""
        with self._lock:
            rows = [(*self._specs[e.job], e) for e in ended if e.job in self._specs]
            with self._transaction():
                dropped = self._drop_call_rows([(row, e.number) for row, _, e in rows])
                self._db.executemany(
                    "INSERT INTO results(job, number, session, status, stats, size, body, file) "
                    "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        (row, e.number, spec.session, e.status, e.stats, e.size, e.body, e.file)
                        for (row, spec, e), was_there in zip(rows, dropped)
                        if was_there is not None
                    ),
                )
            _unlink_data(dropped)

    def _drop_call_rows(self, keys: Sequence[tuple[int, int]]) -> list[tuple[str | None] | None]:
        """Delete calls: for each that was there, the file of its data, which goes after the commit."""
        find = "SELECT file FROM calls WHERE job=? AND number=?"
        found, seen = [], set()
        for key in keys:
            found.append(None if key in seen else self._db.execute(find, key).fetchone())
            seen.add(key)
        self._db.executemany("DELETE FROM calls WHERE job=? AND number=?", keys)
        return found

    def results(self, session: str, after: int, limit: int) -> Page:
        """Results of a session with a larger sequence number, up to about ``limit`` bytes."""
        jobs: dict[int, int] = {}
        records, bodies, size, cursor = [], [], 0, after
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, job, number, status, stats, size, body, file IS NOT NULL FROM results "
                "WHERE session=? AND seq>? ORDER BY seq",
                (session, after),
            )
            for seq, job, number, status, stats, length, body, apart in rows:
                index = jobs.setdefault(job, len(jobs))
                records.append(_RECORD_HEAD(seq, index, number, status, apart, length) + stats)
                if not apart:
                    bodies.append(body)
                    size += length
                size += RESULT.size
                cursor = seq
                if size >= limit:
                    break
            rows.close()
            names = {row: job for job, (row, _) in self._specs.items() if row in jobs} if jobs else {}
        return Page(cursor, [names.get(row, "") for row in jobs], records, bodies)

    def result_file(self, seq: int) -> tuple[str, int] | None:
        """Path and size of a body that is kept in a file."""
        with self._lock:
            row = self._db.execute(
                "SELECT file, size FROM results WHERE seq=? AND file IS NOT NULL", (seq,)
            ).fetchone()
        return (row[0], row[1]) if row else None

    def acknowledge(self, session: str, upto: int) -> None:
        """The coordinator has these results: forget them."""
        condition = "FROM results WHERE session=? AND seq<=?"
        with self._lock, self._transaction():
            files = self._db.execute(
                f"SELECT file {condition} AND file IS NOT NULL", (session, upto)
            ).fetchall()
            self._db.execute(f"DELETE {condition}", (session, upto))
        for (file,) in files:
            _unlink(file)

    def release(self, jobs: Iterable[str]) -> None:
        """Forget jobs, and delete all that belongs to them and to nobody else."""
        with self._lock:
            for job in jobs:
                found = self._specs.get(job)
                if found is None:
                    continue
                with self._transaction():
                    for statement in (
                        "DELETE FROM calls WHERE job=?",
                        "DELETE FROM results WHERE job=?",
                        "DELETE FROM jobs WHERE id=?",
                    ):
                        self._db.execute(statement, (found[0],))
                del self._specs[job]
                shutil.rmtree(self._folder / "jobs" / str(found[0]), ignore_errors=True)

    def drop_blobs(self, older_than: float) -> None:
        """Delete the blobs, and modules unpacked from them, that no job uses and that are older."""
        with self._lock:
            used = {blob for _, spec in self._specs.values() for blob in spec.blobs()}
            for folder in ("blobs", "modules"):
                for path in (self._folder / folder).iterdir():
                    if path.name not in used and _modified_before(path, older_than):
                        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else _unlink(str(path))

    # -- the rest --

    def fact(self, name: str) -> str | None:
        """A small value that was kept with `keep_fact`."""
        with self._lock:
            row = self._db.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return row[0] if row else None

    def keep_fact(self, name: str, value: str) -> None:
        """Keep a small value over restarts."""
        with self._lock, self._transaction():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES(?, ?)", (name, value))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """COMMIT at the end, or ROLLBACK when the block raised or the commit failed."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as exc:
            # SQLite has rolled back by itself after some of its errors.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(exc, sqlite3.OperationalError) and self._is_full(exc):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder)) from exc
            raise

    def _is_full(self, exc: sqlite3.OperationalError) -> bool:
        # The index of the write-ahead log, when it can't grow, is an I/O error like any other.
        return "full" in str(exc) or ("I/O" in str(exc) and os.statvfs(self._folder).f_bavail == 0)


def _unlink_data(dropped: Iterable[tuple[str | None] | None]) -> None:
    for row in dropped:
        if row is not None and row[0]:
            _unlink(row[0])


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # It was deleted before.


def _modified_before(path: Path, instant: float) -> bool:
    try:
        return path.stat().st_mtime < instant
    except FileNotFoundError:
        return False  # It was received completely at this moment, and has its final name now.
