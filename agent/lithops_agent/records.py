"""What the journal takes and gives."""

from __future__ import annotations

import dataclasses
import struct
from typing import NamedTuple

from lithops_agent.printed import Printed
from lithops_agent.protocol import STATS, Part

pack_record = struct.Struct("<QIIBBQ").pack
"""The head of a RESULT structure; the packed STATS follow it."""

_NO_STATS = bytes(8 * len(STATS))


class UnknownJob(KeyError):
    """A job that this agent was never told of, or that was released."""

    def __str__(self) -> str:
        return f"unknown job {self.args[0]}"


class Ended(NamedTuple):
    """How one call ended: ``stats`` are packed doubles, ``file`` the path of a body that is not inline, and
    ``printed`` what it printed, None: nothing."""

    job: str
    number: int
    status: int
    stats: bytes
    size: int
    body: bytes | None
    file: str | None
    printed: Printed | None = None

    @classmethod
    def without_worker(
        cls, job: str, number: int, status: int, why: str, printed: Printed | None = None
    ) -> Ended:
        """The end of a call that no worker reports; ``why`` is told instead of a result."""
        body = why.encode()
        return cls(job, number, status, _NO_STATS, len(body), body, None, printed)


class CallData(NamedTuple):
    """A call to be journalled: its data, or the path of the file they are in."""

    number: int
    data: bytes | None
    file: str | None


class Interrupted(NamedTuple):
    """A call that ran when an agent ended: the number of its next attempt, and in how many of the earlier
    ones an agent was killed."""

    attempt: int
    crashes: int


@dataclasses.dataclass(frozen=True)
class Page:
    """Results of a session, from a cursor on."""

    cursor: int
    jobs: list[str]
    records: list[bytes]
    bodies: list[bytes]
    printed: list[Part] = dataclasses.field(default_factory=list)
