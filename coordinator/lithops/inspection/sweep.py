"""How the calls of a job ended of which nobody has collected the results: the hosts still have them.

It only looks: hosts keep the results for whoever attaches to the job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lithops.backends.machine import Machine
from lithops.dispatch.client import AgentClient
from lithops.dispatch.outcomes import failure_of, outcome_of
from lithops.errors import HostError
from lithops.inspection.agents import agent_of
from lithops.inspection.parallel import ANSWER_TIMEOUT, ask_all
from lithops.state.records import FailureRecord, JobRecord, ProgressRecord, Records
from lithops_agent.protocol import ResultRecord, Status


@dataclass
class Found:
    """The calls that have ended on one host."""

    numbers: set[int] = field(default_factory=set)
    failures: dict[int, FailureRecord] = field(default_factory=dict)


def sweep(
    records: Records,
    job: JobRecord,
    machines: Sequence[Machine],
    now: float,
    timeout: float = ANSWER_TIMEOUT,
) -> None:
    """Look at the results that hosts have of a job, and note down how its calls ended."""
    ended: set[int] = set()
    failures = {failure.number: failure for failure in records.failures_of(job.job_key)}
    for answer in ask_all(machines, lambda machine: results_of(machine, job), timeout):
        if not isinstance(answer, HostError):
            ended |= answer.numbers
            failures.update(answer.failures)
    known = records.progress().get(job.job_key)
    if known is not None and known.done >= len(ended):
        return  # Its program has seen as much; a host may be gone since.
    records.calls_failed(failures.values())
    failed = max(len(failures), known.failed if known else 0)
    records.progressed(ProgressRecord(job_key=job.job_key, done=len(ended), failed=failed, at=now))


def results_of(machine: Machine, job: JobRecord) -> Found:
    """How the calls of a job ended on one host. Raises HostError."""
    found = Found()
    with agent_of(machine) as agent:
        after, is_last = 0, agent is None
        while agent is not None and not is_last:
            header, page = agent.results(job.executor_id, after, 0.0)
            after, is_last = int(header["cursor"]), not page
            for record in page:
                if record.job == job.job_key:
                    _note(found, agent, record, job, machine.name)
    return found


def _note(found: Found, client: AgentClient, record: ResultRecord, job: JobRecord, host: str) -> None:
    found.numbers.add(record.number)
    if record.status == Status.SUCCESS:
        return
    body = client.body(record.seq) if record.body is None else record.body
    outcome = outcome_of(record, body, host, job.function_name, None)
    found.failures[record.number] = failure_of(job.job_key, record.number, outcome)
