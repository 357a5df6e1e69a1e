"""Which call goes to which host: a state machine without sockets, threads or clocks.

It is told what happened and answers with what to do. Rules:

- Calls are handed to ready hosts at once, so that each has the same number for each of its slots; a
  host's journal holds them from then on, and the script may go away.
- When a host has slots free, calls that wait elsewhere are asked back and given to it. Its own report
  tells whether it has: scripts share hosts. Each move takes a free slot that was reported, so moves end.
- What a lost host had not finished goes to the others, or to the same one when it comes back without its
  journal. A call may so run twice; its first result counts.
- What a host has no room for goes to those that have; it is sent no more until it is tried again.
- With no host left that is ready or on its way, the calls that have no result fail.
- Calls that an earlier process has submitted are looked for first: they are handed out when every host has
  told which of them it has, or is lost.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Union

_NOWHERE = -1
_ENDED = -2
_SOUGHT = -3


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
    slots: int = 1
    ready: bool = False
    gone: bool = False
    full: bool = False
    """Its disk had no room for a call."""
    unfinished: int = 0
    waiting: dict[str, int] = dataclasses.field(default_factory=dict)
    """By job: the calls that wait for a slot, as reported, and as sent since."""
    free: int = 0
    """The slots that nobody uses, as reported, without those that were sent a call since."""
    asked_for: _Host | None = None
    """The host for which calls are being asked back from this one."""
    asked: int = 0

    @property
    def room(self) -> int:
        """How many more calls would begin at once, as far as is known."""
        return min(self.free, self.slots - self.unfinished)

    @property
    def backlog(self) -> float:
        """Calls that wait, for each slot."""
        return sum(self.waiting.values()) / self.slots

    def take(self, job: str, count: int) -> None:
        """Note that calls are sent to it: they take the free slots, and the rest of them waits."""
        waiting = max(count - max(self.room, 0), 0)
        self.unfinished += count
        self.free = max(self.free - (count - waiting), 0)
        if waiting:
            self.waiting[job] = self.waiting.get(job, 0) + waiting

    def ask(self, count: int, receiver: _Host | None) -> None:
        """Note how many calls are being asked back, and for which host; None when they are not any more."""
        self.asked, self.asked_for = count, receiver


@dataclasses.dataclass
class _Job:
    job: str
    where: array[int]
    """For each call: the index of the host that has it, or _NOWHERE, _ENDED or _SOUGHT."""
    homeless: set[int] = dataclasses.field(default_factory=set)
    unfinished: int = 0


class Assignment:
    """Hosts, and where each call of each job is."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts: list[_Host] = []
        self._by_name: dict[str, _Host] = {}
        for name in hosts:
            self.host_added(name)
        self._jobs: dict[str, _Job] = {}

    # -- what happened --

    def host_added(self, name: str) -> None:
        """One more host is on its way."""
        host = _Host(name, len(self._hosts))
        self._hosts.append(host)
        self._by_name[name] = host

    def calls_added(self, job: str, numbers: Iterable[int]) -> list[Action]:
        """Calls can run. Those of the job that are known and have not ended are left as they are."""
        wanted = dict.fromkeys(numbers)
        if not wanted:
            return []
        j = self._jobs.setdefault(job, _Job(job, array("h")))
        missing = max(wanted) + 1 - len(j.where)
        if missing > 0:
            j.where.extend([_ENDED] * missing)
        fresh = [number for number in wanted if j.where[number] == _ENDED]
        self._make_homeless(j, fresh)
        j.unfinished += len(fresh)
        return self._place()

    def calls_sought(self, job: str, numbers: Sequence[int]) -> None:
        """Calls were submitted by an earlier process; any host may have them, or their results."""
        j = self._jobs[job] = _Job(job, array("h", [_ENDED]) * (max(numbers) + 1))
        for number in numbers:
            j.where[number] = _SOUGHT
        j.unfinished = len(numbers)

    def calls_found(self, name: str, job: str, numbers: Iterable[int]) -> None:
        """A host has these calls, or their results."""
        j, host = self._jobs.get(job), self._by_name[name]
        if j is None:
            return
        for number in numbers:
            if number < len(j.where) and j.where[number] == _SOUGHT:
                j.where[number] = host.index
                host.unfinished += 1

    def search_ended(self, job: str) -> list[Action]:
        """Every host that can tell has told: what was not found is run."""
        j = self._jobs.get(job)
        if j is None:
            return []
        self._make_homeless(j, [number for number, where in enumerate(j.where) if where == _SOUGHT])
        return self._place()

    def host_ready(self, name: str, slots: int, *, empty: bool = False) -> list[Action]:
        """A host can take calls, for the first time or again; ``empty``: without what it was given."""
        host = self._by_name[name]
        if empty:
            self._take_all(host)
        host.slots, host.ready, host.gone, host.full = max(slots, 1), True, False, False
        host.free = host.slots
        host.ask(0, None)
        return self._place()

    def host_wanted(self, name: str) -> None:
        """A host that was lost, or had no room, is being tried again."""
        self._by_name[name].gone = self._by_name[name].full = False

    def host_lost(self, name: str) -> list[Action]:
        """A host is gone, with what it had not finished."""
        host = self._by_name[name]
        host.ready, host.gone = False, True
        host.ask(0, None)
        self._take_all(host)
        return self._place()

    def calls_refused(self, name: str, job: str, numbers: Iterable[int]) -> list[Action]:
        """The disk of a host has no room for these calls."""
        host, j = self._by_name[name], self._jobs.get(job)
        host.full = True
        if j is None:
            return []
        back = [n for n in numbers if n < len(j.where) and j.where[n] == host.index]
        self._make_homeless(j, back)
        host.unfinished -= len(back)
        host.waiting.pop(job, None)
        if all(other.full or other.gone for other in self._hosts):
            return [GiveUp(job, back)] if back else []
        return self._place()

    def call_ended(self, job: str, number: int) -> bool:
        """A result came, from any host; whether it is the first one of its call."""
        j = self._jobs.get(job)
        if j is None or number >= len(j.where) or j.where[number] == _ENDED:
            return False
        where = j.where[number]
        if where == _NOWHERE:
            j.homeless.remove(number)
        elif where != _SOUGHT:
            self._hosts[where].unfinished -= 1
        j.where[number] = _ENDED
        j.unfinished -= 1
        if not j.unfinished:
            del self._jobs[job]
            for host in self._hosts:
                host.waiting.pop(job, None)
        return True

    def load_reported(self, name: str, waiting: Mapping[str, int], free: int) -> list[Action]:
        """A host says how many calls of each job have not begun there, and how many slots nobody uses."""
        host = self._by_name[name]
        host.waiting = {job: count for job, count in waiting.items() if job in self._jobs}
        host.free = free
        return self._balance()

    def calls_revoked(self, name: str, job: str, numbers: Iterable[int]) -> list[Action]:
        """A host gave these calls back."""
        host = self._by_name[name]
        host.ask(0, None)
        j = self._jobs.get(job)
        if j is None:
            return self._balance()
        back = [n for n in numbers if n < len(j.where) and j.where[n] == host.index]
        self._make_homeless(j, back)
        host.unfinished -= len(back)
        host.waiting[job] = max(host.waiting.get(job, 0) - len(back), 0) if back else 0
        return self._place(giver=host)

    # -- what is so --

    @property
    def unfinished(self) -> int:
        """How many calls have no result."""
        return sum(j.unfinished for j in self._jobs.values())

    @property
    def homeless(self) -> bool:
        """Whether any call waits for a host."""
        return any(j.homeless for j in self._jobs.values())

    def host_of(self, job: str, number: int) -> str | None:
        """The host that has a call, None when none has."""
        j = self._jobs.get(job)
        where = j.where[number] if j is not None and number < len(j.where) else _NOWHERE
        return self._hosts[where].name if where >= 0 else None

    def calls_on(self, name: str, job: str) -> list[int]:
        """The calls of a job that a host has and that have no result."""
        j, index = self._jobs.get(job), self._by_name[name].index
        return [] if j is None else [n for n, where in enumerate(j.where) if where == index]

    def unfinished_on(self, name: str) -> int:
        """How many calls a host has that have no result."""
        return self._by_name[name].unfinished

    # -- what to do --

    def _take_all(self, host: _Host) -> None:
        host.unfinished, host.waiting, host.free = 0, {}, 0
        for j in self._jobs.values():
            self._make_homeless(j, self.calls_on(host.name, j.job))

    def _make_homeless(self, j: _Job, numbers: Sequence[int]) -> None:
        for number in numbers:
            j.where[number] = _NOWHERE
        j.homeless.update(numbers)

    def _place(self, giver: _Host | None = None) -> list[Action]:
        """Hand out the calls that no host has; not to their ``giver`` when another one can take them."""
        ready = [host for host in self._hosts if host.ready]
        if not ready:
            return self._give_up() if all(host.gone for host in self._hosts) else []
        roomy = [host for host in ready if not host.full]
        if not roomy and any(not host.ready and not host.gone for host in self._hosts):
            return []
        ready = roomy or ready
        actions: list[Action] = []
        for j in self._jobs.values():
            if j.homeless:
                actions += self._send(j, _takers(ready, giver))
        return actions + self._balance()

    def _send(self, j: _Job, hosts: list[_Host]) -> list[Action]:
        numbers = sorted(j.homeless)
        j.homeless.clear()
        actions: list[Action] = []
        position = 0
        for host, count in _shares(hosts, len(numbers)):
            mine = numbers[position : position + count]
            position += count
            for number in mine:
                j.where[number] = host.index
            host.take(j.job, count)
            actions.append(Send(host.name, j.job, mine))
        return actions

    def _give_up(self) -> list[Action]:
        return [GiveUp(j.job, sorted(j.homeless)) for j in self._jobs.values() if j.homeless]

    def _balance(self) -> list[Action]:
        """Ask loaded hosts for calls when another one has slots free."""
        actions: list[Action] = []
        for host in self._hosts:
            usable = host.ready and not host.full
            room = host.room - sum(o.asked for o in self._hosts if o.asked_for is host) if usable else 0
            while room > 0 and (source := self._most_loaded(host)) is not None:
                job, waiting = max(source.waiting.items(), key=lambda item: item[1])
                # The share that lets both end together; at least what can begin at once.
                share = waiting * host.slots // (host.slots + source.slots)
                count = max(share, min(waiting, room))
                source.ask(count, host)
                room -= count
                actions.append(Revoke(source.name, job, count))
        return actions

    def _most_loaded(self, receiver: _Host) -> _Host | None:
        loaded = [
            o for o in self._hosts if o.ready and o.asked_for is None and o is not receiver and o.backlog
        ]
        return max(loaded, key=lambda o: o.backlog, default=None)


def _takers(ready: list[_Host], giver: _Host | None) -> list[_Host]:
    """The hosts that calls can go to: when a host gave them back, those with room, else any other one."""
    if giver is None:
        return ready
    others = [host for host in ready if host is not giver]
    return [host for host in others if host.room > 0] or others or ready


def _shares(hosts: list[_Host], count: int) -> list[tuple[_Host, int]]:
    """How many of ``count`` calls each host gets, so that all have about as many for each slot.

    Hosts that have more already get none; the others are filled up to the same level.
    """
    while True:
        level = (count + sum(host.unfinished for host in hosts)) / sum(host.slots for host in hosts)
        below = [host for host in hosts if host.unfinished <= level * host.slots]
        if len(below) == len(hosts):
            break
        hosts = below
    shares = [int(level * host.slots - host.unfinished) for host in hosts]
    # What rounding left over goes where one call more weighs least.
    order = sorted(range(len(hosts)), key=lambda i: (hosts[i].unfinished + shares[i] + 1) / hosts[i].slots)
    for position in range(count - sum(shares)):
        shares[order[position % len(order)]] += 1
    return [(host, share) for host, share in zip(hosts, shares) if share]
