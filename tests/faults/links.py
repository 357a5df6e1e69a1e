"""The connection between the program and a host is lost for a while: no call runs twice because of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.faults.scenario import PATIENCE, Row, Stage, half_way, row_of, scenario
from tests.testbed import Host

_CALLS = 60
_EACH = 0.2


def _interrupted(stage: Stage, interrupt: Callable[[Host], None], *, patience: float = PATIENCE) -> Row:
    """Interrupt the connection to one of two hosts in the middle of a job."""
    hosts = stage.hosts(2)
    program = stage.program(hosts, _CALLS, _EACH)
    half_way(program)
    interrupt(hosts[0])
    back_at, missing = time.monotonic(), set(range(_CALLS)) - program.told()
    recovery = program.recovered(back_at, missing, patience)
    return row_of(program, hosts, injected=1, recovery=recovery, seconds=patience)


def _without_link(seconds: float) -> Callable[[Host], None]:
    def interrupt(host: Host) -> None:
        host.link_down()
        time.sleep(seconds)
        host.link_up()

    return interrupt


@scenario("link-1s", "link of a host down for 1 s")
def _link_for_1_s(stage: Stage) -> Row:
    return _interrupted(stage, _without_link(1))


@scenario("link-30s", "link of a host down for 30 s", fast=False)
def _link_for_30_s(stage: Stage) -> Row:
    return _interrupted(stage, _without_link(30), patience=60)


@scenario("link-5min", "link of a host down for 5 min", fast=False)
def _link_for_5_min(stage: Stage) -> Row:
    return _interrupted(stage, _without_link(300), patience=60)


@scenario("sshd", "sshd restarted, its sessions killed")
def _sshd(stage: Stage) -> Row:
    def interrupt(host: Host) -> None:
        sessions = host.run("pgrep -u user sshd").stdout.split()
        host.restart_sshd()
        host.run(f"kill -KILL {' '.join(sessions)}")

    return _interrupted(stage, interrupt)


def _suspended(stage: Stage, seconds: float) -> Row:
    """Stop the program, as closing a laptop does, and let it go on."""
    host = stage.host()
    program = stage.program([host], _CALLS // 2, _EACH)
    half_way(program)
    program.signal(signal.SIGSTOP)
    time.sleep(seconds)
    missing, back_at = set(range(program.count)) - program.told(), time.monotonic()
    program.signal(signal.SIGCONT)
    recovery = program.recovered(back_at, missing, PATIENCE)
    return row_of(program, [host], injected=1, recovery=recovery)


@scenario("suspend-2s", "program suspended for 2 s")
def _suspended_for_2_s(stage: Stage) -> Row:
    return _suspended(stage, 2)


@scenario("suspend-40s", "program suspended for 40 s", fast=False)
def _suspended_for_40_s(stage: Stage) -> Row:
    return _suspended(stage, 40)
