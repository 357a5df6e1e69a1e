"""``~/.lithops/printed`` and ``~/.lithops/failed``: what is kept of a job after its hosts have forgotten it.

Of calls that printed, the text; of calls that failed, all that is needed to run them again. There is one file
a job, made of frames of the wire protocol. They are kept for a week, and fewer when they get large.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from lithops.job.info import JobInfo
from lithops.job.model import Job
from lithops.job.printed import Output, output
from lithops.state.spool import Spool, SpooledJob, frames, read
from lithops_agent import protocol
from lithops_agent.protocol import Part, ProtocolError

_AGE = 7 * 24 * 3600.0
_LARGEST = 256 * 1024 * 1024
"""Bytes of one file from which on nothing more is written to it."""
_ALL = 1024 * 1024 * 1024
"""Bytes of all files together from which on the oldest go."""
_CALLS = 1000
"""Calls of a job of which the data are kept."""


class Call(NamedTuple):
    """A call that failed, with what it needs to run again."""

    job: Job
    info: JobInfo
    number: int
    data: bytes


class Keepsakes:
    """The files, in the folder of the records. For one thread at a time.

    Raises:
        OSError: they can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._printed = folder / "printed"
        self._failed = folder / "failed"
        self._counts: dict[str, int] = {}
        """Calls of each job whose data this process has written."""

    # -- what is printed --

    def keep_printed(self, parts: Sequence[Part]) -> list[Output]:
        """Keep what calls printed; the same as their futures keep it."""
        found: dict[int, Output] = {}
        for job in {part.job for part in parts}:
            mine = [place for place, part in enumerate(parts) if part.job == job]
            found.update(zip(mine, self._append(job, [parts[place] for place in mine])))
        return [found[place] for place in range(len(parts))]

    def _append(self, job: str, parts: Sequence[Part]) -> Iterator[Output]:
        path = self._printed / job
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            offset = file.seek(0, os.SEEK_END)
            is_full = offset > _LARGEST
            if not is_full:
                frame = protocol.printed_frame({}, parts)
                file.write(frame)
                offset += len(frame) - sum(len(part.text) for part in parts)
        for part in parts:
            # Of a file that is full, a future keeps as much in memory.
            yield output(part.begins, part.text[-(1 << 16) :] if is_full else part.text,
                         "" if is_full else str(path), offset)  # fmt: skip
            offset += len(part.text)

    def printed(self, job: str) -> list[Part]:
        """What the calls of a job printed, in the order in which they ended. Raises OSError."""
        parts: list[Part] = []
        try:
            file = (self._printed / job).open("rb")
        except FileNotFoundError:
            return parts
        with file:
            for header, payload in frames(file):
                try:
                    parts += protocol.parse_printed(header, payload)
                except ProtocolError:
                    break
        return parts

    # -- what failed --

    def keep_failed(self, calls: Iterable[Call]) -> None:
        """Keep what calls need to run again."""
        by_job: dict[str, list[Call]] = {}
        for call in calls:
            by_job.setdefault(f"{call.info.executor_id}-{call.info.job_id}", []).append(call)
        for key, mine in by_job.items():
            room = _CALLS - self._counts.get(key, 0)
            if room > 0 and not self._is_full(key):
                spool = Spool(self._failed / key, {key} if key in self._counts else set())
                data = [(call.number, call.data) for call in mine[:room]]
                try:
                    spool.write(key, mine[0].job, mine[0].info, data)
                finally:
                    spool.close(remove=False)
            self._counts[key] = self._counts.get(key, 0) + len(mine)

    def _is_full(self, key: str) -> bool:
        try:
            return (self._failed / key).stat().st_size > _LARGEST
        except FileNotFoundError:
            return False

    def failed(self, key: str) -> Optional[SpooledJob]:
        """A job with the data of its calls that failed; None when nothing is kept of it. Raises OSError."""
        return read(self._failed / key).get(key)

    # -- what goes --

    def forget(self, now: float) -> None:
        """Remove what is too old, or too much."""
        files = []
        for folder in (self._printed, self._failed):
            if folder.is_dir():
                files += [(path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir()]
        left = _ALL
        for changed_at, size, path in sorted(files, reverse=True):
            left -= size
            if left < 0 or now - changed_at > _AGE:
                path.unlink(missing_ok=True)
