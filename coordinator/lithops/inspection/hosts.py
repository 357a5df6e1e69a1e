"""Which hosts there are: those of the configuration, and those that programs of this user still use."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from lithops.backends.machine import Machine, Supply
from lithops.config.kinds import did_you_mean
from lithops.config.secrets import with_secrets
from lithops.config.settings import Settings, resolve
from lithops.dispatch import supply_of
from lithops.errors import ConfigError, HostUnknown
from lithops.state.records import HostRecord, JobRecord, Records

logger = logging.getLogger(__name__)

_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class KnownHost:
    """A host that could be looked at. ``record`` is what programs noted down of it, if one used it."""

    name: str
    backend: str
    machine: Machine = field(repr=False)
    settings: Settings = field(repr=False)
    record: Optional[HostRecord] = None


def known_hosts(settings: Settings, records: Optional[Records]) -> list[KnownHost]:
    """The hosts of a configuration, then others whose agents were not seen to end."""
    noted = {(record.backend, record.host): record for record in (records.hosts() if records else ())}
    backend = settings.backend_name
    found = [
        KnownHost(
            name=machine.name,
            backend=backend,
            machine=machine,
            settings=settings,
            record=noted.pop((backend, machine.name), None),
        )
        for machine in configured(settings)
    ]
    if records is not None:
        found += _in_use(records, noted.values(), settings.config)
    return found


def configured(settings: Settings) -> Sequence[Machine]:
    """The hosts that a configuration has before any program uses it."""
    return supply_of(settings, "").machines(0)


def _in_use(records: Records, noted: Iterable[HostRecord], current: Mapping[str, Any]) -> Iterator[KnownHost]:
    """Hosts that executors have; those of one share a supply, for they may share more than that."""
    supplies: dict[str, Optional[tuple[Settings, Supply]]] = {}
    for record in noted:
        if record.ended_at is not None:
            continue
        executor_id = record.executor_id
        if executor_id not in supplies:
            supplies[executor_id] = _supply(records, record, current)
        found = supplies[executor_id]
        if found is None:
            continue
        settings, supply = found
        for machine in supply.named([record.host]):
            yield KnownHost(
                name=record.host, backend=record.backend, machine=machine, settings=settings, record=record
            )


def _supply(
    records: Records, record: HostRecord, current: Mapping[str, Any]
) -> Optional[tuple[Settings, Supply]]:
    try:
        settings = settings_of(records, record.executor_id, current)
    except ConfigError as exc:
        logger.warning("host %s is in use, and its configuration is not right any more: %s", record.host, exc)
        return None
    return None if settings is None else (settings, supply_of(settings, record.executor_id))


def settings_of(
    records: Records, executor_id: str, current: Mapping[str, Any] | None = None
) -> Optional[Settings]:
    """The configuration of an executor, with the secrets of the ``current`` one; None of an unknown one.

    Raises:
        ConfigError: it is not right any more.
    """
    executor = records.executor(executor_id)
    return None if executor is None else resolve(with_secrets(executor.config, current or {}))


def machine_named(settings: Settings, name: str, executor_id: str) -> Optional[Machine]:
    """The host that is called so, of a configuration or of what an executor with it had."""
    return next(iter(supply_of(settings, executor_id).named([name])), None)


def machines_of_job(records: Records, job: JobRecord, current: Mapping[str, Any]) -> list[Machine]:
    """The hosts that may have calls of a job. Raises ConfigError."""
    settings = settings_of(records, job.executor_id, current)
    used = records.agents_of(job.executor_id)
    return [] if settings is None else list(supply_of(settings, job.executor_id).named(used))


def find_hosts(hosts: Sequence[KnownHost], names: Sequence[str]) -> list[KnownHost]:
    """The hosts with these names, in their order. Raises HostUnknown."""
    by_name = {host.name: host for host in reversed(hosts)}
    for name in names:
        if name not in by_name:
            close = did_you_mean(name, tuple(by_name))
            raise HostUnknown(f"there is no host {name!r}{close or _there_are(list(by_name))}")
    return [by_name[name] for name in dict.fromkeys(names)]


def find_host(hosts: Sequence[KnownHost], name: str) -> KnownHost:
    """The host with this name. Raises HostUnknown."""
    return find_hosts(hosts, [name])[0]


def _there_are(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"; there are {', '.join(reversed(names[-_LISTED:]))}{more}" if names else "; there is none at all"
