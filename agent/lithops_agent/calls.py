"""The calls that have not ended, as rows of the journal's file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lithops_agent.database import Database
from lithops_agent.records import CallData

_TOGETHER = 500
"""Calls that are looked for in one query; SQLite has a limit."""


class Calls:
    """The table of calls: a job is the number of its row here.

    Whoever uses it has the lock of the database, and a transaction for what changes rows.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, job: int, calls: Iterable[CallData]) -> None:
        """Record calls that are not here."""
        self._db.executemany(
            "INSERT INTO calls(job, number, data, file) VALUES(?, ?, ?, ?)",
            ((job, call.number, call.data, call.file) for call in calls),
        )

    def drop(self, keys: Sequence[tuple[int, int]]) -> tuple[list[bool], list[str]]:
        """Delete calls, by job and number: of each whether it was here (and not named before), and the files
        of their data, which go after the commit."""
        find = "SELECT file FROM calls WHERE job=? AND number=?"
        were_here, files, seen = [], [], set()
        for key in keys:
            row = None if key in seen else self._db.execute(find, key).fetchone()
            seen.add(key)
            were_here.append(row is not None)
            if row is not None and row[0]:
                files.append(row[0])
        self._db.executemany("DELETE FROM calls WHERE job=? AND number=?", keys)
        return were_here, files

    def load(self, job: int, numbers: Sequence[int]) -> list[CallData]:
        """The data of calls, in the order asked for; those that are not here are left out."""
        found: dict[int, CallData] = {}
        for start in range(0, len(numbers), _TOGETHER):
            some = numbers[start : start + _TOGETHER]
            marks = ",".join("?" * len(some))
            query = f"SELECT number, data, file FROM calls WHERE job=? AND number IN ({marks})"
            found.update((row[0], CallData(*row)) for row in self._db.execute(query, (job, *some)))
        return [found[number] for number in numbers if number in found]

    def numbers(self, job: int) -> list[int]:
        """The calls of a job that are here, in ascending order."""
        query = "SELECT number FROM calls WHERE job=? ORDER BY number"
        return [number for (number,) in self._db.execute(query, (job,))]

    def between(self, job: int, low: int, high: int) -> set[int]:
        """Those with a number in a range, both ends included."""
        query = "SELECT number FROM calls WHERE job=? AND number BETWEEN ? AND ?"
        return {number for (number,) in self._db.execute(query, (job, low, high))}

    def files(self, job: int) -> set[str]:
        """The files that have data of a job."""
        query = "SELECT file FROM calls WHERE job=? AND file IS NOT NULL"
        return {file for (file,) in self._db.execute(query, (job,))}

    def jobs(self) -> set[int]:
        """The jobs that have calls here."""
        return {job for (job,) in self._db.execute("SELECT DISTINCT job FROM calls")}
