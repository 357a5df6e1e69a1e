"""The job and the host that a command is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional

from lithops.cli.exits import NothingThere
from lithops.cli.invocation import Invocation
from lithops.errors import ConfigError
from lithops.inspection.hosts import KnownHost, find_host, known_hosts, machines_of_job
from lithops.state.lookup import noted
from lithops.state.records import JobRecord, Records, state_folder

if TYPE_CHECKING:
    from lithops.backends.machine import Machine


@contextmanager
def found_job(invocation: Invocation, job: Optional[str]) -> Iterator[tuple[Records, JobRecord]]:
    """The records, and the job that is meant (None: the newest). Raises NothingThere, JobUnknown."""
    with invocation.records() as records:
        if records is None or not records.jobs():
            raise NothingThere(f"there are no jobs in {where()}")
        yield records, noted(records, job, where()) if job else records.jobs()[0]


def found_host(invocation: Invocation, name: str) -> KnownHost:
    """The host that is called so. Raises HostUnknown, ConfigError."""
    with invocation.records() as records:
        return find_host(known_hosts(invocation.settings(), records), name)


def machines_for(invocation: Invocation, records: Records, record: JobRecord) -> Sequence[Machine]:
    """The hosts that may have calls of a job. Raises ConfigError."""
    return machines_of_job(records, record, current_config(invocation))


def current_config(invocation: Invocation) -> Mapping[str, Any]:
    """The configuration of today, from which secrets are taken."""
    try:
        return invocation.settings().config
    except ConfigError:
        return {}  # Whatever is wrong with it, the job has its own.


def where() -> str:
    """The file of the records, for messages."""
    return str(state_folder() / "state.db")
