"""What calls print: the log of each worker, and which part of it is of which call.

A worker appends all that it and its children print to one file, and tells with each result where the
file ended then. So what a call printed, by Python, by C or by a child process, is what lies between the ends
of two calls; what a thread prints after its call has ended counts for the next call of that worker.
"""

from __future__ import annotations

import os
from collections.abc import Container
from typing import NamedTuple, Optional

KEPT = 1 << 20
"""Bytes that are kept of what one call printed: the last ones."""
_LAST_WORDS = 2000
"""Bytes of what a worker printed that go into the error when it died."""
_LIMIT = 64 * 1024 * 1024
"""Bytes that a log may have at any time; older output is dropped."""


class Printed(NamedTuple):
    """The end of what a call printed; ``begins`` bytes before it were dropped."""

    begins: int
    text: bytes

    @property
    def end(self) -> int:
        """How many bytes the call has printed in all."""
        return self.begins + len(self.text)

    def since(self, seen: int) -> Printed:
        """What comes after the first ``seen`` bytes."""
        skipped = min(max(seen - self.begins, 0), len(self.text))
        return Printed(self.begins + skipped, self.text[skipped:])


def joined(first: Optional[Printed], second: Optional[Printed]) -> Optional[Printed]:
    """What a call printed in two attempts, or in two pieces."""
    if first is None or second is None:
        return first or second
    text = (first.text if not second.begins else b"") + second.text
    kept = text[-KEPT:]
    return Printed(first.end + second.end - len(kept), kept)


class WorkerLog:
    """The log of one worker. For one thread at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._taken = 0
        """Up to where it belongs to calls that have ended."""

    def has_grown(self, end: int) -> bool:
        """Whether anything was printed up to ``end`` since the last `take`."""
        return end != self._taken

    def take(self, end: int) -> Optional[Printed]:
        """What the call printed that ended when the log had ``end`` bytes."""
        found = self.peek(end)
        self._taken = end
        return found

    def size(self) -> int:
        """How many bytes it has now."""
        try:
            return os.path.getsize(self.path)
        except OSError:
            return 0  # The disk was full when it was to be made.

    def peek(self, end: int) -> Optional[Printed]:
        """What was printed up to ``end`` since the last `take`."""
        # A log that was cut is shorter than what had been taken of it.
        begin = self._taken if self._taken <= end else 0
        if begin == end:
            return None
        try:
            with open(self.path, "rb") as file:
                file.seek(max(begin, end - KEPT))
                text = file.read(min(end - begin, KEPT))
        except OSError:
            return None
        return Printed(end - begin - len(text), text) if text else None

    def trim(self) -> None:
        """Cut it if it is too long."""
        if self.size() > _LIMIT:
            try:
                os.truncate(self.path, 0)
            except OSError:
                return  # The job was released a moment ago.
            self._taken = 0

    def last_words(self) -> str:
        """The end of what the worker printed, which goes with it."""
        try:
            with open(self.path, "rb") as file:
                file.seek(max(os.path.getsize(self.path) - _LAST_WORDS, 0))
                text = file.read().decode("utf-8", "replace").strip()
            os.unlink(self.path)
        except OSError:
            return ""
        return f"; the last it printed:\n{text}" if text else ""


class Earlier:
    """What calls have printed in earlier attempts, by (job, number)."""

    def __init__(self) -> None:
        self._printed: dict[tuple[str, int], Printed] = {}

    def keep(self, call: tuple[str, int], printed: Optional[Printed]) -> None:
        """An attempt is over, and there may be another one."""
        whole = self.with_earlier(call, printed)
        if whole is not None:
            self._printed[call] = whole

    def with_earlier(self, call: tuple[str, int], printed: Optional[Printed]) -> Optional[Printed]:
        """What a call printed in this attempt and before."""
        return joined(self._printed.get(call), printed)

    def pop(self, call: tuple[str, int], printed: Optional[Printed] = None) -> Optional[Printed]:
        """What a call that is over printed in this attempt and before, which is forgotten then."""
        return joined(self._printed.pop(call, None), printed) if self._printed else printed

    def forget(self, jobs: Container[str]) -> None:
        """Forget all calls of these jobs."""
        for call in [call for call in self._printed if call[0] in jobs]:
            del self._printed[call]
