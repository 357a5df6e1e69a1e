"""What the scheduler asks of the pool."""

from __future__ import annotations

import dataclasses
from typing import Union

from lithops_agent.protocol import Status


@dataclasses.dataclass(frozen=True)
class StartWorker:
    """Fork worker ``worker`` for ``job``."""

    worker: int
    job: str


@dataclasses.dataclass(frozen=True)
class Assign:
    """Queue calls at a worker, in this order; report those that did not fit with `not_queued`."""

    worker: int
    job: str
    calls: tuple[tuple[int, int], ...]
    """(number, attempt) of each."""


@dataclasses.dataclass(frozen=True)
class TakeBack:
    """Empty the queue of a worker and report what was in it with `taken_back`."""

    worker: int


@dataclasses.dataclass(frozen=True)
class Retire:
    """Close the queue of a worker; it ends by itself."""

    worker: int


@dataclasses.dataclass(frozen=True)
class Kill:
    """Kill a worker with all its descendants."""

    worker: int


@dataclasses.dataclass(frozen=True)
class Fail:
    """Record a call as failed, without any worker having reported it."""

    job: str
    number: int
    status: Status
    why: str


Action = Union[StartWorker, Assign, TakeBack, Retire, Kill, Fail]
