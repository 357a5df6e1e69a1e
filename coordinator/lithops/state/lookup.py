"""Which jobs of the records an id stands for: of a job, of a call of it, of an executor, or only ``M000``."""

from __future__ import annotations

from lithops.errors import JobUnknown
from lithops.state.records import JobRecord, Records

_SHOWN = 5


def unreleased(records: Records, job_id: str, where: str) -> list[JobRecord]:
    """The jobs that can be continued, the oldest first; ``where`` names the records. Raises JobUnknown."""
    found = _matching(records, job_id, [job for job in records.jobs() if job.released_at is None])
    if not found:
        raise JobUnknown(f"there is no job {job_id!r} in {where}; {_recent(records)}")
    left = [record for record in found if record.released_at is None]
    if not left:
        raise JobUnknown(f"the results of job {found[0].job_key} were collected and are forgotten")
    return left


def noted(records: Records, job_id: str, where: str) -> JobRecord:
    """The job, whether it has ended or not; of those called ``M000``, the newest. Raises JobUnknown."""
    jobs = records.jobs()
    named = [job for job in jobs if job.job_id == job_id][:1]
    found = named or _matching(records, job_id, jobs)
    if not found:
        last = ", ".join(job.job_key for job in jobs[:_SHOWN])
        raise JobUnknown(
            f"there is no job {job_id!r} in {where}; "
            + (f"the last ones are {last}" if last else "there is none")
        )
    if len(found) > 1:
        keys = ", ".join(job.job_key for job in found[:_SHOWN])
        raise JobUnknown(f"executor {job_id} has {len(found)} jobs: say which one, such as {keys}")
    return found[0]


def _matching(records: Records, job_id: str, jobs: list[JobRecord]) -> list[JobRecord]:
    """Those that an id stands for; ``jobs`` are those that may go by a short one."""
    parts = job_id.split("-")
    if len(parts) >= 4:  # The id of a call of the job.
        parts = parts[:3]
    if len(parts) == 3:
        job = records.job("-".join(parts))
        return [job] if job else []
    if len(parts) == 2:
        return records.jobs_of(job_id)
    found = [job for job in jobs if job.job_id == job_id]
    if len(found) > 1:
        keys = ", ".join(job.job_key for job in found[:_SHOWN])
        raise JobUnknown(f"{len(found)} jobs are called {job_id}: say which one, such as {keys}")
    return found


def _recent(records: Records) -> str:
    left = [job.job_key for job in records.jobs() if job.released_at is None][:_SHOWN]
    return f"the last ones are {', '.join(left)}" if left else "there is no job that could be continued"
