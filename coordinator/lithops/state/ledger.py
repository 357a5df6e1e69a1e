"""What one executor's session notes down, so that the script may die and another process go on.

A ledger never fails a call: when the folder can't be written (read-only, full), it says so once, and the
jobs of this executor can't be continued by another process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from lithops.job.info import JobInfo
from lithops.job.model import Job
from lithops.job.printed import Output, output
from lithops.state.keepsakes import Call, Keepsakes
from lithops.state.programs import is_running
from lithops.state.records import (
    ExecutorRecord,
    FailureRecord,
    HostRecord,
    JobRecord,
    Records,
    state_folder,
)
from lithops.state.spool import Spool
from lithops.state.tally import Tally
from lithops_agent.protocol import Part

logger = logging.getLogger(__name__)

_IN_MEMORY = 64 * 1024
"""Bytes that are kept of what a call printed, where there is no disk to keep it on."""


def spool_path(executor_id: str, folder: Optional[Path] = None) -> Path:
    """Where the spool of an executor is."""
    return (folder or state_folder()) / "spool" / executor_id


class Ledger:
    """The notes of one executor: ``config`` is its configuration without secrets. Thread-safe.

    Args:
        executor_id: whose notes they are; an earlier process may have begun them.
        backend: the name of its backend.
        folder: where the records are, for tests.
        clock: gives seconds since the epoch.
    """

    def __init__(
        self,
        executor_id: str,
        backend: str,
        config: Mapping[str, Any],
        *,
        folder: Optional[Path] = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._executor_id = executor_id
        self._backend = backend
        self._config = config
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted: set[str] = set()
        self._tally = Tally()
        self._records: Optional[Records] = None
        self._spool: Optional[Spool] = None
        self._keepsakes: Optional[Keepsakes] = None
        self._broken = False

    # -- jobs --

    def submitted(self, key: str, job: Job, info: JobInfo, calls: Sequence[tuple[int, bytes]]) -> None:
        """Calls are about to be handed to hosts."""
        with self._noting() as records:
            if records is None or self._spool is None:
                return
            if key not in self._wanted:
                self._wanted.add(key)
                records.job_submitted(_job_record(key, job))
            self._spool.write(key, job, info, calls)

    def resumed(self, keys: Sequence[str]) -> None:
        """Jobs that another process submitted go on in this one."""
        with self._lock:
            self._wanted.update(keys)

    def ended(self, key: str) -> None:
        """All results of a job are here."""
        with self._noting() as records:
            if records is not None:
                records.job_ended(key, self._clock())

    def outcomes(self, counted: Mapping[str, int], failures: Sequence[FailureRecord]) -> None:
        """So many calls of each job have ended, and these of them failed."""
        now = self._clock()
        with self._noting() as records:
            due = self._tally.count(counted, failures, now)
            if records is None:
                return
            if failures:
                records.calls_failed(failures)
            for record in due:
                records.progressed(record)

    def printed(self, parts: Sequence[Part]) -> list[Output]:
        """Calls have printed this; how their futures keep it."""
        with self._noting() as records:
            if records is not None and self._keepsakes is not None:
                return self._keepsakes.keep_printed(parts)
        return kept_in_memory(parts)

    def failed(self, calls: Sequence[Call]) -> None:
        """Calls have failed, and somebody may want to run them again."""
        with self._noting() as records:
            if records is not None and self._keepsakes is not None:
                self._keepsakes.keep_failed(calls)

    def released(self, keys: Sequence[str]) -> None:
        """Nobody will ask for these jobs again."""
        with self._noting() as records:
            self._wanted.difference_update(keys)
            self._tally.forget(keys)
            if records is not None:
                records.jobs_released(keys, self._clock())
            if self._spool is not None and not self._wanted:
                self._spool.empty()

    # -- hosts --

    def host_used(self, host: str, agent_id: str, ends_in: Optional[float]) -> None:
        """An agent serves this executor; it means to end in so many seconds, None: never."""
        now = self._clock()
        with self._noting() as records:
            if records is not None:
                records.host_used(
                    HostRecord(
                        backend=self._backend,
                        host=host,
                        executor_id=self._executor_id,
                        agent_id=agent_id,
                        seen_at=now,
                        deadline_at=None if ends_in is None else now + ends_in,
                    )
                )

    def host_ended(self, host: str) -> None:
        """The agent of a host has ended."""
        with self._noting() as records:
            if records is not None:
                records.host_ended(self._backend, host, self._clock())

    def agents(self) -> dict[str, str]:
        """The agent that this executor last used on each host."""
        with self._noting() as records:
            if records is not None:
                return records.agents_of(self._executor_id)
        return {}

    # -- the end --

    def close(self) -> None:
        """The executor is closed: what is still wanted stays."""
        with self._lock:
            records, spool = self._records, self._spool
            self._records = self._spool = None
        if spool is not None:
            spool.close(remove=not self._wanted)
        if records is not None:
            with contextlib.suppress(sqlite3.Error):
                records.executor_closed(self._executor_id, os.getpid(), self._clock())
                for executor_id in records.forget_old(self._clock()):
                    spool_path(executor_id, self._folder).unlink(missing_ok=True)
            records.close()
        if self._keepsakes is not None:
            with contextlib.suppress(OSError):
                self._keepsakes.forget(self._clock())

    @contextlib.contextmanager
    def _noting(self) -> Iterator[Optional[Records]]:
        """The records, opened at the first use; None when they can't be written."""
        with self._lock:
            records: Optional[Records] = None
            try:
                records = None if self._broken else self._opened()
            except (OSError, sqlite3.Error) as exc:
                self._broke(exc)
            try:
                yield records
            except (OSError, sqlite3.Error) as exc:
                self._broke(exc)

    def _broke(self, exc: Exception) -> None:
        self._broken = True
        logger.warning(
            "%s can't be written (%s): the jobs of this program can't be continued by another one",
            self._folder or state_folder(),
            exc,
        )

    def _opened(self) -> Records:
        if self._records is None:
            self._records = Records(self._folder)
            self._spool = Spool(spool_path(self._executor_id, self._folder))
            self._keepsakes = Keepsakes(self._folder or state_folder())
            known = self._records.executor(self._executor_id)
            if known is None or not _is_in_use(known):
                self._records.executor_opened(
                    ExecutorRecord(
                        executor_id=self._executor_id,
                        backend=self._backend,
                        config=self._config,
                        pid=os.getpid(),
                        created_at=self._clock(),
                    )
                )
        return self._records


