"""What calls print, shown line by line while they run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Optional

from lithops_agent.protocol import Part

_LONGEST = 1 << 16
"""Bytes of a line from which on it is shown in pieces."""


class Lines:
    """Cuts what calls print into lines, each of which is given once, however often a part of it is heard.

    Of a call that has ended, nothing is new any more. ``prefix`` gives what comes before the lines of a call.
    """

    def __init__(self, prefix: Callable[[str, int], str]) -> None:
        self._prefix = prefix
        self._seen: dict[tuple[str, int], int] = {}
        self._rest: dict[tuple[str, int], bytes] = {}
        self._ended: dict[str, set[int]] = {}

    def seen(self, job: str) -> dict[int, int]:
        """How many bytes of each call of a job were heard."""
        return {number: count for (name, number), count in self._seen.items() if name == job}

    def hear(self, part: Part, *, is_all: bool = False) -> list[str]:
        """The lines that are new with this part; ``is_all``: the call has ended, and its last line too."""
        call = (part.job, part.number)
        if part.number in self._ended.get(part.job, ()):
            return []
        seen = self._seen.get(call, 0)
        fresh = part.text[max(seen - part.begins, 0) :]
        told = []
        if part.begins > seen:
            told.append(f"… ({part.begins - seen} bytes are missing)")
            self._rest.pop(call, None)
        if is_all:
            self._ended.setdefault(part.job, set()).add(part.number)
            self._seen.pop(call, None)
        else:
            self._seen[call] = max(seen, part.end)
        *lines, rest = (self._rest.pop(call, b"") + fresh).split(b"\n")
        if rest and (is_all or len(rest) > _LONGEST):
            lines, rest = [*lines, rest], b""
        if rest:
            self._rest[call] = rest
        told += [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines]
        return [f"{self._prefix(*call)}{line}" for line in told]

    def forget(self, job: str) -> list[str]:
        """All calls of a job have ended; the beginnings of lines that some have left."""
        self._ended.pop(job, None)
        for call in [call for call in self._seen if call[0] == job]:
            del self._seen[call]
        left = {call: self._rest.pop(call) for call in list(self._rest) if call[0] == job}
        return [f"{self._prefix(*call)}{rest.decode('utf-8', 'replace')}" for call, rest in left.items()]


def call_prefix(job: str, number: int) -> str:
    """What comes before a line: the job and the call, as short as they are unique within a program."""
    return f"[{job.rpartition('-')[2]}-{number:05d}] "


class Printer:
    """Shows what calls print on standard output. Thread-safe."""

    def __init__(self, write: Optional[Callable[[str], None]] = None) -> None:
        self._lock = threading.Lock()
        self._lines = Lines(call_prefix)
        self._write = write or _write

    def seen(self, job: str) -> dict[int, int]:
        """How many bytes of each call of a job were shown."""
        with self._lock:
            return self._lines.seen(job)

    def show(self, parts: Iterable[Part], runs: Callable[[str, int], bool]) -> None:
        """Calls have printed this, when it was looked; those that do not run any more are left alone."""
        with self._lock:
            for part in parts:
                if runs(part.job, part.number):
                    self._print(self._lines.hear(part))

    def show_all(self, parts: Iterable[Part]) -> None:
        """Calls have ended, and printed this in all."""
        with self._lock:
            for part in parts:
                self._print(self._lines.hear(part, is_all=True))

    def forget(self, job: str) -> None:
        """All calls of a job have ended."""
        with self._lock:
            self._print(self._lines.forget(job))

    def _print(self, lines: list[str]) -> None:
        if lines:
            self._write("".join(f"{line}\n" for line in lines))


def _write(text: str) -> None:
    tqdm = sys.modules.get("tqdm")
    try:
        if tqdm is not None:
            # It takes the bars away meanwhile.
            tqdm.tqdm.write(text, end="")
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
    except (OSError, ValueError):
        pass  # Nobody reads it any more.
