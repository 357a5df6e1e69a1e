"""Ends the agents of all hosts of a session, many at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Optional, Protocol

from lithops.errors import HostError

_AT_ONCE = 16


class Dismantled(Protocol):
    """What is used of a `HostRunner`."""

    def dismantle(self) -> None: ...


def end_all(runners: Iterable[Dismantled]) -> list[HostError]:
    """End the agents, and wait until they are gone; the errors of those that did not confirm, in order."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [error for error in pool.map(_end, runners) if error is not None]


def not_ended(failures: Sequence[HostError]) -> HostError:
    """The one error for all hosts that did not confirm; it names them."""
    told = "; ".join(str(error) for error in failures)
    names = ", ".join(error.host for error in failures)
    return HostError(f"not dismantled: {told}", host=names, phase="dismantle")


def _end(runner: Dismantled) -> Optional[HostError]:
    try:
        runner.dismantle()
    except HostError as exc:
        return exc
    return None
