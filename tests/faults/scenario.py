"""What a scenario is: programs that run calls on hosts, a fault that is injected for real, and the counts."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.faults.calls import MARKS
from tests.faults.program import Program
from tests.integration.support import eventually
from tests.testbed import Host, Testbed

PATIENCE = 30.0
"""Seconds within which what has to come is there, where nothing else is said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What came out of a scenario.

    ``collected``: calls that ended with their result, or with the very error that the fault is bound to give
    them. ``duplicated``: results that a program was told more than once. ``run_twice``: calls that began more
    than once. ``recovery``: seconds from the end of the fault (or from the kill) until the next result of a
    call that it had met, the longest of all injections.
    """

    injected: int
    submitted: int
    collected: int
    duplicated: int
    run_twice: int
    recovery: float

    @property
    def lost(self) -> int:
        """Calls that did not end as they have to."""
        return self.submitted - self.collected


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """A fault, and how it is played.

    ``fast``: it is part of `make test`. ``repeats``: its calls may run twice, as those that were under way
    when their worker, agent or host died have to.
    """

    name: str
    fault: str
    play: Callable[[Stage], Row]
    fast: bool
    repeats: bool

    def problems(self, row: Row) -> list[str]:
        """What must not be in the row."""
        found = {"lost": row.lost, "recorded twice": row.duplicated}
        if not self.repeats:
            found["run twice"] = row.run_twice
        return [f"{count} {what}" for what, count in found.items() if count] + (
            [] if row.injected else ["no fault was injected"]
        )


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str, fault: str, *, fast: bool = True, repeats: bool = False
) -> Callable[[Callable[[Stage], Row]], Callable[[Stage], Row]]:
    """Makes a scenario of the function that plays it."""

    def register(play: Callable[[Stage], Row]) -> Callable[[Stage], Row]:
        SCENARIOS[name] = Scenario(name=name, fault=fault, play=play, fast=fast, repeats=repeats)
        return play

    return register


class Stage:
    """What one scenario is played on: hosts of its own, and programs with a home of their own."""

    def __init__(self, bed: Testbed, folder: Path, seed: int) -> None:
        self.bed = bed
        self.seed = seed
        self._folder = folder
        self._hosts: list[Host] = []
        self._programs: list[Program] = []

    def hosts(self, count: int, **options: Any) -> list[Host]:
        """Boot new hosts."""
        names = [f"fault{len(self._hosts) + number}" for number in range(count)]
        made = self.bed.hosts(names, **options)
        self._hosts += made
        return made

    def host(self, **options: Any) -> Host:
        """Boot one."""
        return self.hosts(1, **options)[0]

    def program(
        self, hosts: Sequence[Host], count: int, each: float, *, user: str = "user", function: str = "call",
        retries: int = 0, processes: int | str = "AUTO", **standalone: Any,
    ) -> Program:  # fmt: skip
        """Start a program that maps a function over ``count`` numbers; each call takes ``each`` seconds."""
        config = self.bed.lithops_config(hosts, standalone=standalone)
        config["lithops"]["retries"] = retries
        config["vm"]["worker_processes"] = processes
        config["vm"]["hosts"] = [{**entry, "username": user} for entry in config["vm"]["hosts"]]
        name = f"program{len(self._programs)}"
        order = {"config": config, "program": name, "user": user, "function": function}
        return self._start({**order, "count": count, "each": each})

    def attached(self, other: Program) -> Program:
        """Start a program that goes on with the job of another one, which must have submitted it."""
        return self._start({**other.order, "job": other.job})

    def _start(self, order: dict[str, Any]) -> Program:
        notes = self._folder / f"notes-{len(self._programs)}"
        program = Program(order, notes, self._folder / "home")
        self._programs.append(program)
        return program

    def end(self) -> None:
        """End the programs, and the hosts for good."""
        for program in self._programs:
            program.kill()
        for host in self._hosts:
            self.bed.remove(host)


@contextlib.contextmanager
def staged(bed: Testbed, seed: int) -> Iterator[Stage]:
    """A stage that is cleared at the end."""
    with tempfile.TemporaryDirectory(prefix="lithops-faults-") as folder:
        (Path(folder) / "home").mkdir()
        stage = Stage(bed, Path(folder), seed)
        try:
            yield stage
        finally:
            stage.end()


# ---- what hosts have seen ---------------------------------------------------------------------------


def executions(host: Host, program: Program) -> list[tuple[int, str]]:
    """The executions of a program that have begun on a host, on or off: (call, execution) of each."""
    path = host.hardware.disk.hold(MARKS.format(uid=host.uid(program.user)))
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(number), name) for whose, number, name in map(str.split, lines) if whose == program.name]


def begun(hosts: Iterable[Host], program: Program) -> Counter[int]:
    """How often each call of a program has begun, on all of the hosts."""
    return Counter(number for host in hosts for number, _ in executions(host, program))


def under_way(host: Host, program: Program) -> dict[int, int]:
    """The calls that have begun on a host and that the program has heard nothing of: the pid of each."""
    told = program.told()
    return {
        number: int(name.split("-")[1]) for number, name in executions(host, program) if number not in told
    }


def half_way(program: Program, count: int = 4) -> None:
    """Wait until some calls of a program have ended, and see that others have not."""
    eventually(lambda: len(program.told()) >= count, f"{count} calls that have ended", PATIENCE)
    assert not program.has_ended(), "the job was over too early for this fault"


def agent_pids(host: Host, user: str = "user") -> list[int]:
    """The processes of an agent itself: its supervisor and its server."""
    return [pid for pid, args in host.processes(user) if "serve" in args]


def zygote_pids(host: Host, user: str = "user") -> list[int]:
    """The zygotes of an agent: what workers are forked from."""
    mine = ",".join(map(str, agent_pids(host, user))) or "0"
    pids = host.run(f"pgrep --parent {mine} -f zygote_main", check=False).stdout.split()
    return [int(pid) for pid in pids]


def worker_pids(host: Host, program: Program) -> list[int]:
    """The workers of a host that have run calls of a program."""
    zygotes = ",".join(map(str, zygote_pids(host, program.user))) or "0"
    pids = host.run(f"pgrep --parent {zygotes}", check=False).stdout.split()
    ran = {name.split("-")[1] for _, name in executions(host, program)}
    return [int(pid) for pid in pids if pid in ran]


def kill(host: Host, pids: Iterable[int]) -> None:
    """Kill processes of a host with SIGKILL, all in one go; some may have ended by now."""
    victims = " ".join(map(str, pids))
    if victims:
        host.run(f"kill -KILL {victims}", check=False)


# ---- the counts -------------------------------------------------------------------------------------


def row_of(
    program: Program, hosts: Sequence[Host], *, injected: int, recovery: float,
    expected: Callable[[int], str | None] = lambda number: None, seconds: float = PATIENCE,
) -> Row:  # fmt: skip
    """Wait for the end of a program, and count.

    ``expected`` tells, for each call, the class of the error that it has to end with; None: a result.
    """
    program.wait(seconds)
    ends = {number: program.ends().get(number) for number in range(program.count)}
    names = {name for host in hosts for _, name in executions(host, program)}
    good = 0
    for number, end in ends.items():
        if end is not None and end.error == expected(number):
            assert end.error or end.execution in names, f"call {number} has a result that no host made"
            good += 1
    return Row(
        injected=injected, submitted=program.count, collected=good,
        duplicated=sum(times - 1 for times in program.told_times().values()),
        run_twice=sum(1 for times in begun(hosts, program).values() if times > 1),
        recovery=recovery,
    )  # fmt: skip


def together(rows: Iterable[Row]) -> Row:
    """One row of those of several programs."""
    every = list(rows)
    sums = {
        field: sum(getattr(row, field) for row in every)
        for field in ("submitted", "collected", "duplicated", "run_twice")
    }
    recovery = max(row.recovery for row in every)
    return Row(injected=max(row.injected for row in every), recovery=recovery, **sums)
