"""What the hosts do now, as their agents tell it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Optional

from lithops.errors import HostError
from lithops.inspection.agents import agent_of
from lithops.inspection.hosts import KnownHost
from lithops.inspection.parallel import ANSWER_TIMEOUT, ask_all

State = Literal["busy", "idle", "ending", "no agent", "unreachable"]

CLOUDS = ("ibm_vpc",)
_SAMPLE = 0.2
"""Seconds between the two looks that the use of the CPUs is computed from."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A host and what it does. None: not known, for nothing answers there or its agent is an older one.

    ``processes`` and ``busy`` are worker processes, ``cpu`` is the busy part of all CPUs from 0 to 1, memory
    is in bytes, ``ends_in`` in seconds (None with an agent: never) and ``ends_why`` what that counts from.
    """

    host: str
    backend: str
    state: State
    error: str = ""
    instance: Optional[str] = None
    agent_version: Optional[str] = None
    runtimes: Sequence[str] = ()
    processes: Optional[int] = None
    busy: Optional[int] = None
    waiting: Optional[int] = None
    cpus: Optional[int] = None
    cpu: Optional[float] = None
    memory: Optional[int] = None
    memory_used: Optional[int] = None
    jobs: Sequence[str] = ()
    ends_in: Optional[float] = None
    ends_why: str = ""
    cost: Optional[float] = None
    currency: str = ""


def workers_of(
    hosts: Sequence[KnownHost], timeout: float = ANSWER_TIMEOUT, now: Callable[[], float] = time.time
) -> list[Worker]:
    """What all hosts do, asked at the same time; what instances cost is counted until ``now``."""
    answers = ask_all(hosts, look_at, timeout)
    found = [
        answer if isinstance(answer, Worker) else _silent(host, answer)
        for host, answer in zip(hosts, answers)
    ]
    return [_with_instance(host, each, now()) for host, each in zip(hosts, found)]


def _with_instance(host: KnownHost, worker: Worker, now: float) -> Worker:
    """The same with the profile and the cost of a machine that was created in a cloud."""
    if host.backend not in CLOUDS or host.record is None:
        return worker
    from lithops.accounting import prices_of
    from lithops.accounting.machines import time_of
    from lithops.state.cloud import CloudRecords

    records = CloudRecords()
    try:
        resource = records.get(host.name)
    finally:
        records.close()
    if resource is None or not resource.profile:
        return worker
    prices, hours = prices_of(host.settings), time_of(resource).hours(now)
    per_hour = prices.per_hour(resource.profile, resource.region)
    cost = None if per_hour is None else hours * per_hour
    return replace(worker, instance=resource.profile, cost=cost, currency=prices.currency)


def look_at(host: KnownHost, pause: Callable[[float], None] = time.sleep) -> Worker:
    """What one host does. Raises HostError."""
    with agent_of(host.machine) as agent:
        if agent is None:
            return Worker(host=host.name, backend=host.backend, state="no agent")
        info, before = agent.info(), agent.status()
        pause(_SAMPLE)
        return worker(host, info, before, agent.status())


def worker(
    host: KnownHost, info: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]
) -> Worker:
    """What an agent said of itself, and twice of what it does."""
    running, waiting = now["running"], sum(now["waiting"].values())
    state: State = "ending" if now["draining"] else "busy" if running or waiting else "idle"
    jobs = now.get("jobs", {})
    usage: Mapping[str, Any] = now.get("host", {})
    runtimes = sorted({job["runtime"] for job in jobs.values()})
    memory = usage.get("memory")
    return Worker(
        host=host.name,
        backend=host.backend,
        state=state,
        agent_version=info["version"],
        runtimes=runtimes or [f"python {info['python']}"],
        processes=now.get("processes", info["processes"]),
        busy=len(running),
        waiting=waiting,
        cpus=usage.get("cpus"),
        cpu=_cpu(before.get("host", {}), usage),
        memory=memory,
        memory_used=memory - usage["memory_available"] if memory else None,
        jobs=sorted({*now["waiting"], *(job for job, _ in running)}),
        ends_in=now["time_to_dismantle"],
        ends_why=now["reason"],
    )


def _cpu(before: Mapping[str, Any], now: Mapping[str, Any]) -> Optional[float]:
    if not before or not now or now["cpu_total"] <= before["cpu_total"]:
        return None
    busy: float = (now["cpu_busy"] - before["cpu_busy"]) / (now["cpu_total"] - before["cpu_total"])
    return min(max(busy, 0.0), 1.0)


def _silent(host: KnownHost, error: HostError) -> Worker:
    return Worker(host=host.name, backend=host.backend, state="unreachable", error=str(error.args[0]))
