"""Go on with what another process submitted, whether that one still runs, has ended or was killed.

Its records say what was submitted and where (`lithops.state`); its hosts hold the results, or run the
calls. So the futures that are made here end as those of the other process do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from lithops.errors import CallNotSubmitted, JobUnknown
from lithops.future import ResponseFuture
from lithops.job.info import owners

if TYPE_CHECKING:
    from lithops.executors import FunctionExecutor
    from lithops.futures_list import FuturesList
    from lithops.job.model import Session
    from lithops.state.records import ExecutorRecord, JobRecord, Records
    from lithops.state.spool import SpooledJob

_attachments: dict[str, Attachment] = {}


def attach(job_id: str, config: Optional[Mapping[str, Any]] = None) -> FuturesList:
    """The futures of a job of this user's that another process submitted, running or ended.

    Args:
        job_id: the ``job_key`` of its futures, such as ``5f2c9a61b3d0-0-M000``; the id of an executor for all
            of its jobs; or a ``job_id`` such as ``M000`` when only one job has it.
        config: the configuration that leads to its hosts; without it, that of the other process. Passwords
            are taken from the configuration that is found now.

    The list has an executor of its own: ``attach(...).get_result()`` waits for the results.

    Raises:
        JobUnknown: there is no such job, or its results were collected and forgotten.
        ConfigError: its configuration is not right any more.
    """
    from lithops.executors import FunctionExecutor

    executor_id = find(job_id)[0].executor_id
    fexec = FunctionExecutor(config=dict(config) if config else _config_of(executor_id))
    return fexec.attach(job_id)


class Attachment:
    """The jobs of one executor of another process, and the session that goes on with them."""

    def __init__(self, executor_id: str, session: Session) -> None:
        self.executor_id = executor_id
        self.session = session
        self._jobs: dict[str, list[ResponseFuture]] = {}

    def find_future(self, job_id: str, number: int) -> Optional[ResponseFuture]:
        """The future of a call of a job that was attached."""
        futures = self._jobs.get(f"{self.executor_id}-{job_id}", [])
        return futures[number] if 0 <= number < len(futures) else None

    def job_futures(self, job_id: str) -> Sequence[ResponseFuture]:
        """The futures of a job that was attached."""
        return self._jobs.get(f"{self.executor_id}-{job_id}", [])

    def futures_of(self, records: Sequence[JobRecord]) -> list[ResponseFuture]:
        """The futures of these jobs; the session is told of those that are new to it."""
        from lithops.state.ledger import spool_path
        from lithops.state.spool import read

        fresh = [record.job_key for record in records if record.job_key not in self._jobs]
        if fresh:
            spooled = read(spool_path(self.executor_id))
            self._take({key: spooled[key] for key in fresh if key in spooled})
            for record in records:
                if record.job_key not in self._jobs:
                    raise JobUnknown(f"the data of job {record.job_key} are gone: it can't be continued")
        return [future for record in records for future in self._jobs[record.job_key]]

    def _take(self, jobs: Mapping[str, SpooledJob]) -> None:
        from lithops.job.model import Outcome

        made: dict[str, list[ResponseFuture]] = {}
        for key, spooled in jobs.items():
            spooled.info.session = self.session
            made[key] = [ResponseFuture(spooled.info, number) for number in range(spooled.job.total_calls)]
        self._jobs.update(made)
        self.session.attach(jobs, made)
        for key, spooled in jobs.items():
            for future in made[key]:
                if future._number not in spooled.payloads:
                    future._on_outcome(Outcome(ok=False, host="", error=_not_submitted(future)))


def open_attachment(executor_id: str, fexec: FunctionExecutor) -> Attachment:
    """The attachment to an executor of another process; one for each in this process."""
    found = _attachments.get(executor_id)
    if found is None:
        session = fexec._open(fexec._settings, executor_id)
        found = _attachments[executor_id] = Attachment(executor_id, session)
        owners[executor_id] = found
    return found


def original_of(future: ResponseFuture) -> ResponseFuture:
    """The future, made here, of the same call as one that came from another process by pickle.

    Raises:
        JobUnknown: this machine and user have no record of its job.
    """
    from lithops.executors import FunctionExecutor

    owner = owners.get(future.executor_id)
    if owner is None:
        records = find(future.job_key)
        fexec = FunctionExecutor(config=_config_of(future.executor_id))
        open_attachment(future.executor_id, fexec).futures_of(records)
        owner = owners[future.executor_id]
    elif isinstance(owner, Attachment):
        owner.futures_of(find(future.job_key))
    original = owner.find_future(future.job_id, future._number)
    if original is None:
        raise JobUnknown(f"job {future.job_key} has no call {future.call_id}")
    return original


def find(job_id: str) -> list[JobRecord]:
    """The jobs that an id stands for, the oldest first. Raises JobUnknown."""
    from lithops.state.lookup import unreleased

    records = _records()
    try:
        return unreleased(records, job_id, _where())
    finally:
        records.close()


def _records() -> Records:
    from lithops.state.records import Records, state_folder

    if not (state_folder() / "state.db").exists():
        raise JobUnknown(f"{_where()} has no record of any job: jobs are continued where they were submitted")
    return Records()


def _where() -> str:
    from lithops.state.records import state_folder

    return str(state_folder() / "state.db")


def _config_of(executor_id: str) -> dict[str, Any]:
    """The configuration of another process's executor, with the secrets that are configured here now."""
    from lithops.config import default_config
    from lithops.config.secrets import with_secrets
    from lithops.errors import ConfigError

    records = _records()
    try:
        record: Optional[ExecutorRecord] = records.executor(executor_id)
    finally:
        records.close()
    if record is None:
        raise JobUnknown(f"{_where()} has no record of executor {executor_id}")
    try:
        current = default_config()
    except ConfigError:
        current = {}  # Whatever is wrong with it, it may not be needed.
    return with_secrets(record.config, current)


def _not_submitted(future: ResponseFuture) -> CallNotSubmitted:
    return CallNotSubmitted(
        f"{future.function_name}() was never handed to a host: the program ended before its data were known",
        job_id=future.job_key,
        call_id=future.call_id,
    )


def close_all() -> None:
    """Close the sessions of all attachments of this process."""
    while _attachments:
        _, attachment = _attachments.popitem()
        attachment.session.close()
