"""Find what this client has left in the cloud, by names alone, and remove it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.api import ADDRESS, INSTANCE, VOLUME, WORDS, VpcApi
from lithops.backends.ibm_vpc.identity import Identity
from lithops.backends.ibm_vpc.network import KINDS
from lithops.backends.ibm_vpc.orphans import Known, Rules, Thing, orphans
from lithops.backends.ibm_vpc.removal import REMOVAL_TIMEOUT, remove
from lithops.backends.leftovers import Leftover
from lithops.config.settings import IbmVpcSettings, Settings
from lithops.errors import LithopsError
from lithops.ssh.deadline import Deadline
from lithops.state.cloud import CloudRecords, ResourceRecord
from lithops.state.programs import is_running
from lithops.state.records import HostRecord, Records

logger = logging.getLogger(__name__)

BACKEND = "ibm_vpc"
_KINDS = {**KINDS, names.VM: INSTANCE, names.ADDRESS: ADDRESS, names.DISK: VOLUME}


def find_leftovers(
    settings: Settings, *, everything: bool, folder: Path | None = None, now: float | None = None
) -> list[Leftover]:
    """What of this client's may go, in the region of the settings, in the order in which it is to go.

    ``everything``: also what programs that run need. In the mode `consume`, nothing was created.

    Raises:
        CloudError: the cloud can't be asked.
        OSError, sqlite3.Error: the records can't be read.
    """
    section = settings.backend
    assert isinstance(section, IbmVpcSettings)
    identity = Identity(folder)
    records, cloud = Records(folder), CloudRecords(folder)
    try:
        api = VpcApi(section)
        things = list(_things(api, identity.client))
        noted = cloud.left()
        _forget_vanished(cloud, noted, things, section.region)
        hosts = {host.host: host for host in records.hosts() if host.backend == BACKEND}
        scopes = {thing.name.scope for thing in things}
        users = {scope: _users(scope, noted, hosts.values()) for scope in scopes}
        rules = Rules(
            everything=everything,
            keep_stopped=frozenset(
                scope for scope in scopes if not _deletes(users[scope], records, section.delete_on_dismantle)
            ),
        )
        living = {scope: any(_runs(user, records) for user in users[scope]) for scope in scopes}
        known = {thing.text: _known(thing.text, hosts, records) for thing in things}
        found = orphans(things, living, known, rules, time.time() if now is None else now)
    finally:
        records.close()
        cloud.close()
    return [
        Leftover(
            kind=WORDS.get(thing.kind, thing.kind),
            name=thing.text,
            where=f"{BACKEND} {section.region}",
            why=why,
            remove=_remover(api, thing, identity, folder),
        )
        for thing, why in found
    ]


def reap(settings: Settings, *, folder: Path | None = None) -> list[str]:
    """Remove what nobody needs any more; the names of what is gone. What can't be removed is logged."""
    gone = []
    for leftover in find_leftovers(settings, everything=False, folder=folder):
        try:
            leftover.remove()
        except LithopsError as exc:
            logger.warning("%s %s can't be removed now: %s", leftover.kind, leftover.name, exc)
        else:
            gone.append(leftover.name)
    return gone


def _things(api: VpcApi, client: str) -> Iterable[Thing]:
    """All that this client has made, whatever the records say."""
    for role, kind in _KINDS.items():
        for found in api.list(kind):
            name = names.parse(found["name"])
            if name is None or name.scope.client != client or name.role != role:
                continue
            if role == names.DISK and found["volume_attachments"]:
                continue  # It goes with its machine.
            yield Thing(
                name=name,
                text=found["name"],
                kind=kind,
                id=found["id"],
                status=str(found.get("status", "")),
            )


def _forget_vanished(
    cloud: CloudRecords, noted: Iterable[ResourceRecord], things: Iterable[Thing], region: str
) -> None:
    """Note down that things are gone which somebody else has removed, or the machines themselves."""
    there = {thing.text for thing in things}
    for record in noted:
        # Without an id, it may be being created at this moment.
        if record.region == region and record.id is not None and record.name not in there:
            cloud.gone(record.name, time.time())


def _users(scope: names.Scope, noted: Iterable[ResourceRecord], hosts: Iterable[HostRecord]) -> set[str]:
    """The executors that have created something of a scope, or were the last to use a machine of it."""
    users = {record.executor_id for record in noted if record.scope == scope.key}
    for host in hosts:
        name = names.parse(host.host)
        if name is not None and name.scope == scope:
            users.add(host.executor_id)
    return users


def _runs(executor_id: str, records: Records) -> bool:
    """Whether the program of an executor runs, and has not closed it."""
    executor = records.executor(executor_id)
    return (
        executor is not None and executor.closed_at is None and is_running(executor.pid, executor.created_at)
    )


def _deletes(users: Iterable[str], records: Records, default: bool) -> bool:
    """Whether machines of these executors are deleted in the end, and not only stopped."""
    configs = [executor.config for user in users if (executor := records.executor(user)) is not None]
    wishes = [config.get(BACKEND, {}).get("delete_on_dismantle", default) for config in configs]
    return all(wishes) if wishes else default


def _known(name: str, hosts: Mapping[str, HostRecord], records: Records) -> Known:
    host = hosts.get(name)
    if host is None:
        return Known()
    return Known(
        heard=host.ended_at is None,
        ends_at=host.deadline_at,
        has_results=records.has_unreleased_jobs(name),
    )


def _remover(api: VpcApi, thing: Thing, identity: Identity, folder: Path | None) -> Callable[[], None]:
    def act() -> None:
        remove(api, thing.kind, thing.id, Deadline.after(REMOVAL_TIMEOUT))
        now = time.time()
        cloud = CloudRecords(folder)
        try:
            cloud.gone(thing.text, now)
        finally:
            cloud.close()
        if thing.kind == INSTANCE:
            identity.forget(thing.text)
            records = Records(folder)
            try:
                records.host_ended(BACKEND, thing.text, now)
            finally:
                records.close()

    return act
