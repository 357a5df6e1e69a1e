"""The jobs of this user: what became of them, from the records and, where these end, from the hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Optional

from lithops.backends.machine import Machine
from lithops.dispatch.client import AgentClient
from lithops.errors import HostError
from lithops.inspection.agents import agent_of
from lithops.inspection.parallel import ANSWER_TIMEOUT, ask_all
from lithops.state.programs import is_running
from lithops.state.records import ExecutorRecord, FailureRecord, JobRecord, ProgressRecord, Records

State = Literal["done", "failed", "running", "script gone", "given up"]


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job. Instants are seconds since the epoch; ``failed`` counts cancelled calls, too.

    ``state``: ``running`` while its program lives and results are missing, ``script gone`` when that has
    ended before, ``given up`` when its data were removed then; else ``done``, or ``failed`` when a call has.
    """

    job: str
    function: str
    state: State
    calls: int
    done: int
    failed: int
    backend: str
    created_at: float
    ended_at: Optional[float]
    collected: bool
    """Whether hosts have forgotten it, for its program has seen the results."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one host has of a job. ``running`` are the numbers of calls; ``error``: it does not answer."""

    host: str
    waiting: int = 0
    running: Sequence[int] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """A job with its hosts and the calls of it that failed."""

    job: JobView
    hosts: Sequence[Share]
    failures: Sequence[FailureRecord]


def list_jobs(records: Records, alive: Callable[[int, float], bool] = is_running) -> list[JobView]:
    """All jobs, the newest first."""
    progress = records.progress()
    executors: dict[str, Optional[ExecutorRecord]] = {}
    views = []
    for job in records.jobs():
        if job.executor_id not in executors:
            executors[job.executor_id] = records.executor(job.executor_id)
        views.append(view(job, executors[job.executor_id], progress.get(job.job_key), alive))
    return views


def view(
    job: JobRecord,
    executor: Optional[ExecutorRecord],
    progress: Optional[ProgressRecord],
    alive: Callable[[int, float], bool],
) -> JobView:
    """A job as the records have it."""
    done, failed = (progress.done, progress.failed) if progress else (0, 0)
    has_ended = job.ended_at is not None or done >= job.total_calls
    state: State
    if has_ended:
        done, state = job.total_calls, "failed" if failed else "done"
    elif job.released_at is not None:
        state = "given up"
    elif executor is not None and executor.closed_at is None and alive(executor.pid, executor.created_at):
        state = "running"
    else:
        state = "script gone"
    return JobView(
        job=job.job_key,
        function=job.function_name,
        state=state,
        calls=job.total_calls,
        done=done,
        failed=failed,
        backend=executor.backend if executor else "",
        created_at=job.created_at,
        ended_at=job.ended_at,
        collected=job.released_at is not None,
    )


def shares(machines: Sequence[Machine], job_key: str, timeout: float = ANSWER_TIMEOUT) -> list[Share]:
    """What each host has of a job, asked at the same time."""

    def look(machine: Machine) -> Share:
        with agent_of(machine) as agent:
            return _share(machine.name, agent, job_key)

    return _told(machines, ask_all(machines, look, timeout))


def cancel(machines: Sequence[Machine], job_key: str, timeout: float = ANSWER_TIMEOUT) -> list[Share]:
    """End all calls of a job on its hosts; what each of them had."""

    def end(machine: Machine) -> Share:
        with agent_of(machine) as agent:
            share = _share(machine.name, agent, job_key)
            if agent is not None:
                agent.cancel(job_key, None)
        return share

    return _told(machines, ask_all(machines, end, timeout))


def _share(host: str, agent: Optional[AgentClient], job_key: str) -> Share:
    if agent is None:
        return Share(host=host)
    status = agent.status()
    running = sorted(number for job, number in status["running"] if job == job_key)
    return Share(host=host, waiting=status["waiting"].get(job_key, 0), running=running)


def _told(machines: Sequence[Machine], answers: Sequence[Share | HostError]) -> list[Share]:
    return [
        Share(host=machine.name, error=str(answer.args[0])) if isinstance(answer, HostError) else answer
        for machine, answer in zip(machines, answers)
    ]
