"""What is left on hosts, on this machine and in the cloud, and may go: found here, removed when asked to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional, Union

from lithops.backends.leftovers import Leftover
from lithops.backends.localhost import LocalMachine
from lithops.backends.machine import Machine
from lithops.backends.vm import VmMachine
from lithops.config.settings import Settings
from lithops.dispatch.client import ask_to_end
from lithops.errors import HostError
from lithops.inspection.agents import agent_of
from lithops.inspection.hosts import KnownHost, known_hosts, machine_named
from lithops.inspection.parallel import ask_all
from lithops.inspection.workers import CLOUDS
from lithops.state.ledger import spool_path
from lithops.state.programs import is_running
from lithops.state.records import HostRecord, Records, state_folder

_FORGET_AFTER = 24 * 3600.0
"""Seconds after its deadline that a host which can't be reached is believed to have ended by itself."""


@dataclass(frozen=True, kw_only=True)
class Stay:
    """Something that is left where it is, and why."""

    name: str
    why: str


@dataclass(frozen=True, kw_only=True)
class OnHost:
    """What there is on a host: what the agent does (None: none is alive), and whether anything is left."""

    status: Optional[dict[str, Any]] = None
    left: bool = False


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What may go, in that order, what stays, and the hosts that could not be looked at."""

    leftovers: Sequence[Leftover]
    stays: Sequence[Stay]
    errors: Sequence[HostError]


def find(settings: Settings, records: Optional[Records], now: float, *, everything: bool) -> Findings:
    """Look everywhere. ``everything``: also what jobs that run or wait to be collected need."""
    found: list[Union[Leftover, Stay, HostError]] = []
    hosts = [host for host in known_hosts(settings, records) if host.backend not in CLOUDS]
    for host, answer in zip(hosts, ask_all(hosts, look_at)):
        item = (
            _unreachable(host, answer, records, now)
            if isinstance(answer, HostError)
            else _on_host(host, answer, records, now, everything=everything)
        )
        found += [item] if item is not None else []
    if records is not None:
        found += _spools(records, now, everything=everything)
    if settings.backend_name in CLOUDS:
        found += _in_cloud(settings, everything=everything)
    if everything:
        found += _caches()
    return Findings(
        leftovers=[item for item in found if isinstance(item, Leftover)],
        stays=[item for item in found if isinstance(item, Stay)],
        errors=[item for item in found if isinstance(item, HostError)],
    )


# ---- hosts --------------------------------------------------------------------------------------------


def look_at(host: KnownHost) -> OnHost:
    """What there is of an agent on a host. Raises HostError."""
    with agent_of(host.machine) as agent:
        if agent is not None:
            return OnHost(status=agent.status(), left=True)
    machine = host.machine
    return OnHost(left=isinstance(machine, (VmMachine, LocalMachine)) and machine.is_left())


def _on_host(
    host: KnownHost, found: OnHost, records: Optional[Records], now: float, *, everything: bool
) -> Union[Leftover, Stay, None]:
    if not found.left:
        return None
    needed = "" if everything else why_needed(found, *_users(host.record, records))
    if needed:
        return Stay(name=host.name, why=needed)
    kind, why = ("agent", "no job runs there") if found.status else ("files", "its agent has ended")
    if found.status and (found.status["running"] or found.status["waiting"]):
        why = "calls of it are cancelled"

    def remove() -> None:
        end(removing_all(host))
        if records is not None:
            records.host_ended(host.backend, host.name, now)

    return Leftover(kind, host.name, host.backend, why, remove)


def why_needed(found: OnHost, program: Optional[int], has_results: bool) -> str:
    """Why what is on a host stays; nothing when it may go."""
    status = found.status
    if status is None:
        return ""
    if status["running"] or status["waiting"]:
        return "calls run or wait there"
    if program is not None:
        return f"process {program} uses it"
    return "it has results that nobody has collected yet" if has_results else ""


def _users(record: Optional[HostRecord], records: Optional[Records]) -> tuple[Optional[int], bool]:
    """The process that uses a host, if one does, and whether it has results that may be asked for."""
    if record is None or records is None:
        return None, False
    executor = records.executor(record.executor_id)
    running = executor is not None and executor.closed_at is None
    if executor is None or not running or not is_running(executor.pid, executor.created_at):
        return None, records.has_unreleased_jobs(record.host)
    return executor.pid, records.has_unreleased_jobs(record.host)


def removing_all(host: KnownHost) -> Machine:
    """The same host, with nothing of the agent kept, and without switching it off."""
    standalone = replace(host.settings.standalone, keep_agent=False, poweroff=False)
    settings = replace(host.settings, standalone=standalone)
    executor_id = host.record.executor_id if host.record else ""
    return machine_named(settings, host.name, executor_id) or host.machine


def end(machine: Machine) -> None:
    """End the agent of a host, and wait until it is gone. Raises HostError."""
    machine.dismantle(ask_to_end)


def end_shared(ended: Iterable[KnownHost], records: Records) -> list[str]:
    """Remove what the hosts of an executor share, once all of them were ended; what went wrong."""
    from lithops.dispatch import supply_of

    in_use = {record.executor_id for record in records.hosts() if record.ended_at is None}
    settings = {host.record.executor_id: host.settings for host in ended if host.record is not None}
    failures = []
    for executor_id, its in settings.items():
        if executor_id not in in_use:
            try:
                supply_of(its, executor_id).end()
            except HostError as exc:
                failures.append(str(exc))
    return failures


def _unreachable(
    host: KnownHost, error: HostError, records: Optional[Records], now: float
) -> Union[Leftover, HostError]:
    record = host.record
    if records is None or record is None or record.deadline_at is None:
        return error
    if record.ended_at is not None or now - record.deadline_at < _FORGET_AFTER:
        return error
    why = "it can't be reached, and should have ended long ago"
    return Leftover(
        "record", host.name, "state.db", why, lambda: records.host_ended(host.backend, host.name, now)
    )


# ---- this machine -------------------------------------------------------------------------------------


def _spools(records: Records, now: float, *, everything: bool) -> list[Union[Leftover, Stay]]:
    """Data of calls that programs submitted."""
    found: list[Union[Leftover, Stay]] = []
    for path in sorted(state_folder().joinpath("spool").glob("*")):
        executor = records.executor(path.name)
        if executor is None:
            why = "no program is known that it belongs to"
        elif not everything:
            continue
        elif executor.closed_at is None and is_running(executor.pid, executor.created_at):
            found.append(Stay(name=str(path), why=f"process {executor.pid} uses it"))
            continue
        else:
            why = "its program has ended; its jobs can't be continued without it"
        found.append(Leftover("data", path.name, str(path.parent), why, _forget(records, path.name, now)))
    return found


def _forget(records: Records, executor_id: str, now: float) -> Callable[[], None]:
    def forget() -> None:
        records.jobs_released([job.job_key for job in records.jobs_of(executor_id)], now)
        spool_path(executor_id).unlink(missing_ok=True)

    return forget


def _caches() -> list[Leftover]:
    from lithops.bootstrap.bundle import cache_path

    folder = cache_path()
    if not folder.is_dir():
        return []
    why = "bundles and packages are made or fetched again when they are needed"
    return [Leftover("cache", folder.name, str(folder.parent), why, lambda: shutil.rmtree(folder))]


# ---- the cloud ----------------------------------------------------------------------------------------


def _in_cloud(settings: Settings, *, everything: bool) -> list[Union[Leftover, HostError]]:
    from lithops.backends.ibm_vpc import leftovers

    try:
        return [*leftovers(settings, everything=everything)]
    except HostError as exc:
        return [exc]
