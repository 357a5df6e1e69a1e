"""A worker without a zygote: what it reports of the calls in its queue."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import pytest

from lithops_agent.protocol import INLINE_LIMIT, STATS, Status
from lithops_agent.worker import Worker
from lithops_agent.worker_protocol import CALL_HEAD, NOTE, RESULT_HEAD, Order
from tests.unit.agent import functions


class Told(NamedTuple):
    """A report as it came."""

    number: int
    status: int
    apart: int
    log_end: int
    stats: dict[str, float]
    body: bytes


class Desk:
    """A worker in this process, with its sockets, its log and its notes."""

    def __init__(self, folder: Path, function: Any) -> None:
        self.folder = folder
        self.log = folder / "log"
        (folder / "function").write_bytes(cloudpickle.dumps(function))
        self.queue, calls = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._results, results = socket.socketpair()
        self._ends = (self.queue, calls, self._results, results)
        order: Order = {
            "worker": 1, "note": str(folder / "note"), "folder": str(folder / "large"),
            "function": str(folder / "function"), "modules": None, "env": {}, "cwd": "/", "home": "/",
        }  # fmt: skip
        log = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._worker = Worker(order, calls, results, log)

    def put(self, number: int, *args: Any, attempt: int = 1) -> None:
        self.queue.send(CALL_HEAD.pack(number, attempt, 0) + pickle.dumps((args, {})))

    def put_file(self, number: int, path: Path) -> None:
        self.queue.send(CALL_HEAD.pack(number, 1, 1) + str(path).encode())

    def serve(self) -> list[Told]:
        """All that it reports of what is in its queue."""
        self.queue.shutdown(socket.SHUT_WR)
        self._worker.serve()
        self._results.setblocking(False)
        data, told = self._results.recv(1 << 20), []
        while data:
            number, status, apart, size, log_end, *stats = RESULT_HEAD.unpack_from(data)
            body, data = data[RESULT_HEAD.size :][:size], data[RESULT_HEAD.size + size :]
            told.append(Told(number, status, apart, log_end, dict(zip(STATS, stats)), body))
        return told

    def close(self) -> None:
        self._worker.close()
        for end in self._ends:
            end.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = [*sys.path]
    yield tmp_path
    assert sys.path == path


def served(desk: Desk) -> list[Told]:
    try:
        return desk.serve()
    finally:
        desk.close()


def test_calls_are_served_in_order(folder: Path) -> None:
    desk = Desk(folder, functions.double)
    for number in (4, 2, 9):
        desk.put(number, number, attempt=number)
    told = served(desk)
    assert [(t.number, t.status, pickle.loads(t.body)) for t in told] == [(4, 0, 8), (2, 0, 4), (9, 0, 18)]
    assert [t.stats["attempt"] for t in told] == [4, 2, 9]
    assert {t.stats["worker_pid"] for t in told} == {os.getpid()}


def test_a_failure_is_told_without_the_frames_of_the_worker(folder: Path) -> None:
    desk = Desk(folder, functions.fail)
    desk.put(0, "no")
    (told,) = served(desk)
    account = pickle.loads(told.body)
    assert (told.status, account["message"]) == (Status.EXCEPTION, "no")
    assert "worker.py" not in account["traceback"]


def test_a_result_that_can_not_be_pickled(folder: Path) -> None:
    desk = Desk(folder, functions.return_lock)
    desk.put(0)
    (told,) = served(desk)
    assert told.status == Status.BAD_RESULT


def test_large_data_and_results_go_by_files(folder: Path) -> None:
    size = INLINE_LIMIT + 1
    (folder / "data").write_bytes(pickle.dumps(((size,), {})))
    desk = Desk(folder, functions.make)
    desk.put_file(3, folder / "data")
    (told,) = served(desk)
    path = folder / "large" / f"result-3-{os.getpid()}"
    assert (told.apart, told.body.decode()) == (1, str(path))
    assert pickle.loads(path.read_bytes()) == bytes(size)


def test_a_large_result_that_can_not_be_written_fails_its_call(folder: Path) -> None:
    (folder / "large").write_text("no folder")
    desk = Desk(folder, functions.make)
    desk.put(0, INLINE_LIMIT + 1)
    (told,) = served(desk)
    assert (told.apart, told.status) == (0, Status.BAD_RESULT)
    assert pickle.loads(told.body)["type"] == "builtins.FileExistsError"


def test_it_tells_where_its_log_ended(folder: Path) -> None:
    log = folder / "log"

    def write(text: str) -> None:
        with open(log, "a") as file:
            file.write(text)

    desk = Desk(folder, write)
    for number, text in enumerate(("one", "", "two")):
        desk.put(number, text)
    assert [told.log_end for told in served(desk)] == [3, 3, 6]


def test_what_it_begins_is_noted_in_a_ring(folder: Path) -> None:
    desk = Desk(folder, functions.double)
    for number in range(130):
        desk.put(number, 1, attempt=2)
    served(desk)
    notes = [*NOTE.iter_unpack((folder / "note").read_bytes())]
    assert notes[:3] == [(128, 2), (129, 2), (2, 2)]
    assert len(notes) == 128
