"""A job of many calls on three hosts, while random processes are killed every few seconds."""

from __future__ import annotations

import dataclasses
import random
import sys
import time
from collections import Counter

from tests.faults.program import Program
from tests.faults.scenario import Row, Stage, agent_pids, kill, row_of, scenario, worker_pids
from tests.integration.support import eventually
from tests.testbed import Host

_EACH = 0.1
_SLOTS = 4
_RETRIES = 10
"""A worker that is killed from outside looks as if its call had killed it: it counts as an attempt."""
_LOST_AFTER = 5.0


@dataclasses.dataclass
class _Soak:
    """The job, and what is done to it."""

    stage: Stage
    hosts: list[Host]
    program: Program
    chance: random.Random
    off_for: tuple[float, float]
    """Bounds of the seconds that a host is off."""
    done: Counter[str] = dataclasses.field(default_factory=Counter)
    pauses: list[float] = dataclasses.field(default_factory=list)
    """Seconds from each fault until the next result."""

    def strike(self) -> None:
        """Kill something, and wait until results come again; what is not there just now is not counted."""
        kinds = {"worker": self._worker, "agent": self._agent, "host": self._host, "program": self._program}
        kind = self.chance.choice(list(kinds))
        struck_at = time.monotonic()
        if not kinds[kind]():
            return
        self.done[kind] += 1
        program = self.program
        eventually(lambda: program.next_told(struck_at) is not None or program.has_ended(), "a result", 60)
        self.pauses.append((program.next_told(struck_at) or struck_at) - struck_at)

    def _worker(self) -> bool:
        host = self.chance.choice(self.hosts)
        pids = worker_pids(host, self.program)
        kill(host, pids[:1])
        return bool(pids)

    def _agent(self) -> bool:
        host = self.chance.choice(self.hosts)
        pids = agent_pids(host)
        kill(host, pids)
        return bool(pids)

    def _host(self) -> bool:
        """Cut the power, and switch on again after a while."""
        host = self.chance.choice(self.hosts)
        host.kill()
        time.sleep(self.chance.uniform(*self.off_for))
        host.start()
        return True

    def _program(self) -> bool:
        self.program.kill()
        self.program = self.stage.attached(self.program)
        return True


def _soaked(
    stage: Stage, count: int, *, between: tuple[float, float], off_for: tuple[float, float], seconds: float
) -> Row:
    """Run ``count`` calls, and strike until all have ended or ``seconds`` are over."""
    hosts = stage.hosts(3)
    program = stage.program(
        hosts, count, _EACH, retries=_RETRIES, processes=_SLOTS, host_lost_timeout=_LOST_AFTER
    ).submitted()  # fmt: skip
    soak = _Soak(stage, hosts, program, random.Random(stage.seed), off_for)
    deadline = time.monotonic() + seconds
    while not soak.program.has_ended():
        assert time.monotonic() < deadline, f"calls go on after {seconds:g} s (seed {stage.seed})"
        time.sleep(soak.chance.uniform(*between))
        if not soak.program.has_ended():
            soak.strike()
    done = ", ".join(f"{times} x {name}" for name, times in sorted(soak.done.items()))
    print(f"soak with seed {stage.seed}: {done}", file=sys.stderr)
    return row_of(
        soak.program, hosts, injected=sum(soak.done.values()), recovery=max(soak.pauses, default=0.0)
    )


@scenario("soak-short", "2,000 calls, a random process killed every few seconds", repeats=True)
def _short(stage: Stage) -> Row:
    return _soaked(stage, 2_000, between=(0.5, 3), off_for=(0.1, 1), seconds=50)


@scenario("soak", "20,000 calls, a random process killed every few seconds", fast=False, repeats=True)
def _long(stage: Stage) -> Row:
    return _soaked(stage, 20_000, between=(1, 5), off_for=(0.5, 8), seconds=540)
