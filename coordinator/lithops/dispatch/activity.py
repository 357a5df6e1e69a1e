"""What goes on at the hosts of a session, for those who wait. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from lithops.job.model import Activity


class Runner(Protocol):
    """What is used of a `HostRunner`."""

    name: str
    doing: str

    @property
    def ready(self) -> bool: ...

    @property
    def in_use(self) -> bool: ...


def activity_of(runners: Iterable[Runner], running: Mapping[str, int]) -> Activity:
    """Sum up hosts; ``running`` is how many calls each of them said to be running."""
    used = [runner for runner in runners if runner.in_use]
    ready = [runner for runner in used if runner.ready]
    busy = [runner for runner in used if runner.doing]
    doing = f"{busy[0].name}: {busy[0].doing}" if busy else ""
    if len(busy) > 1:
        doing += f" (and {len(busy) - 1} more)"
    return Activity(
        running=sum(running.get(runner.name, 0) for runner in ready),
        ready=len(ready),
        hosts=len(used),
        doing=doing,
    )
