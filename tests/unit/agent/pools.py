"""A pool with a journal in a folder, for tests: sends functions and reads results as a coordinator does."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cloudpickle

import lithops_agent
from lithops_agent.journal import CallData, Journal
from lithops_agent.pool import Pool
from lithops_agent.protocol import INLINE_LIMIT, JobSpec, ResultRecord, Status, parse_results
from lithops_agent.runtimes.python import PythonZygote
from tests.unit.agent import functions

cloudpickle.register_pickle_by_value(functions)

PATIENCE = 30.0
"""Seconds after which a test gives up; nothing that is waited for takes a tenth of it."""


def worker_path(folder: Path) -> str:
    """What workers import from: lithops_agent and cloudpickle, and nothing else."""
    path = folder / "worker-path"
    path.mkdir(parents=True, exist_ok=True)
    for package in (lithops_agent, cloudpickle):
        link = path / package.__name__
        if not link.exists():
            link.symlink_to(Path(str(package.__file__)).parent)
    return str(path)


def within(seconds: float, condition: Callable[[], Any], what: str = "it") -> Any:
    """Wait until a condition holds; what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.002)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Results:
    """Results of one job, by the number of the call."""

    def __init__(self, journal: Journal, records: Iterable[ResultRecord]) -> None:
        self._journal = journal
        self.records = {record.number: record for record in records}

    def status(self, number: int = 0) -> Status:
        return Status(self.records[number].status)

    def body(self, number: int = 0) -> bytes:
        record = self.records[number]
        if record.body is not None:
            return record.body
        found = self._journal.result_file(record.seq)
        assert found is not None
        return Path(found[0]).read_bytes()

    def value(self, number: int = 0) -> Any:
        """What the function returned."""
        assert self.status(number) == Status.SUCCESS, self.body(number)
        return pickle.loads(self.body(number))

    def account(self, number: int = 0) -> dict[str, Any]:
        """What the worker tells of an exception."""
        assert self.status(number) in (Status.EXCEPTION, Status.BAD_RESULT), self.body(number)
        told: dict[str, Any] = pickle.loads(self.body(number))
        return told

    def why(self, number: int = 0) -> str:
        """What the agent tells of a call that no worker reported."""
        return self.body(number).decode()

    def stat(self, number: int = 0) -> dict[str, float]:
        from lithops_agent.protocol import STATS

        return dict(zip(STATS, self.records[number].stats))


class Workshop:
    """A pool that runs, and its journal."""

    def __init__(self, folder: Path, processes: int = 2) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(folder / "work")
        self.pool = Pool(
            self.journal,
            processes,
            worker_path=worker_path(folder),
            folder=folder,
            base_env={"LITHOPS_WORKER": str(folder)},
        )
        self._jobs = 0

    def close(self) -> None:
        self.pool.stop()
        self.journal.close()

    def blob(self, value: Any) -> str:
        """Store what workers unpickle; its name."""
        data = cloudpickle.dumps(value)
        name = hashlib.sha256(data).hexdigest()
        self.journal.blob_path(name).write_bytes(data)
        return name

    def add(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], **spec: Any) -> JobSpec:
        """Record a job whose calls have these arguments, without running it."""
        self._jobs += 1
        calls = list(calls)
        named = {"job": f"job-{self._jobs}-{os.getpid()}", "session": "s", "runtime": sys.executable, **spec}
        job = JobSpec(function=self.blob(function), total=len(calls), **named)
        self.journal.add_job(job)
        self.journal.add_calls(job.job, [self._call(job, n, args) for n, args in enumerate(calls)])
        return job

    def _call(self, job: JobSpec, number: int, arguments: tuple[Any, ...]) -> CallData:
        data = cloudpickle.dumps((arguments, {}))
        if len(data) <= INLINE_LIMIT:
            return CallData(number, data, None)
        path = self.journal.job_folder(job.job) / f"data-{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return CallData(number, None, str(path))

    def submit(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], **spec: Any) -> JobSpec:
        """Run a function, once for each tuple of arguments."""
        job = self.add(function, calls, **spec)
        self.pool.submit(job, range(job.total))
        return job

    def records(self, job: JobSpec) -> list[ResultRecord]:
        page = self.journal.results(job.session, 0, 1 << 30)
        header = {"jobs": page.jobs, "count": len(page.records)}
        found = parse_results(header, b"".join([*page.records, *page.bodies]))
        return [record for record in found if record.job == job.job]

    def wait(self, job: JobSpec, count: int | None = None) -> Results:
        """The results of a job, when so many (all: None) are there."""
        wanted = job.total if count is None else count
        deadline = time.monotonic() + PATIENCE
        while True:
            seen = self.pool.recorded(job.session)
            records = self.records(job)
            if len(records) >= wanted:
                assert len({record.number for record in records}) == len(records), "recorded twice"
                return Results(self.journal, records)
            assert time.monotonic() < deadline, f"{len(records)} results of {wanted}"
            self.pool.wait_for_results(job.session, seen, 1.0)

    def run(self, function: Callable[..., Any], *arguments: Any, **spec: Any) -> Results:
        """One call."""
        return self.wait(self.submit(function, [arguments], **spec))

    def zygote_pid(self) -> int:
        """The process that forks the workers."""
        (zygote,) = self.pool._crew.zygotes
        assert isinstance(zygote, PythonZygote)
        return zygote._process.pid
