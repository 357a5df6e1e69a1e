"""Real workers without a scheduler: what is told of what they report, and of how they end."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from lithops_agent import printed as printed_module
from lithops_agent.crew import Crew, Exit, Speaker
from lithops_agent.journal import CallData, Journal
from lithops_agent.listener import Listener
from lithops_agent.orders import Orders
from lithops_agent.processes import Process, Report
from lithops_agent.protocol import JobSpec
from lithops_agent.runtimes.python import PythonZygote
from tests.unit.agent import functions
from tests.unit.agent.journals import job
from tests.unit.agent.pools import is_alive, within, worker_path


class House:
    """A crew, and all that was told of it in order: the numbers of calls, and how workers ended."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "work")
        self.listener = Listener[Speaker]()
        self.told: list[tuple[int, int | Exit]] = []
        self.values: list[Any] = []
        path = worker_path(folder)
        self.crew = Crew(
            self.journal, Orders(self.journal, worker_path=path, base_env={}), self.listener,
            worker_path=path, folder=folder, on_reports=self._reports, on_exit=self._exit,
        )  # fmt: skip

    def _reports(self, process: Process, reports: Sequence[Report]) -> None:
        self.told += [(process.worker, report.number) for report in reports]
        self.values += [pickle.loads(report.body) for report in reports]

    def _exit(self, process: Process, how: Exit) -> None:
        assert self.crew.get(process.worker) is None
        self.told.append((process.worker, how))

    def spec(self, function: Callable[..., Any], name: str = "a", runtime: str = sys.executable) -> JobSpec:
        spec = job(name, runtime=runtime, function=name * 64, modules=None, container=None, cwd=None, env={})
        self.journal.add_job(spec)
        self.journal.blob_path(spec.function).write_bytes(cloudpickle.dumps(function))
        return spec

    def start(self, worker: int, spec: JobSpec, *calls: tuple[Any, ...]) -> Process:
        self.crew.start(worker, spec, 2)
        process = self.crew.get(worker)
        assert process is not None
        for number, args in enumerate(calls):
            assert process.queue(CallData(number, pickle.dumps((args, {})), None), 1)
        return process

    def listen(self, until: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not until():
            assert time.monotonic() < deadline
            self.listener.set_alarm(time.monotonic() + 0.05)
            self.crew.heard(self.listener.wait())

    def zygote(self) -> int:
        (zygote,) = self.crew.zygotes
        assert isinstance(zygote, PythonZygote)
        return zygote._process.pid


def has_hung_up(end: socket.socket) -> bool:
    """Whether no process has the other end any more, such as a spare that was only just forked."""
    poll = select.poll()
    poll.register(end, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.crew.zygotes.close()
    house.journal.close()


def test_reports_come_before_the_end(house: House) -> None:
    process = house.start(1, house.spec(functions.double), (1,), (2,))
    assert ([*house.crew], len(house.crew)) == ([process], 1)
    process.retire()
    house.listen(lambda: not house.crew)
    assert house.told == [(1, 0), (1, 1), (1, Exit("the worker exited with code 0"))]
    assert house.values == [2, 4]


def test_how_a_worker_was_killed_is_told(house: House) -> None:
    process = house.start(1, house.spec(functions.double))
    process.kill()
    house.listen(lambda: not house.crew)
    assert house.told == [(1, Exit("the worker was ended by SIGKILL (Killed)"))]
    assert house.crew.get(1) is None
    house.crew.has_ended(1, Exit("once more"))
    assert len(house.told) == 1


def test_workers_of_different_jobs_have_the_zygote_in_common(house: House) -> None:
    first = house.start(1, house.spec(functions.who, "a"), ())
    second = house.start(2, house.spec(functions.who, "b"), ())
    house.listen(lambda: len(house.values) == 2)
    assert first.zygote is second.zygote
    assert len(set(house.values)) == 2
    assert {process.job for process in house.crew} == {"a", "b"}
    assert sorted(house.values) == sorted([first.pid, second.pid])


def test_workers_end_with_their_zygote_and_are_not_to_blame(house: House) -> None:
    spec = house.spec(functions.nap)
    processes = [house.start(worker, spec, (300,)) for worker in (1, 2)]
    house.listen(lambda: all(process.pid for process in processes))
    os.kill(house.zygote(), signal.SIGKILL)
    house.listen(lambda: not house.crew)
    how = Exit(f"{sys.executable} ended", blameless=True)
    assert house.told == [(1, how), (2, how)]
    within(10, lambda: not any(is_alive(process.pid) for process in processes))


def test_the_end_of_a_zygote_may_be_noticed_when_a_worker_is_started(house: House) -> None:
    spec = house.spec(functions.double)
    house.start(1, spec, (1,))
    house.listen(lambda: house.values)
    (zygote,) = house.crew.zygotes
    pid = house.zygote()
    os.kill(pid, signal.SIGKILL)
    within(10, lambda: not is_alive(pid) and has_hung_up(zygote.socket))
    house.start(2, spec, (2,))
    assert zygote not in house.crew.zygotes
    assert house.told[1:] == [(1, Exit(f"{sys.executable} ended", blameless=True))]
    house.listen(lambda: len(house.values) == 2)
    assert house.values == [2, 4]


def test_a_worker_that_can_not_be_started_is_left_to_the_caller(house: House) -> None:
    spec = house.spec(functions.double, runtime="/no/such/python")
    with pytest.raises(FileNotFoundError):
        house.start(1, spec)
    assert house.told == []
    house.crew.has_ended(1, Exit("it can't be started"))
    assert house.told == [(1, Exit("it can't be started"))]
    assert len(house.crew) == 0


def test_logs_are_cut_and_zygotes_end_when_no_worker_is_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lithops_agent import zygotes

    monkeypatch.setattr(zygotes, "_LINGER", 0.0)
    monkeypatch.setattr(printed_module, "_LIMIT", 10)
    process = house.start(1, house.spec(functions.say), ("word " * 10,))
    house.listen(lambda: house.told)
    assert process.log.size() > 10
    house.crew.tidy(is_held=False)
    assert process.log.size() == 0
    process.retire()
    house.listen(lambda: not house.crew)
    house.crew.tidy(is_held=True)
    assert len(house.crew.zygotes) == 1
    house.crew.tidy(is_held=False)
    assert len(house.crew.zygotes) == 0
