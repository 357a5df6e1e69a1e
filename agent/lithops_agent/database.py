"""The SQLite file of the journal: how it is opened, changed, and kept small."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

_FORMAT = 1
"""The user_version of a file with this schema."""
_SCHEMA = """
CREATE TABLE sessions(id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT UNIQUE NOT NULL);
CREATE TABLE jobs(
    id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT UNIQUE NOT NULL,
    session INTEGER NOT NULL, spec TEXT NOT NULL, touched TEXT NOT NULL);
CREATE TABLE calls(
    job INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB, file TEXT,
    attempt INTEGER NOT NULL DEFAULT 1, crashes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY(job, number)) WITHOUT ROWID;
CREATE TABLE results(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL, number INTEGER NOT NULL,
    session INTEGER NOT NULL, status INTEGER NOT NULL, stats BLOB NOT NULL, size INTEGER NOT NULL,
    body BLOB, file TEXT);
CREATE INDEX jobs_by_session ON jobs(session);
CREATE INDEX results_by_session ON results(session);
CREATE INDEX results_by_job ON results(job, number);
CREATE TABLE garbage(job INTEGER PRIMARY KEY);
CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_LATER = """
CREATE TABLE IF NOT EXISTS printed(
    seq INTEGER PRIMARY KEY, job INTEGER NOT NULL, number INTEGER NOT NULL, begins INTEGER NOT NULL,
    text BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS printed_by_job ON printed(job, seq);
"""
"""What came after the first release, and is added to its files. ``printed`` has the sequence number of the
result of the call that printed it."""
_PRAGMAS = (
    "auto_vacuum=INCREMENTAL",  # Has to come before the first table.
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "secure_delete=OFF",  # Debian's default overwrites what is deleted, which makes it twice as slow.
    "wal_autocheckpoint=4000",
)
_SPARE_PAGES = 1000
"""Free pages that may stay in the file: the next job needs them."""
_VACUUM_PAGES = 500
"""Pages that are given back at a time."""
_SPARE_LOG = 1024 * 1024
"""Bytes that the write-ahead log may have while nothing happens."""
_LONG_LOG = 4 * _SPARE_LOG
"""Bytes of the log from which on it is worth a checkpoint while requests come."""


class Database:
    """A connection for one thread at a time; whoever shares it has a lock.

    What can't be written because the disk is full raises OSError with ENOSPC, and changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._db = self._connect()
        if (
            self._value("user_version") != _FORMAT
            and self._db.execute("SELECT 1 FROM sqlite_master").fetchone()
        ):
            # No release had another format than this one.
            self._db.close()
            for each in path.parent.glob(f"{path.name}*"):
                each.unlink()
            self._db = self._connect()
        if self._value("user_version") != _FORMAT:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_FORMAT}; COMMIT;")
        self._db.executescript(_LATER)
        self._checkpoints = self._connect()
        self.execute = self._db.execute
        self.executemany = self._db.executemany

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, cached_statements=64)
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        return db

    def _value(self, pragma: str) -> int:
        return int(self._db.execute(f"PRAGMA {pragma}").fetchone()[0])

    def changes(self) -> int:
        """How many rows were changed so far."""
        return self._db.total_changes

    def close(self) -> None:
        """Close the file."""
        self._checkpoints.close()
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """COMMIT at the end, or ROLLBACK when the block raised or the commit failed."""
        with self._guarded():
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except BaseException as exc:
            # SQLite has rolled back by itself after some of its errors.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(exc, sqlite3.OperationalError) and self._is_full(exc):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path.parent)) from exc
            raise

    def _is_full(self, exc: sqlite3.OperationalError) -> bool:
        # The index of the write-ahead log, when it can't grow, is an I/O error like any other.
        return "full" in str(exc) or ("I/O" in str(exc) and os.statvfs(self._path.parent).f_bavail == 0)

    def fact(self, name: str) -> str | None:
        """A small value that was kept with `keep_fact`."""
        row = self._db.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return row[0] if row else None

    def keep_fact(self, name: str, value: str) -> None:
        """Keep a small value; keeping it again takes no space."""
        if self.fact(name) != value:
            with self.transaction():
                self._db.execute("INSERT OR REPLACE INTO facts VALUES(?, ?)", (name, value))

    # -- keeping it small --

    def vacuum(self) -> bool:
        """Give some free pages back to the file system; whether there are more."""
        if self._value("freelist_count") <= _SPARE_PAGES:
            return False
        with self._guarded():
            # A script, since `execute` stops at the first page.
            self._db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        return True

    def checkpoint(self, is_quiet: bool) -> bool:
        """Copy the write-ahead log to where it belongs, if it is long; whether `cut_log` can follow.

        Has a connection of its own: no lock is needed, and nobody waits for the disk meanwhile.
        """
        size = self._log.stat().st_size if self._log.exists() else 0
        if size <= (_SPARE_LOG if is_quiet else _LONG_LOG):
            return False
        try:
            busy, pages, copied = self._checkpoints.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.OperationalError:
            return False  # The disk is full, as its own transactions will be told.
        return not busy and pages == copied

    def cut_log(self) -> None:
        """Make the log, all of which was copied, an empty file again."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
