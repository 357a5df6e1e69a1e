"""What must survive the agent: jobs, the calls that have not ended, and the results of those that
have, until their job is released.

One SQLite file in WAL mode, and a folder beside it for what is large. A call is here before it is
acknowledged, and its row goes in the transaction that records its result, so a result exists once. The
file is synced by the kernel: it survives the death of the agent at any instruction. (After a power cut
the machine's work is lost, and the coordinator, which keeps the data of each call until its result
arrives, has it run elsewhere.)

A file is written before the row that names it, and deleted after it: what no row names is left over from
a moment at which the agent was killed, and goes at the next start.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lithops_agent.ballast import Ballast
from lithops_agent.calls import Calls
from lithops_agent.database import Database
from lithops_agent.instants import Instant, SystemClock
from lithops_agent.leftovers import delete_leftovers, delete_unused, unlink_all
from lithops_agent.notes import count_interrupted, delete_notes, interrupted_calls, note_path
from lithops_agent.protocol import JobSpec, Part
from lithops_agent.records import CallData, Ended, Interrupted, Page, UnknownJob
from lithops_agent.results import Results
from lithops_agent.tidying import Tidying

__all__ = ["CallData", "Ended", "Interrupted", "Journal", "Page", "UnknownJob"]

_ABANDONED = 7 * 24 * 3600.0
"""Seconds after its last result that a job is kept whose results nobody has collected."""
_TOUCH = 60.0
"""How exact, in seconds, the moment of the last result is known."""
_SCAN = 20_000
"""Numbers of calls that are looked up at a time."""


class _Job(NamedTuple):
    row: int
    session: int
    spec: JobSpec


class Journal:
    """The journal of one agent. Thread-safe; no method but `tidy` takes longer for what others keep here.

    What concerns a job that is not known raises UnknownJob. What can't be written because the disk is full
    raises OSError with ENOSPC, and changes nothing; before results and releases do so, space that was kept
    for them is used up, and from then on no more jobs and calls are taken.
    """

    def __init__(self, folder: Path, now: Callable[[], Instant] | None = None) -> None:
        self._folder = folder
        for name in ("blobs", "modules", "jobs", "logs", "notes"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._now = now or SystemClock().now
        self._lock = threading.RLock()
        self._ballast = Ballast(folder / "ballast")
        self._db = Database(folder / "journal.db")
        self._calls = Calls(self._db)
        self._results = Results(self._db)
        self._tidying = Tidying(folder / "jobs", self._db, self._lock, self._ballast)
        self._jobs: dict[str, _Job] = {}
        self._names: dict[int, str] = {}
        self._touched: dict[int, Instant] = {}
        self._empty: set[int] = set()
        """Jobs that have had no calls yet."""
        for row, job, session, spec in self._db.execute(
            "SELECT id, job, session, spec FROM jobs ORDER BY id"
        ):
            self._know(job, _Job(row, session, JobSpec.from_json(json.loads(spec))))
        delete_leftovers(folder, self._files_of, self._names)

    def _know(self, name: str, job: _Job) -> None:
        self._jobs[name] = job
        self._names[job.row] = name

    def _files_of(self, row: int) -> set[str]:
        return self._calls.files(row) | self._results.files(row)

    # -- blobs and folders --

    def blob_path(self, sha256: str) -> Path:
        """Where a blob is, or would be."""
        return self._folder / "blobs" / sha256

    def modules_path(self, sha256: str) -> Path:
        """The folder into which an archive of modules is unpacked."""
        return self._folder / "modules" / sha256

    def job_folder(self, job: str) -> Path:
        """The folder for the large data and results of one job; whoever writes there makes it."""
        return self._folder / "jobs" / str(self._known(job).row)

    def log_path(self, worker: int) -> Path:
        """What a worker prints, for as long as it lives."""
        return self._folder / "logs" / str(worker)

    def note_path(self, worker: int, job: str) -> Path:
        """Where a worker notes which calls it has begun."""
        return note_path(self._folder / "notes", worker, self._known(job).row)

    def refuse_when_full(self) -> None:
        """Raise OSError with ENOSPC when nothing new can be taken, because the disk is full."""
        self._ballast.refuse_when_spent()

    # -- jobs and calls --

    def add_job(self, spec: JobSpec) -> None:
        """Record a job; recording it again changes nothing."""
        with self._lock:
            if spec.job in self._jobs:
                return
            self._ballast.refuse_when_spent()
            now = self._now()
            with self._db.transaction():
                session = self._session(spec.session)
                if session < 0:
                    self._db.execute("INSERT INTO sessions(session) VALUES(?)", (spec.session,))
                    session = self._session(spec.session)
                cursor = self._db.execute(
                    "INSERT INTO jobs(job, session, spec, touched) VALUES(?, ?, ?, ?)",
                    (spec.job, session, json.dumps(spec.to_json()), json.dumps(now.to_json())),
                )
            row = int(cursor.lastrowid or 0)
            self._know(spec.job, _Job(row, session, spec))
            self._touched[row] = now
            self._empty.add(row)

    def _session(self, session: str) -> int:
        found = self._db.execute("SELECT id FROM sessions WHERE session=?", (session,)).fetchone()
        return int(found[0]) if found else -1

    def spec(self, job: str) -> JobSpec | None:
        """The job as it was submitted, None when it is not known (any more)."""
        found = self._jobs.get(job)
        return found.spec if found else None

    def specs(self) -> list[JobSpec]:
        """All jobs, the oldest first."""
        with self._lock:
            return [job.spec for job in self._jobs.values()]

    def _known(self, job: str) -> _Job:
        found = self._jobs.get(job)
        if found is None:
            raise UnknownJob(job)
        return found

    def _row(self, job: str) -> int:
        """The row of a job; one that nothing belongs to when it is not known."""
        found = self._jobs.get(job)
        return -1 if found is None else found.row

    def add_calls(self, job: str, calls: Sequence[CallData]) -> list[int]:
        """Record calls; the numbers of those that were not here before, with or without a result.

        The files of the others are deleted: they are second copies. So are all when it fails.
        """
        fresh: dict[int, CallData] = {}
        try:
            with self._lock, self._db.transaction():
                row = self._known(job).row
                numbers = [call.number for call in calls]
                new = set(numbers) if row in self._empty else self._not_yet_here(row, numbers)
                for call in calls:
                    if call.number in new:
                        fresh.setdefault(call.number, call)
                if fresh:
                    self._ballast.refuse_when_spent()
                    self._touch(row)
                self._calls.add(row, fresh.values())
                self._empty.discard(row)
        except BaseException:
            fresh.clear()
            raise
        finally:
            unlink_all(call.file for call in calls if call.file and fresh.get(call.number) is not call)
        return list(fresh)

    def _not_yet_here(self, row: int, numbers: list[int]) -> set[int]:
        low, high = min(numbers, default=0), max(numbers, default=-1)
        return set(numbers) - self._calls.between(row, low, high) - self._results.between(row, low, high)

    def _touch(self, row: int) -> None:
        """Something happened to a job: its results are not yet abandoned."""
        now = self._now()
        before = self._touched.get(row)
        if before is None or before.age(now) >= _TOUCH:
            self._db.execute("UPDATE jobs SET touched=? WHERE id=?", (json.dumps(now.to_json()), row))
            self._touched[row] = now

    def load_calls(self, job: str, numbers: Sequence[int]) -> list[CallData]:
        """The data of calls, in the order asked for; those that have ended are left out."""
        with self._lock:
            return self._calls.load(self._known(job).row, numbers)

    def forget_calls(self, job: str, numbers: Iterable[int]) -> None:
        """Give calls away: they are no longer this agent's."""
        given = list(numbers)
        with self._lock:
            dropped = self._ballast.spend_on(lambda: self._forget(self._known(job).row, given))
        unlink_all(dropped)

    def _forget(self, row: int, numbers: list[int]) -> list[str]:
        with self._db.transaction():
            return self._calls.drop([(row, number) for number in numbers])[1]

    def unfinished(self) -> list[tuple[JobSpec, list[int]]]:
        """Every job with calls that have no result, for a start after a stop; the oldest job first."""
        with self._lock:
            found = [(job.spec, self._calls.numbers(job.row)) for job in self._jobs.values()]
        return [(spec, numbers) for spec, numbers in found if numbers]

    def interrupted(self) -> dict[str, dict[int, Interrupted]]:
        """The calls without a result that were begun when an agent ended, by job and number."""
        with self._lock:
            return interrupted_calls(self._db, self._names)

    def agent_ended(self, is_crash: bool) -> None:
        """All workers are gone: count that for the calls which they had begun, by their notes."""
        folder = self._folder / "notes"
        try:
            with self._lock:
                self._ballast.spend_on(lambda: count_interrupted(self._db, folder, is_crash))
        finally:
            delete_notes(folder)

    # -- results --

    def record(self, ended: Sequence[Ended]) -> None:
        """Record how calls ended; a call that has ended before keeps its first result."""
        with self._lock:
            files = self._ballast.spend_on(lambda: self._record(ended))
        unlink_all(files)

    def _record(self, ended: Sequence[Ended]) -> list[str]:
        """The files that are not needed any more: data, and second results."""
        rows = [(self._jobs[e.job], e) for e in ended if e.job in self._jobs]
        with self._db.transaction():
            had_none, files = self._calls.drop([(job.row, e.number) for job, e in rows])
            self._results.add((job.row, job.session, e) for (job, e), first in zip(rows, had_none) if first)
            for row in {job.row for job, _ in rows}:
                self._touch(row)
        return files + [
            e.file
            for (job, e), first in zip(rows, had_none)
            if not first and e.file and e.file != self._results.file_of(job.row, e.number)
        ]

    def results(self, session: str, after: int, limit: int) -> Page:
        """Results of a session with a larger sequence number, up to about ``limit`` bytes."""
        page = Page(after, [], [], [])
        while True:
            with self._lock:
                page, is_end = self._results.page(self._session(session), page.cursor, limit, self._names)
            # Rows of jobs that were released may be in the way; others have their turn meanwhile.
            if page.records or is_end:
                return page

    def printed(self, job: str, after: int, limit: int) -> tuple[int, list[Part]]:
        """What ended calls of a job printed, after a cursor and up to about ``limit`` bytes; and the next
        cursor. Nothing of an unknown job."""
        with self._lock:
            return self._results.printed(self._row(job), job, after, limit)

    def result_file(self, seq: int) -> tuple[str, int] | None:
        """Path and size of a body that is kept in a file."""
        with self._lock:
            return self._results.file(seq)

    def numbers_of(self, job: str) -> list[int]:
        """The calls of a job that are here, or their results, in ascending order; none of an unknown job."""
        each = "SELECT number FROM {} WHERE job=? AND number>?"
        both = f"{each.format('calls')} UNION {each.format('results')} ORDER BY 1 LIMIT {_SCAN}"
        numbers: list[int] = []
        while True:
            with self._lock:
                row = self._row(job)
                last = numbers[-1] if numbers else -1
                more = [number for (number,) in self._db.execute(both, (row, last, row, last))]
            numbers += more
            if len(more) < _SCAN:
                return numbers

    def results_of(self, job: str) -> tuple[int, int]:
        """How many calls of a job have ended, and the bytes of their results; none of an unknown job."""
        with self._lock:
            return self._results.total(self._row(job))

    # -- what goes --

    def release(self, jobs: Iterable[str]) -> None:
        """Forget jobs; `tidy` deletes what belongs to them.

        Jobs that functions submitted from here go with the last of the jobs from outside.
        """
        with self._lock:
            known = {name: self._jobs[name] for name in jobs if name in self._jobs}
            known.update(self._left_behind(known))
            if known:
                self._ballast.spend_on(lambda: self._release(list(known.values())))
            for name, job in known.items():
                del self._jobs[name], self._names[job.row]
                self._touched.pop(job.row, None)
                self._empty.discard(job.row)

    def _release(self, jobs: list[_Job]) -> None:
        with self._db.transaction():
            self._db.executemany("INSERT INTO garbage VALUES(?)", [(job.row,) for job in jobs])
            self._db.executemany("DELETE FROM jobs WHERE id=?", [(job.row,) for job in jobs])
            self._db.executemany(
                "DELETE FROM sessions WHERE id=? AND NOT EXISTS(SELECT 1 FROM jobs WHERE session=?)",
                {(job.session, job.session) for job in jobs},
            )

    def _left_behind(self, going: Mapping[str, _Job]) -> dict[str, _Job]:
        """Jobs of functions that have ended, when no job from outside is left whose results may name them."""
        if any(job.spec.depth == 0 for name, job in self._jobs.items() if name not in going):
            return {}
        unfinished = self._calls.jobs()
        return {name: job for name, job in self._jobs.items() if job.row not in unfinished}

    def release_abandoned(self) -> None:
        """Forget jobs all of whose results have been here for so long that nobody will come for them."""
        query = "SELECT job, touched FROM jobs WHERE NOT EXISTS(SELECT 1 FROM calls WHERE calls.job=jobs.id)"
        with self._lock:
            now = self._now()
            self.release(
                [
                    job
                    for job, touched in self._db.execute(query).fetchall()
                    if Instant.from_json(json.loads(touched)).age(now) > _ABANDONED
                ]
            )

    def drop_blobs(self, older_than: float) -> None:
        """Delete the blobs, and modules unpacked from them, that no job uses and that are older."""
        with self._lock:
            used = {blob for job in self._jobs.values() for blob in job.spec.blobs()}
            for name in ("blobs", "modules"):
                delete_unused(self._folder / name, used, older_than)

    def tidy(self) -> bool:
        """One small step towards less space on the disk; whether another one is worth while at once."""
        return self._tidying.step()

    # -- the rest --

    def fact(self, name: str) -> str | None:
        """A small value that was kept with `keep_fact`."""
        with self._lock:
            return self._db.fact(name)

    def keep_fact(self, name: str, value: str) -> None:
        """Keep a small value over restarts."""
        with self._lock:
            self._ballast.spend_on(lambda: self._db.keep_fact(name, value))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
