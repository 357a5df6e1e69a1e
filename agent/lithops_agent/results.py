"""How calls have ended, as rows of the journal's file, in the order in which they did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lithops_agent.database import Database
from lithops_agent.printed import Printed
from lithops_agent.protocol import RESULT, Part
from lithops_agent.records import Ended, Page, pack_record

_SCAN = 20_000
"""Rows that are looked through at a time."""


class Results:
    """The tables of results and of what calls have printed: jobs and sessions are the numbers of their rows.

    Whoever uses it has the lock of the database, and a transaction for what changes rows.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, results: Iterable[tuple[int, int, Ended]]) -> None:
        """Record results of calls that have none yet, each with its job and session."""
        printed: list[tuple[int, int, Printed]] = []
        rows = []
        for job, session, e in results:
            rows.append((job, e.number, session, e.status, e.stats, e.size, e.body, e.file))
            if e.printed is not None:
                printed.append((job, e.number, e.printed))
        self._db.executemany(
            "INSERT INTO results(job, number, session, status, stats, size, body, file) "
            "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        for job, number, text in printed:
            self._db.execute(
                "INSERT INTO printed SELECT seq, job, number, ?, ? FROM results WHERE job=? AND number=?",
                (text.begins, text.text, job, number),
            )

    def page(self, session: int, after: int, limit: int, names: Mapping[int, str]) -> tuple[Page, bool]:
        """The results of a session after a cursor, up to about ``limit`` bytes; and whether these are all.

        ``names`` are those of the jobs that there are. Results of others, which were released, may be in the
        way: then a page ends early, even without a result, so that it never takes long.
        """
        jobs: dict[int, int] = {}
        records, bodies, size, cursor, seen, is_end = [], [], 0, after, 0, True
        spoken: list[Part] = []
        rows = self._db.execute(
            "SELECT results.seq, results.job, results.number, status, stats, size, body, file IS NOT NULL, "
            "begins, text FROM results LEFT JOIN printed ON printed.seq=results.seq "
            "WHERE session=? AND results.seq>? ORDER BY results.seq",
            (session, after),
        )
        for seq, job, number, status, stats, length, body, apart, begins, text in rows:
            cursor, seen = seq, seen + 1
            if job in names:
                index = jobs.setdefault(job, len(jobs))
                records.append(pack_record(seq, index, number, status, apart, length) + stats)
                if not apart:
                    bodies.append(body)
                    size += length
                if text is not None:
                    spoken.append(Part(names[job], number, begins, text))
                    size += len(text)
                size += RESULT.size
            if size >= limit or (not records and seen >= _SCAN):
                is_end = False
                break
        rows.close()
        return Page(cursor, [names[job] for job in jobs], records, bodies, spoken), is_end

    def printed(self, job: int, name: str, after: int, limit: int) -> tuple[int, list[Part]]:
        """What ended calls of a job of this name printed, after a cursor and up to about ``limit`` bytes; and
        the next cursor."""
        found: list[Part] = []
        size = 0
        query = "SELECT seq, number, begins, text FROM printed WHERE job=? AND seq>? ORDER BY seq"
        rows = self._db.execute(query, (job, after))
        for seq, number, begins, text in rows:
            after = seq
            found.append(Part(name, number, begins, text))
            size += len(text)
            if size >= limit:
                break
        rows.close()
        return after, found

    def between(self, job: int, low: int, high: int) -> set[int]:
        """The calls of a job with a number in a range, both ends included, that have a result."""
        query = "SELECT number FROM results WHERE job=? AND number BETWEEN ? AND ?"
        return {number for (number,) in self._db.execute(query, (job, low, high))}

    def file(self, seq: int) -> tuple[str, int] | None:
        """Path and size of a body that is kept in a file."""
        query = "SELECT file, size FROM results WHERE seq=? AND file IS NOT NULL"
        row = self._db.execute(query, (seq,)).fetchone()
        return (row[0], row[1]) if row else None

    def files(self, job: int) -> set[str]:
        """The files that have results of a job."""
        query = "SELECT file FROM results WHERE job=? AND file IS NOT NULL"
        return {file for (file,) in self._db.execute(query, (job,))}

    def file_of(self, job: int, number: int) -> str | None:
        """The file that has the result of a call; None when it has none, or no result."""
        query = "SELECT file FROM results WHERE job=? AND number=?"
        row = self._db.execute(query, (job, number)).fetchone()
        return row[0] if row else None

    def total(self, job: int) -> tuple[int, int]:
        """How many calls of a job have ended, and the bytes of their results."""
        query = "SELECT count(*), coalesce(sum(size), 0) FROM results WHERE job=?"
        count, size = self._db.execute(query, (job,)).fetchone()
        return int(count), int(size)
