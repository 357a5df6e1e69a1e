"""The hosts of a session: which there are, which are in use, and why the others are not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Optional, Protocol, TypeVar

from lithops.backends.machine import Machine
from lithops.errors import HostError

_TRY_AGAIN_AFTER = 60.0
"""Seconds after which a new call tries a host that failed again, while others are in use."""


class Usable(Protocol):
    """What is used of a `HostRunner`."""

    @property
    def ready(self) -> bool: ...

    @property
    def in_use(self) -> bool: ...

    def wake(self) -> bool: ...


R = TypeVar("R", bound=Usable)


class Hosts(Generic[R]):
    """Who talks to which host. Guarded by the session's lock; ``now`` is an instant of any clock, in seconds.

    Args:
        workers: how many calls run at the same time at most, on all hosts together; None: any number.
        runner_of: makes the one who talks to a machine.
    """

    def __init__(self, workers: Optional[int], runner_of: Callable[[Machine], R]) -> None:
        self.runners: Mapping[str, R] = {}
        """By name. It is replaced and never changed, as others go through it without the lock."""
        self._workers = workers
        self._runner_of = runner_of
        self._most: dict[str, int] = {}
        self._errors: dict[str, HostError] = {}
        self._try_again_at: dict[str, float] = {}

    def add(self, machines: Iterable[Machine]) -> list[str]:
        """Use those of these machines that are not in use yet, as far as the number of workers allows.

        Gives their names.
        """
        runners, added = dict(self.runners), []
        for machine in machines:
            if machine.name not in runners and len(runners) != self._workers:
                runners[machine.name] = self._runner_of(machine)
                added.append(machine.name)
        self.runners = runners
        if self._workers is not None:
            self._most = shares(list(runners), self._workers)
        return added

    def wake(self, now: float) -> list[str]:
        """See that the hosts are in use; those that failed a short while ago only when no other one is.

        Gives the names of those that calls can go to as soon as they are ready.
        """
        others, again = any(runner.in_use for runner in self.runners.values()), []
        for name, runner in self.runners.items():
            due = now >= self._try_again_at.get(name, now)
            if ((runner.in_use or not others or due) and runner.wake()) or due:
                self._try_again_at.pop(name, None)
                again.append(name)
        return again

    def failed(self, name: str, error: HostError, now: float) -> None:
        """A host can't be used, or takes no more calls."""
        self._errors[name] = error
        self._try_again_at[name] = now + _TRY_AGAIN_AFTER

    def worked(self, name: str) -> None:
        """A host can take calls."""
        self._errors.pop(name, None)

    def any_ready(self) -> bool:
        """Whether any host can take calls now. Needs no lock."""
        return any(runner.ready for runner in self.runners.values())

    def others_in_use(self, name: str) -> int:
        """How many hosts besides this one are ready or may become so."""
        return sum(1 for other, runner in self.runners.items() if other != name and runner.in_use)

    def most_on(self, name: str) -> Optional[int]:
        """How many calls run on a host at the same time at most; None: as many as it likes. Needs no lock."""
        return self._most.get(name)

    def why_none(self) -> HostError:
        """Why there is no host that calls can go to."""
        errors = list(self._errors.values())
        if not errors:
            return HostError("there is no host to run it on")
        if len(errors) == 1:
            return errors[0]
        told = "\n  ".join(str(error) for error in errors)
        kind = type(errors[0]) if len({type(error) for error in errors}) == 1 else HostError
        return kind(f"none of {len(errors)} hosts can be used:\n  {told}", host="")


def shares(hosts: Sequence[str], workers: int) -> dict[str, int]:
    """How many calls run on each host at the same time, so that it is ``workers`` on all of them together."""
    share, rest = divmod(workers, max(len(hosts), 1))
    return {host: share + (place < rest) for place, host in enumerate(hosts)}
