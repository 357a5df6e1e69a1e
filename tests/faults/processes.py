"""Processes of a host are killed with SIGKILL while a job runs there."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

from tests.faults.program import Program
from tests.faults.scenario import (
    PATIENCE,
    Row,
    Stage,
    agent_pids,
    half_way,
    kill,
    row_of,
    scenario,
    under_way,
    zygote_pids,
)
from tests.integration.support import eventually
from tests.testbed import Host

_CALLS = 30
_EACH = 0.25

Victims = Callable[[Host, Program], Iterable[int]]


def _killed(stage: Stage, victims: Victims, *, times: int, user: str = "user", retries: int = 0) -> Row:
    """Kill processes several times during a job on one host."""
    host = stage.host()
    program = stage.program([host], _CALLS, _EACH, user=user, retries=retries)
    recovery = 0.0
    for round_number in range(times):
        half_way(program, 4 + 8 * round_number)
        eventually(lambda: bool(under_way(host, program)), "calls that run")
        met = under_way(host, program)
        kill(host, victims(host, program))
        recovery = max(recovery, program.recovered(time.monotonic(), met, PATIENCE))
    return row_of(program, [host], injected=times, recovery=recovery)


@scenario("agent", "agent killed (a process of its own)", repeats=True)
def _agent(stage: Stage) -> Row:
    return _killed(stage, lambda host, program: agent_pids(host), times=2)


@scenario("agent-unit", "agent killed (a unit of systemd)", repeats=True)
def _agent_unit(stage: Stage) -> Row:
    return _killed(stage, lambda host, program: agent_pids(host, "admin"), times=2, user="admin")


@scenario("agent-often", "agent killed at random instants of 3,000 short calls", fast=False, repeats=True)
def _agent_often(stage: Stage) -> Row:
    host, chance = stage.host(), random.Random(stage.seed)
    program = stage.program([host], 3_000, 0.01).submitted()
    times, recovery = 0, 0.0
    while times < 10 and (missing := set(range(program.count)) - program.told()):
        time.sleep(chance.uniform(0.05, 1.0))
        if pids := agent_pids(host):
            kill(host, pids)
            times += 1
            recovery = max(recovery, program.recovered(time.monotonic(), missing, PATIENCE))
    return row_of(program, [host], injected=times, recovery=recovery)


@scenario("worker", "worker killed", repeats=True)
def _worker(stage: Stage) -> Row:
    return _killed(stage, lambda host, program: under_way(host, program).values(), times=2, retries=2)


@scenario("zygote", "zygote killed", repeats=True)
def _zygote(stage: Stage) -> Row:
    return _killed(stage, lambda host, program: zygote_pids(host), times=2)


@scenario("deadly", "calls that kill their worker each time", repeats=True)
def _deadly(stage: Stage) -> Row:
    """Every third call kills its worker at each of its three attempts; the agent and the others go on."""
    host = stage.host()
    program = stage.program([host], 12, 0.1, function="deadly", retries=2)
    eventually(lambda: bool(program.told()), "a first result", PATIENCE)
    before = agent_pids(host)
    row = row_of(
        program, [host], injected=3 * 4, recovery=0.0,
        expected=lambda number: "WorkerDied" if number % 3 == 0 else None,
    )  # fmt: skip
    assert agent_pids(host) == before, "the agent did not outlive its workers"
    for number, end in program.ends().items():
        if end.error:
            for word in (host.address, program.job, f"{number:05d}", "SIGKILL"):
                assert word in end.message, end.message
    return row
