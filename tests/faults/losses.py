"""A host is gone for good, its disk is full, or the program is."""

from __future__ import annotations

import time

from tests.faults.scenario import (
    PATIENCE,
    Row,
    Stage,
    agent_pids,
    begun,
    half_way,
    row_of,
    scenario,
    together,
    under_way,
)
from tests.integration.support import eventually

_NOTICED = 75.0
"""Seconds within which a silent host is given up: 15 until the link counts as dead, then some attempts."""


@scenario("power-cut", "power cut of one of three hosts", fast=False, repeats=True)
def _power_cut(stage: Stage) -> Row:
    """What the host had not finished runs on the others; of that, what had begun there runs twice."""
    hosts = stage.hosts(3)
    program = stage.program(hosts, 60, 0.5, host_lost_timeout=5)
    half_way(program, 9)
    met = under_way(hosts[0], program)
    hosts[0].kill()
    recovery = program.recovered(time.monotonic(), met, _NOTICED)
    row = row_of(program, hosts, injected=1, recovery=recovery, seconds=_NOTICED)
    twice = {number for number, times in begun(hosts, program).items() if times > 1}
    assert twice <= set(begun(hosts[:1], program)), "a call ran twice that the lost host had not begun"
    return row


@scenario("last-writes", "power cut of a host, its last writes lost", repeats=True)
def _last_writes(stage: Stage) -> Row:
    """The journal is on the disk as it was before the job came; the agent goes on from that."""
    host = stage.host()
    work, saved = "/home/user/.lithops/agent/work", "/home/user/saved"
    stage.program([host], 2, 0.0).wait(PATIENCE)
    pids = " ".join(map(str, agent_pids(host)))
    host.run(f"kill -STOP {pids}; mkdir {saved}; cp -a {work}/journal.db* {saved}; kill -CONT {pids}")
    program = stage.program([host], 30, 0.25)
    half_way(program)
    host.kill()
    cut_at, missing = time.monotonic(), set(range(program.count)) - program.told()
    disk = host.hardware.disk
    for path in disk.hold(work).glob("journal.db*"):
        path.unlink()
    for path in disk.hold(saved).iterdir():
        path.rename(disk.hold(work) / path.name)
    host.start()
    recovery = program.recovered(cut_at, missing, PATIENCE)
    return row_of(program, [host], injected=1, recovery=recovery)


@scenario("no-host-left", "power cut of all hosts", fast=False)
def _no_host_left(stage: Stage) -> Row:
    """Every call ends, with `HostLost`, which names the hosts and the job."""
    hosts = stage.hosts(2)
    program = stage.program(hosts, 12, 60.0, host_lost_timeout=5)
    eventually(lambda: all(under_way(host, program) for host in hosts), "calls on both hosts", PATIENCE)
    for host in hosts:
        host.kill()
    recovery = program.recovered(time.monotonic(), range(program.count), _NOTICED)
    row = row_of(
        program, hosts, injected=2, recovery=recovery, expected=lambda number: "HostLost", seconds=_NOTICED
    )
    for end in program.ends().values():
        for word in (program.job, *(host.address for host in hosts)):
            assert word in end.message, end.message
    return row


@scenario("program", "program killed; another one attaches")
def _program(stage: Stage) -> Row:
    hosts = stage.hosts(2)
    first = stage.program(hosts, 60, 0.2).submitted()
    half_way(first)
    first.kill()
    killed_at, missing = time.monotonic(), set(range(first.count)) - first.told()
    second = stage.attached(first)
    recovery = second.recovered(killed_at, missing, PATIENCE)
    return row_of(second, hosts, injected=1, recovery=recovery)


@scenario("disk-full", "disk of a host full")
def _disk_full(stage: Stage) -> Row:
    """What was accepted goes on; what comes is refused with an error that says so."""
    host = stage.host(disk="64M")
    accepted = stage.program([host], 40, 0.4)
    half_way(accepted)
    host.fill_disk()
    refused = stage.program([host], 6, 0.1)
    seen = row_of(refused, [host], injected=1, recovery=0.0, expected=lambda number: "HostDiskFull")
    for end in refused.ends().values():
        for word in (host.address, "free some space"):
            assert word in end.message, end.message
    host.free_disk()
    freed_at, missing = time.monotonic(), set(range(accepted.count)) - accepted.told()
    recovery = accepted.recovered(freed_at, missing, PATIENCE)
    return together([row_of(accepted, [host], injected=1, recovery=recovery), seen])
