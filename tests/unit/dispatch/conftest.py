"""Sessions on fake machines, and the futures of what they are given."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from lithops.backends.machine import FixedSupply, Machine
from lithops.dispatch.jobs import SessionOptions
from lithops.dispatch.session import RemoteSession
from lithops.future import ResponseFuture
from lithops.job.info import JobInfo
from lithops.job.model import Blob, Job
from lithops.testing_agent import Answer, FakeAgent
from lithops.testing_machine import FakeMachine
from lithops_agent.protocol import Status

PATIENCE = 20.0
"""Seconds after which a test gives up; nothing that is waited for takes a tenth of it."""


def blob(data: bytes) -> Blob:
    return Blob(sha256=hashlib.sha256(data).hexdigest(), data=data)


def echo(job: str, number: int, data: bytes) -> tuple[int, bytes]:
    """Answers a call at once with what it was sent."""
    return Status.SUCCESS, data


class GrowingSupply(FixedSupply):
    """Gives one machine for each call; notes whether it was left, and whether all was ended."""

    left = False
    ended = False

    def machines(self, calls: int) -> Sequence[Machine]:
        return self._machines[:calls]

    def leave(self) -> None:
        self.left = True

    def end(self) -> None:
        self.ended = True


class Bench:
    """Sessions, each with its machines, and the jobs that are given to them."""

    def __init__(self) -> None:
        self.agents: list[FakeAgent] = []
        self.machines: dict[str, FakeMachine] = {}
        self.sessions: list[RemoteSession] = []
        self._jobs = itertools.count()
        self.session: RemoteSession
        self.supply: FixedSupply

    def agent(self, answer: Answer | None = None, **options: Any) -> FakeAgent:
        self.agents.append(FakeAgent(answer=answer, **options))
        return self.agents[-1]

    def open(self, *agents: FakeAgent, grows: bool = False, **options: Any) -> RemoteSession:
        """A session on machines a, b … with these agents; ``grows``: on as many as it has calls."""
        self.machines = {name: FakeMachine(name, agent) for name, agent in zip("abcdef", agents)}
        self.supply = (GrowingSupply if grows else FixedSupply)(list(self.machines.values()))
        chosen: dict[str, Any] = {
            "soft_timeout": None,
            "hard_timeout": None,
            "start_timeout": PATIENCE,
            **options,
        }
        self.session = RemoteSession(self.supply, "session", SessionOptions(**chosen))
        self.sessions.append(self.session)
        return self.session

    def job(self, job_id: str | None = None, **fields: Any) -> Job:
        chosen: dict[str, Any] = {
            "job_id": job_id or f"M{next(self._jobs):03d}",
            "executor_id": "session",
            "function_name": "f",
            "function": blob(b"the function"),
            "modules": None,
            "total_calls": 1,
            **fields,
        }
        return Job(**chosen)

    def futures(self, job: Job, numbers: range, executor_id: str = "session") -> list[ResponseFuture]:
        info = JobInfo(
            executor_id=executor_id,
            job_id=job.job_id,
            function_name=job.function_name,
            total_calls=job.total_calls,
            session=self.session,
        )
        return [ResponseFuture(info, number) for number in numbers]

    def submit(
        self, count: int = 1, *, job: Job | None = None, first: int = 0, data: Any = None
    ) -> list[ResponseFuture]:
        """Submit calls whose data are pickles of their numbers, or of ``data``."""
        job = job or self.job(total_calls=count)
        futures = self.futures(job, range(first, first + count))
        values = [future._number if data is None else data for future in futures]
        self.session.submit(job, [(f, pickle.dumps(value)) for f, value in zip(futures, values)])
        return futures

    def values(self, futures: list[ResponseFuture]) -> list[Any]:
        return [future.result(timeout=PATIENCE) for future in futures]

    def error(self, future: ResponseFuture, kind: type[Exception]) -> Any:
        """What a call failed with."""
        with pytest.raises(kind) as caught:
            future.result(timeout=PATIENCE)
        return caught.value

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds of the session."""
        with self.session.lock:
            assert self.session.changed.wait_for(condition, PATIENCE)

    def wait_for_hosts(self) -> None:
        """Wait until all hosts are ready."""
        self.wait_for(lambda: all(runner.ready for runner in self.session.hosts.runners.values()))

    def close(self) -> None:
        for machine in self.machines.values():
            machine.gate.set()
        for session in self.sessions:
            for runner in session.hosts.runners.values():
                runner.sender.clear()
            session.close()
        for machine in self.machines.values():
            machine.cut()
        for agent in self.agents:
            agent.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def thread_errors(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """What threads died of."""
    errors: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: errors.append(args.exc_value))
    return errors
