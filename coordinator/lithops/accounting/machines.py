"""The machines that were created for an executor, as the records know them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Optional

from lithops.accounting.usage import MachineTime
from lithops.state.cloud import CloudRecords, ResourceRecord
from lithops.state.records import state_folder


def machines_of(executor_id: str, folder: Optional[Path] = None) -> list[MachineTime]:
    """The machines, the oldest first; none when nothing is known of the executor."""
    if not ((folder or state_folder()) / "state.db").exists():
        return []
    try:
        records = CloudRecords(folder)
    except (OSError, sqlite3.Error):
        return []  # Without records nothing is created, either.
    try:
        found = records.of_executor(executor_id)
    finally:
        records.close()
    return [time_of(record) for record in found if _may_be_paid_for(record)]


def _may_be_paid_for(record: ResourceRecord) -> bool:
    """Whether it is a machine that was created, or of which nobody has heard yet that it was not."""
    return bool(record.profile) and (record.made_at is not None or record.gone_at is None)


def time_of(record: ResourceRecord) -> MachineTime:
    """How long a machine is paid for."""
    return MachineTime(
        profile=record.profile,
        region=record.region,
        began_at=record.made_at or record.asked_at,
        ended_at=record.gone_at,
    )
