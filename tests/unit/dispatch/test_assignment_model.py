"""Where calls go, in any order of events: simulated hosts, programs that die, and what must hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Union

from hypothesis import given, settings
from hypothesis import strategies as st

from lithops.dispatch.assignment import Action, Assignment, GiveUp, Revoke, Send

JOB = "job"


@dataclasses.dataclass(frozen=True)
class Find:
    """A host is asked which calls of the job it has."""


Message = Union[Action, Find]


class World:
    """Hosts that keep journals, the program whose assignment it is, and the messages between them."""

    def __init__(self, slots: list[int]) -> None:
        self.slots = {f"h{index}": count for index, count in enumerate(slots)}
        self.assignment = Assignment(self.slots)
        self.journals: dict[str, dict[int, bool]] = {name: {} for name in self.slots}
        """By host: its calls, and whether they have begun."""
        self.stored: dict[str, list[int]] = {name: [] for name in self.slots}
        """By host: the calls whose results it keeps."""
        self.unseen: dict[str, list[int]] = {name: [] for name in self.slots}
        """By host: the results that the program has not been sent."""
        self.up: set[str] = set()
        self.full: set[str] = set()
        self.others: dict[str, int] = dict.fromkeys(self.slots, 0)
        """Slots that other scripts use."""
        self.messages: dict[str, list[Message]] = {name: [] for name in self.slots}
        self.searched: set[str] = set()
        """Hosts that have not told yet which calls they have."""
        self.added = 0
        self.recorded: set[int] = set()
        self.given_up: set[int] = set()

    # -- what the session does --

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, GiveUp):
                for number in action.numbers:
                    assert number not in self.recorded | self.given_up
                    assert self.assignment.call_ended(JOB, number)
                    self.given_up.add(number)
            else:
                assert action.host in self.up, "a host is told something that is not there"
                self.messages[action.host].append(action)

    def add(self, count: int) -> None:
        numbers = range(self.added, self.added + count)
        self.added += count
        self.do(self.assignment.calls_added(JOB, numbers))

    def attach(self, arrived: int) -> None:
        """The program is killed, and another one goes on; of what it had sent, some may have arrived."""
        for name in self.slots:
            for message in self.messages[name][:arrived]:
                self.take(name, message)
            self.messages[name] = []
            self.unseen[name] = list(self.stored[name])
        self.up, self.recorded, self.given_up = set(), set(), set()
        self.assignment = Assignment(self.slots)
        if self.added:
            self.assignment.calls_sought(JOB, range(self.added))
            self.searched = set(self.slots)

    def found(self, name: str, numbers: list[int]) -> None:
        """A host told which calls it has, or is lost."""
        self.assignment.calls_found(name, JOB, numbers)
        if name in self.searched:
            self.searched.remove(name)
            if not self.searched:
                self.do(self.assignment.search_ended(JOB))

    # -- what is sent --

    def take(self, name: str, message: Message) -> list[int]:
        """A message reaches a host: the calls that its answer names."""
        journal = self.journals[name]
        if isinstance(message, Send):
            fresh = [n for n in message.numbers if n not in journal and n not in self.stored[name]]
            if name in self.full:
                return message.numbers
            journal.update(dict.fromkeys(fresh, False))
        elif isinstance(message, Revoke):
            back = [number for number, begun in journal.items() if not begun][-message.count :]
            for number in back:
                del journal[number]
            return back
        elif isinstance(message, Find):
            return [*journal, *self.stored[name]]
        return []

    def deliver(self, name: str) -> bool:
        """The next message reaches a host, and its answer the program; False when there is none."""
        if name not in self.up or not self.messages[name]:
            return False
        message = self.messages[name].pop(0)
        answer = self.take(name, message)
        if isinstance(message, Send) and answer:
            self.do(self.assignment.calls_refused(name, JOB, answer))
        elif isinstance(message, Revoke):
            self.do(self.assignment.calls_revoked(name, JOB, answer))
        elif isinstance(message, Find):
            self.found(name, answer)
        return True

    # -- what hosts do --

    def come(self, name: str, empty: bool) -> None:
        if empty:
            self.journals[name], self.stored[name] = {}, []
            self.messages[name] = []
        self.up.add(name)
        if name in self.searched:
            self.messages[name].insert(0, Find())
        self.do(self.assignment.host_ready(name, self.slots[name], empty=empty))

    def lose(self, name: str) -> None:
        self.up.discard(name)
        self.messages[name] = []
        self.do(self.assignment.host_lost(name))
        self.found(name, [])

    def begin(self, name: str) -> None:
        journal = self.journals[name]
        free = self.slots[name] - self.others[name] - sum(journal.values())
        for number in [number for number, begun in journal.items() if not begun][: max(free, 0)]:
            journal[number] = True

    def finish(self, name: str, count: int = 1) -> None:
        """Calls end, also on a host that counts as lost; their results are kept there."""
        for _ in range(count):
            self.begin(name)
            number = next((number for number, begun in self.journals[name].items() if begun), None)
            if number is not None:
                del self.journals[name][number]
                self.stored[name].append(number)
                self.unseen[name].append(number)

    def collect(self, name: str, keep: bool) -> None:
        """A result arrives, and maybe once more later."""
        if self.unseen[name]:
            number = self.unseen[name][-1] if keep else self.unseen[name].pop()
            if self.assignment.call_ended(JOB, number):
                assert number not in self.recorded | self.given_up, "recorded twice"
                self.recorded.add(number)

    def report(self, name: str) -> None:
        if name in self.up:
            journal = self.journals[name]
            waiting = sum(not begun for begun in journal.values())
            busy = sum(journal.values()) + self.others[name]
            free = max(self.slots[name] - busy - waiting, 0)
            self.do(self.assignment.load_reported(name, {JOB: waiting} if waiting else {}, free))

    def settle(self) -> int:
        """Deliver all messages; how many there were. It must end without anything else happening."""
        count = 0
        while any(self.deliver(name) for name in self.slots):
            count += 1
            assert count < 100 + 10 * sum(self.slots.values()) + self.added, "messages without end"
        return count

    def check(self) -> None:
        """Every call is ended, waits for a host, or is with one that has it or will be sent it."""
        for number in range(self.added):
            host = self.assignment.host_of(JOB, number)
            if number in self.recorded | self.given_up:
                assert host is None
            elif host is not None:
                assert host in self.up
                coming = any(isinstance(m, Send) and number in m.numbers for m in self.messages[host])
                assert number in self.journals[host] or coming or number in self.unseen[host], (
                    f"call {number} is lost"
                )
            else:
                assert self.searched or self.assignment.homeless, f"call {number} is forgotten"
        for name in self.slots:
            assert self.assignment.unfinished_on(name) == len(self.assignment.calls_on(name, JOB))


STEPS: dict[str, Callable[[World, str, int], object]] = {
    "nothing": lambda world, name, n: None,  # What hypothesis makes of steps that do not matter.
    "add": lambda world, name, n: world.add(n),
    "attach": lambda world, name, n: world.attach(n - 1),
    "come": lambda world, name, n: world.come(name, empty=False) if name not in world.up else None,
    "link opened again": lambda world, name, n: world.come(name, empty=False) if name in world.up else None,
    "come empty": lambda world, name, n: world.come(name, empty=True),
    "lose": lambda world, name, n: world.lose(name),
    "try again": lambda world, name, n: world.assignment.host_wanted(name),
    "fill": lambda world, name, n: world.full.add(name),
    "free": lambda world, name, n: world.full.discard(name),
    "deliver": lambda world, name, n: world.deliver(name),
    "settle": lambda world, name, n: world.settle(),
    "begin": lambda world, name, n: world.begin(name),
    "finish": lambda world, name, n: world.finish(name, n),
    "collect": lambda world, name, n: world.collect(name, keep=False),
    "collect twice": lambda world, name, n: world.collect(name, keep=True),
    "report": lambda world, name, n: world.report(name),
    "others": lambda world, name, n: world.others.update({name: n % (world.slots[name] + 1)}),
}


@settings(deadline=None, max_examples=400)
@given(
    slots=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    steps=st.lists(
        st.tuples(st.sampled_from(list(STEPS)), st.integers(0, 3), st.integers(1, 12)),
        min_size=30,  # Without it, most stories are too short to come to anything.
        max_size=60,
    ),
)
def test_no_call_is_lost_or_recorded_twice_in_any_order_of_events(
    slots: list[int], steps: list[tuple[str, int, int]]
) -> None:
    world = World(slots)
    for step, index, number in steps:
        STEPS[step](world, f"h{index % len(slots)}", number)
        world.check()
    # Once all is well, every call ends, within a bounded number of messages.
    world.full.clear()
    for name in world.slots:
        world.others[name] = 0
        if name not in world.up:
            world.come(name, empty=False)
    rounds = 0
    while len(world.recorded) + len(world.given_up) < world.added:
        rounds += 1
        assert rounds <= 10 * world.added + 10, "calls do not end"
        world.settle()
        for name in world.slots:
            world.finish(name)
            world.collect(name, keep=True)
            world.collect(name, keep=False)
            world.report(name)
        world.check()
    assert not world.recorded & world.given_up


@settings(deadline=None, max_examples=200)
@given(
    slots=st.lists(st.integers(1, 8), min_size=1, max_size=5),
    counts=st.lists(st.integers(1, 200), min_size=1, max_size=5),
)
def test_loads_stay_even_by_slots(slots: list[int], counts: list[int]) -> None:
    world = World(slots)
    for name in world.slots:
        world.come(name, empty=False)
    for count in counts:
        world.add(count)
        loads = [world.assignment.unfinished_on(name) / slots for name, slots in world.slots.items()]
        # As even as whole calls allow.
        assert max(loads) - min(loads) <= 2 / min(slots)
        level = world.added / sum(slots)
        assert all(abs(load - level) <= 1 for load in loads)
