"""The third fence: hosts whose agents should have ended long ago, by the records of this user.

An agent ends its host by itself, and a fence of its own on the host does so when it can't. When both have
failed, whatever the reason, the next program of the user's finds it in the records and ends it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional

from lithops.backends.machine import Machine
from lithops.config.settings import Settings
from lithops.dispatch.client import AgentClient, ask_to_end
from lithops.errors import ConfigError, HostError
from lithops.inspection.hosts import machine_named, settings_of
from lithops.state.cloud import CloudRecords
from lithops.state.programs import is_running
from lithops.state.records import HostRecord, Records, state_folder

logger = logging.getLogger(__name__)

GRACE = 60.0
"""Seconds after its deadline that a host is left to its own fences."""
_once = threading.Lock()


def watch_once(config: Mapping[str, Any] | None = None) -> None:
    """Look for overdue hosts in the background, once in a process. ``config`` may have the secrets for it."""
    if _once.acquire(blocking=False):
        threading.Thread(target=_watch, args=(config,), name="overdue hosts", daemon=True).start()


def _watch(config: Mapping[str, Any] | None) -> None:
    looks: tuple[Callable[[], object], ...] = (end_overdue, lambda: reap_clouds(config))
    for look in looks:
        try:
            look()
        except Exception as exc:  # The top of a thread: nothing that runs depends on it.
            logger.debug("looking for overdue hosts failed: %s", exc, exc_info=True)


def end_overdue(
    folder: Optional[Path] = None, *, grace: float = GRACE, now: Optional[float] = None
) -> list[str]:
    """End the agents that should have ended ``grace`` seconds ago; the names of those hosts.

    A host that can't be reached stays in the records, for the next time.

    Raises:
        OSError, sqlite3.Error: the records can't be read.
    """
    if not ((folder or state_folder()) / "state.db").exists():
        return []
    now = time.time() if now is None else now
    ended = []
    records = Records(folder)
    try:
        for record in records.overdue(now, grace):
            if _end(records, record, now):
                ended.append(record.host)
    finally:
        records.close()
    return ended


def reap_clouds(config: Mapping[str, Any] | None = None, folder: Optional[Path] = None) -> list[str]:
    """Remove what programs that have ended left in clouds and nobody needs; the names of what is gone.

    Raises:
        OSError, sqlite3.Error: the records can't be read.
    """
    if not ((folder or state_folder()) / "state.db").exists():
        return []
    gone: list[str] = []
    records = Records(folder)
    try:
        for settings in _clouds_left(records, config, folder):
            from lithops.backends import ibm_vpc

            gone += ibm_vpc.reap(settings, folder=folder)
    except (HostError, ConfigError) as exc:
        logger.debug("what is left in the cloud can't be removed: %s", exc)
    finally:
        records.close()
    return gone


def _clouds_left(
    records: Records, config: Mapping[str, Any] | None, folder: Optional[Path]
) -> list[Settings]:
    """How to reach the clouds in which programs that have ended left something, each once."""
    cloud = CloudRecords(folder)
    try:
        users = {record.executor_id for record in cloud.left()}
    finally:
        cloud.close()
    found: dict[str, Settings] = {}
    for executor_id in sorted(users):
        executor = records.executor(executor_id)
        if executor is None or (executor.closed_at is None and is_running(executor.pid, executor.created_at)):
            continue
        try:
            settings = settings_of(records, executor_id, config)
        except ConfigError as exc:
            logger.debug("executor %s left something in a cloud: %s", executor_id, exc)
            continue
        if settings is not None:
            section = settings.config.get("ibm_vpc", {})
            where = (section.get(key) for key in ("endpoint", "region", "zone"))
            found.setdefault(str([settings.config.get("ibm"), *where]), settings)
    return list(found.values())


def _end(records: Records, record: HostRecord, now: float) -> bool:
    """See to the end of one host; whether it was ended here and now."""
    try:
        machine = _machine_of(records, record)
        if machine is None:
            records.host_ended(record.backend, record.host, now)
            return False
        left = _time_left(machine)
        if left is None and records.has_unreleased_jobs(record.host):
            # It ended as it should, and keeps results that may be asked for yet.
            records.host_ended(record.backend, record.host, now)
            return False
        if left is not None and (left[0] is None or left[0] > 0):
            # Another program has used it since, and its agent counts down anew.
            _note(records, record, now, left[0])
            return False
        machine.dismantle(ask_to_end)
    except (HostError, ConfigError) as exc:
        logger.warning("host %s should have ended, and can't be reached to end it: %s", record.host, exc)
        return False
    records.host_ended(record.backend, record.host, now)
    if left is not None:
        logger.warning(
            "host %s should have ended; its agent did not end by itself and was ended", record.host
        )
    return left is not None


def _machine_of(records: Records, record: HostRecord) -> Optional[Machine]:
    settings = settings_of(records, record.executor_id)
    return None if settings is None else machine_named(settings, record.host, record.executor_id)


def _time_left(machine: Machine) -> Optional[tuple[Optional[float]]]:
    """What an agent says of its end: seconds, None for never; an empty answer when there is no agent."""
    link = machine.find()
    if link is None:
        return None
    client = AgentClient(link.opener, link.token, link.host)
    try:
        return (client.status()["time_to_dismantle"],)
    except HostError:
        return (0.0,)  # It is there and does not answer.
    finally:
        client.close()
        link.close()


def _note(records: Records, record: HostRecord, now: float, left: Optional[float]) -> None:
    records.host_used(
        HostRecord(
            backend=record.backend,
            host=record.host,
            executor_id=record.executor_id,
            agent_id=record.agent_id,
            seen_at=now,
            deadline_at=None if left is None else now + left,
        )
    )
