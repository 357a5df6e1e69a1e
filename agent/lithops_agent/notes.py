"""What workers note of the calls that they begin, as the agent reads it when it was killed meanwhile.

Each worker has a small file of its own, a ring of entries, and overwrites the oldest one: so many calls that
it may have ended and whose results were not yet recorded. A call that has a result in the journal has no
row there, so an entry needs not be deleted when its call has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lithops_agent.database import Database
from lithops_agent.leftovers import unlink
from lithops_agent.records import Interrupted
from lithops_agent.worker_protocol import NOTE


def note_path(folder: Path, worker: int, row: int) -> Path:
    """The file of a worker for the job of this row."""
    return folder / f"{worker}-{row}"


def delete_notes(folder: Path) -> None:
    """They were read, or are of no use."""
    for path in folder.iterdir():
        unlink(str(path))


def count_interrupted(db: Database, folder: Path, is_crash: bool) -> None:
    """Count for each call that was begun, and has no result, that the agent ended meanwhile."""
    rows = [(attempt + 1, int(is_crash), row, number) for (row, number), attempt in _begun(folder).items()]
    with db.transaction():
        db.executemany(
            "UPDATE calls SET attempt=max(attempt, ?), crashes=crashes+? WHERE job=? AND number=?", rows
        )


def _begun(folder: Path) -> Mapping[tuple[int, int], int]:
    """The attempts of calls that were begun, by row of the job and number."""
    begun: dict[tuple[int, int], int] = {}
    for row, number, attempt in _entries(folder):
        begun[row, number] = max(attempt, begun.get((row, number), 0))
    return begun


def _entries(folder: Path) -> Iterator[tuple[int, int, int]]:
    for path in folder.iterdir():
        try:
            row, data = int(path.name.rpartition("-")[2]), path.read_bytes()
        except (ValueError, OSError):
            continue  # It is no note, or was never written.
        for number, attempt in NOTE.iter_unpack(data[: len(data) // NOTE.size * NOTE.size]):
            if attempt:
                yield row, number, attempt


def interrupted_calls(db: Database, jobs: Mapping[int, str]) -> dict[str, dict[int, Interrupted]]:
    """The calls without a result that were begun when an agent ended, by job and number."""
    found: dict[str, dict[int, Interrupted]] = {}
    for row, number, attempt, crashes in db.execute(
        "SELECT job, number, attempt, crashes FROM calls WHERE attempt>1"
    ):
        if row in jobs:
            found.setdefault(jobs[row], {})[number] = Interrupted(attempt, crashes)
    return found
