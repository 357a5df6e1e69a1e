"""Which call goes to which host: a state machine without sockets, threads or clocks.

It is told what happened and answers with what to do. Rules:

- Calls are handed to ready hosts at once, so that each has the same number for each of its slots; a
  host's journal holds them from then on, and the script may go away.
- When a host has slots free, calls that wait elsewhere are asked back and given to it.
- What a lost host had not finished goes to the others. A call may so run twice; its first result counts.
- With no host left that is ready or on its way, the calls that have no result fail.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Union

_NOWHERE = -1
_ENDED = -2


@dataclasses.dataclass(frozen=True)
class Send:
    """Submit calls of a job to a host."""

    host: str
    job: str
    numbers: list[int]


@dataclasses.dataclass(frozen=True)
class Revoke:
    """Ask a host to give back up to ``count`` calls of a job; report with `calls_revoked`."""

    host: str
    job: str
    count: int


@dataclasses.dataclass(frozen=True)
class GiveUp:
    """No host is left: fail these calls."""

    job: str
    numbers: list[int]


Action = Union[Send, Revoke, GiveUp]


@dataclasses.dataclass
class _Host:
    name: str
    index: int
    slots: int = 0
    ready: bool = False
    gone: bool = False
    unfinished: int = 0
    waiting: dict[str, int] = dataclasses.field(default_factory=dict)
    revoking: bool = False

    @property
    def load(self) -> float:
        return self.unfinished / self.slots if self.slots else float("inf")


@dataclasses.dataclass
class _Job:
    job: str
    where: array[int]
    """For each call: the index of the host that has it, or _NOWHERE, or _ENDED."""
    homeless: deque[int] = dataclasses.field(default_factory=deque)
    unfinished: int = 0


class Assignment:
    """Hosts, and where each call of each job is."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = [_Host(name, index) for index, name in enumerate(hosts)]
        self._by_name = {host.name: host for host in self._hosts}
        self._jobs: dict[str, _Job] = {}

    # -- what happened --

    def calls_added(self, job: str, numbers: Iterable[int]) -> list[Action]:
        """Calls can run."""
        numbers = list(numbers)
        j = self._jobs.setdefault(job, _Job(job, array("h")))
        missing = max(numbers, default=-1) + 1 - len(j.where)
        if missing > 0:
            j.where.extend([_ENDED] * missing)
        for number in numbers:
            j.where[number] = _NOWHERE
        j.homeless.extend(numbers)
        j.unfinished += len(numbers)
        return self._place()

    def host_ready(self, name: str, slots: int) -> list[Action]:
        """A host can take calls, for the first time or again after it was lost."""
        host = self._by_name[name]
        host.slots, host.ready, host.gone, host.revoking = slots, True, False, False
        return self._place()

    def host_wanted(self, name: str) -> None:
        """A host that was lost is being tried again."""
        self._by_name[name].gone = False

    def host_lost(self, name: str) -> list[Action]:
        """A host is gone, with what it had not finished."""
        host = self._by_name[name]
        host.ready, host.gone, host.unfinished, host.waiting = False, True, 0, {}
        for j in self._jobs.values():
            back = [n for n, where in enumerate(j.where) if where == host.index]
            for number in back:
                j.where[number] = _NOWHERE
            j.homeless.extendleft(reversed(back))
        return self._place()

    def call_ended(self, job: str, number: int) -> bool:
        """A result came, from any host; whether it is the first one of its call."""
        j = self._jobs.get(job)
        if j is None or number >= len(j.where) or j.where[number] == _ENDED:
            return False
        where = j.where[number]
        if where == _NOWHERE:
            j.homeless.remove(number)
        else:
            self._hosts[where].unfinished -= 1
        j.where[number] = _ENDED
        j.unfinished -= 1
        if not j.unfinished:
            del self._jobs[job]
        return True

    def load_reported(self, name: str, waiting: Mapping[str, int]) -> list[Action]:
        """A host says how many calls of each job have not begun there."""
        self._by_name[name].waiting = dict(waiting)
        return self._balance()

    def calls_revoked(self, name: str, job: str, numbers: Iterable[int]) -> list[Action]:
        """A host gave these calls back."""
        host = self._by_name[name]
        host.revoking = False
        j = self._jobs.get(job)
        if j is None:
            return []
        back = [n for n in numbers if j.where[n] == host.index]
        for number in back:
            j.where[number] = _NOWHERE
        host.unfinished -= len(back)
        host.waiting[job] = max(host.waiting.get(job, 0) - len(back), 0) if back else 0
        j.homeless.extendleft(reversed(back))
        return self._place()

    # -- what is so --

    def host_of(self, job: str, number: int) -> str | None:
        """The host that has a call, None when none has."""
        j = self._jobs.get(job)
        where = j.where[number] if j is not None and number < len(j.where) else _NOWHERE
        return self._hosts[where].name if where >= 0 else None

    @property
    def homeless(self) -> bool:
        """Whether any call waits for a host."""
        return any(job.homeless for job in self._jobs.values())

    def unfinished_on(self, name: str) -> int:
        """How many calls a host has that have no result."""
        return self._by_name[name].unfinished

    # -- what to do --

    def _place(self) -> list[Action]:
        """Hand out the calls that no host has."""
        ready = [host for host in self._hosts if host.ready]
        if not ready:
            return self._give_up() if all(host.gone for host in self._hosts) else []
        actions: list[Action] = []
        for j in list(self._jobs.values()):
            if j.homeless:
                shares = _shares(ready, len(j.homeless))
                for host, count in shares:
                    numbers = [j.homeless.popleft() for _ in range(count)]
                    for number in numbers:
                        j.where[number] = host.index
                    host.unfinished += count
                    host.waiting[j.job] = host.waiting.get(j.job, 0) + count
                    actions.append(Send(host.name, j.job, numbers))
        return actions + self._balance()

    def _give_up(self) -> list[Action]:
        actions: list[Action] = []
        for j in list(self._jobs.values()):
            numbers = list(j.homeless)
            if numbers:
                actions.append(GiveUp(j.job, numbers))
        return actions

    def _balance(self) -> list[Action]:
        """Ask a loaded host for calls when another one has slots free."""
        free = [host for host in self._hosts if host.ready and host.unfinished < host.slots]
        actions: list[Action] = []
        for host in free:
            loaded = [o for o in self._hosts if o.ready and not o.revoking and o is not host and _waiting(o)]
            if not loaded:
                break
            source = max(loaded, key=lambda o: _waiting(o) / o.slots)
            job = max(source.waiting, key=lambda name: source.waiting[name])
            # The share that lets both end together; at least one.
            share = source.waiting[job] * host.slots // (host.slots + source.slots)
            source.revoking = True
            actions.append(Revoke(source.name, job, max(share, 1)))
        return actions


def _waiting(host: _Host) -> int:
    return max(host.waiting.values(), default=0)


def _shares(hosts: list[_Host], count: int) -> list[tuple[_Host, int]]:
    """How many of ``count`` calls each host gets, so that all have about as many for each slot."""
    total = count + sum(host.unfinished for host in hosts)
    slots = sum(host.slots for host in hosts)
    room = [max(total * host.slots / slots - host.unfinished, 0.0) for host in hosts]
    scale = count / sum(room) if sum(room) else 0.0
    shares = [int(r * scale) for r in room]
    rest = count - sum(shares)
    # What rounding left over goes to the hosts that miss most.
    order = sorted(range(len(hosts)), key=lambda i: (shares[i] + hosts[i].unfinished) / hosts[i].slots)
    for position in range(rest):
        shares[order[position % len(order)]] += 1
    return [(host, share) for host, share in zip(hosts, shares) if share]
