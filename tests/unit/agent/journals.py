"""Jobs, calls and results for the tests of the journal."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from lithops_agent.journal import CallData, Ended, Journal
from lithops_agent.protocol import STATS, JobSpec, ResultRecord, Status, parse_results
from tests.unit.agent.messages import SPEC

STATS_BYTES = bytes(8 * len(STATS))
LIMIT = 1 << 20


def job(name: str = "a", session: str = "s", **changes: Any) -> JobSpec:
    return dataclasses.replace(SPEC, job=name, session=session, **{"depth": 0, **changes})


def small(number: int, data: bytes = b"data") -> CallData:
    return CallData(number, data, None)


def large(journal: Journal, name: str, number: int, copy: str = "") -> CallData:
    """A call whose data is in a file."""
    path = journal.job_folder(name) / f"data-{number}{copy}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"large data")
    return CallData(number, None, str(path))


def ended(number: int, body: bytes = b"result", name: str = "a", status: int = Status.SUCCESS) -> Ended:
    return Ended(name, number, status, STATS_BYTES, len(body), body, None)


def ended_large(journal: Journal, number: int, name: str = "a") -> Ended:
    path = journal.job_folder(name) / f"result-{number}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"large result")
    return Ended(name, number, Status.SUCCESS, STATS_BYTES, 12, None, str(path))


def results(journal: Journal, session: str = "s", after: int = 0, limit: int = LIMIT) -> list[ResultRecord]:
    page = journal.results(session, after, limit)
    header = {"jobs": page.jobs, "count": len(page.records)}
    return list(parse_results(header, b"".join([*page.records, *page.bodies])))


def numbers(journal: Journal, session: str = "s") -> list[int]:
    return [record.number for record in results(journal, session)]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "jobs").rglob("*") if path.is_file())


def tidy(journal: Journal) -> int:
    """Do all that there is to do for less space; the number of steps."""
    steps = 1
    while journal.tidy():
        steps += 1
    return steps


def rows(journal: Journal) -> int:
    """How many rows of jobs, or of anything in them, there are."""
    tables = ("jobs", "calls", "results", "garbage", "sessions")
    counts = (journal._db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables)
    return sum(int(count) for (count,) in counts)
