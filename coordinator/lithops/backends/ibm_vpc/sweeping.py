"""Find what this client has left in the cloud, by names alone, and remove it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.api import ADDRESS, INSTANCE, VOLUME, WORDS, VpcApi
from lithops.backends.ibm_vpc.identity import Identity
from lithops.backends.ibm_vpc.network import KINDS
from lithops.backends.ibm_vpc.orphans import Known, Rules, Thing, orphans
from lithops.backends.ibm_vpc.removal import REMOVAL_TIMEOUT, remove
from lithops.backends.leftovers import Leftover
from lithops.config.ibm import CONSUME
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
        rules = Rules(
            everything=everything,
            keep_stopped=not section.delete_on_dismantle or settings.standalone.exec_mode == CONSUME,
            set_up=settings.standalone.start_timeout + settings.standalone.soft_dismantle_timeout,
        )
        living = {
            scope: _lives(scope, noted, hosts.values(), records)
            for scope in {thing.name.scope for thing in things}
        }
        known = {thing.text: _known(thing.text, noted, hosts) for thing in things}
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


def _lives(
    scope: names.Scope, noted: Iterable[ResourceRecord], hosts: Iterable[HostRecord], records: Records
) -> bool:
    """Whether a program runs that has created something of the scope, or has used a machine of it last."""
    users = {record.executor_id for record in noted if record.scope == scope.key}
    for host in hosts:
        name = names.parse(host.host)
        if name is not None and name.scope == scope:
            users.add(host.executor_id)
    for executor_id in users:
        executor = records.executor(executor_id)
        if executor is None or executor.closed_at is not None:
            continue
        if is_running(executor.pid, executor.created_at):
            return True
    return False


def _known(name: str, noted: Iterable[ResourceRecord], hosts: dict[str, HostRecord]) -> Known:
    host = hosts.get(name)
    asked_at = next((record.asked_at for record in noted if record.name == name), None)
    heard = host is not None and host.ended_at is None
    return Known(heard=heard, ends_at=host.deadline_at if host else None, asked_at=asked_at)


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