def _is_in_use(executor: ExecutorRecord) -> bool:
    """Whether the program that it belongs to runs: then whoever only looks on must not take its place."""
    return executor.closed_at is None and is_running(executor.pid, executor.created_at)


def _job_record(key: str, job: Job) -> JobRecord:
    return JobRecord(
        job_key=key,
        executor_id=job.executor_id,
        job_id=job.job_id,
        function_name=job.function_name,
        total_calls=job.total_calls,
        created_at=job.created_at,
    )


def kept_in_memory(parts: Sequence[Part]) -> list[Output]:
    """What calls printed, where there is no disk to keep it on: the end of it."""
    return [
        output(part.begins + max(len(part.text) - _IN_MEMORY, 0), part.text[-_IN_MEMORY:]) for part in parts
    ]


class NoLedger:
    """For a session whose jobs nobody continues: that of a function that runs on a host itself."""

    def submitted(self, key: str, job: Job, info: JobInfo, calls: Sequence[tuple[int, bytes]]) -> None:
        """Note nothing."""

    def resumed(self, keys: Sequence[str]) -> None:
        """Note nothing."""

    def ended(self, key: str) -> None:
        """Note nothing."""

    def printed(self, parts: Sequence[Part]) -> list[Output]:
        """Keep it in memory."""
        return kept_in_memory(parts)

    def failed(self, calls: Sequence[Call]) -> None:
        """Note nothing."""

    def outcomes(self, counted: Mapping[str, int], failures: Sequence[FailureRecord]) -> None:
        """Note nothing."""

    def released(self, keys: Sequence[str]) -> None:
        """Note nothing."""

    def host_used(self, host: str, agent_id: str, ends_in: Optional[float]) -> None:
        """Note nothing."""

    def host_ended(self, host: str) -> None:
        """Note nothing."""

    def agents(self) -> dict[str, str]:
        """Know of none."""
        return {}

    def close(self) -> None:
        """Note nothing."""
