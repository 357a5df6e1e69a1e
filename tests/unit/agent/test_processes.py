"""A worker as the pool sees it, with a test at the other end of its sockets."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lithops_agent.journal import CallData, Ended
from lithops_agent.printed import Printed
from lithops_agent.processes import OomKills, Process, Report, describe_exit
from lithops_agent.protocol import INLINE_LIMIT, STATS, Status
from lithops_agent.runtimes.zygote import Zygote
from lithops_agent.worker_protocol import CALL_HEAD, RESULT_HEAD
from tests.unit.agent.processes import exit_code, fork, pause

NUMBERS = tuple(float(number) for number in range(len(STATS)))
STATS_BYTES = RESULT_HEAD.pack(0, 0, 0, 0, 0, *NUMBERS)[-8 * len(STATS) :]


class Worker:
    """The ends that a worker has."""

    def __init__(self, folder: Path, pid: int = 0) -> None:
        self.log = folder / "log"
        self.note = folder / "note"
        self.note.touch()
        self.process = Process(3, "a", str(self.log), str(self.note))
        self._pid = pid
        ours, self.control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.zygote = Zygote("/python", "/python", ours, folder / "words")
        self.process.start(self._fork)

    def _fork(self, fds: Sequence[int]) -> tuple[Zygote, int]:
        calls, results, log = map(os.dup, fds)
        self.calls, self.results = socket.socket(fileno=calls), socket.socket(fileno=results)
        self.log_fd = log
        return self.zygote, self._pid

    def hear(self) -> tuple[int, int, int, bytes]:
        message = self.calls.recv(1 << 20)
        number, attempt, is_apart = CALL_HEAD.unpack_from(message)
        return number, attempt, is_apart, message[CALL_HEAD.size :]

    def report(self, number: int, body: bytes = b"result", apart: int = 0) -> bytes:
        end = self.log.stat().st_size
        return RESULT_HEAD.pack(number, Status.SUCCESS, apart, len(body), end, *NUMBERS) + body

    def close(self) -> None:
        self.process.close()
        self.zygote.close()
        for end in (self.calls, self.results, self.control):
            end.close()
        os.close(self.log_fd)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path)
    yield worker
    worker.close()


def test_calls_come_in_order_with_their_attempt(worker: Worker) -> None:
    assert worker.process.queue(CallData(1, b"data", None), 2)
    assert worker.process.queue(CallData(5, None, "/a/file"), 1)
    assert [worker.hear(), worker.hear()] == [(1, 2, 0, b"data"), (5, 1, 1, b"/a/file")]


def test_a_full_queue_takes_no_more_and_is_taken_back(worker: Worker) -> None:
    call = CallData(0, bytes(INLINE_LIMIT), None)
    queued = 0
    while worker.process.queue(call._replace(number=queued), 1):
        queued += 1
    assert queued >= 4
    assert worker.hear()[0] == 0
    assert worker.process.take_back() == [*range(1, queued)]
    assert worker.process.take_back() == []
    assert worker.process.queue(call, 1)


def test_calls_for_a_worker_that_is_gone_can_be_taken_back(worker: Worker) -> None:
    assert worker.process.queue(CallData(0, b"", None), 1)
    worker.calls.close()
    assert worker.process.take_back() == [0]


def test_one_that_retires_reads_its_queue_to_the_end(worker: Worker) -> None:
    worker.process.queue(CallData(0, b"", None), 1)
    worker.process.retire()
    assert worker.hear()[0] == 0
    assert worker.calls.recv(100) == b""
    assert worker.process.take_back() == []


def test_reports_are_read_however_they_are_cut(worker: Worker) -> None:
    whole = b"".join(worker.report(number, bytes(number)) for number in range(4))
    reports: list[Report] = []
    for offset in range(0, len(whole), 7):
        worker.results.send(whole[offset : offset + 7])
        reports += worker.process.receive() or []
    assert [(r.number, r.status, r.body) for r in reports] == [(n, 0, bytes(n)) for n in range(4)]
    assert {report.stats for report in reports} == {STATS_BYTES}


def test_nothing_there_is_another_thing_than_the_end(worker: Worker) -> None:
    assert worker.process.receive() == []
    worker.results.send(worker.report(1))
    worker.results.close()
    assert [report.number for report in worker.process.receive() or []] == [1]
    assert worker.process.receive() is None
    assert worker.process.drain() == []


def test_all_that_was_reported_is_drained(worker: Worker) -> None:
    body = bytes(INLINE_LIMIT)
    worker.results.setblocking(False)
    sent = 0
    try:
        while sent < 100:
            worker.results.send(worker.report(sent, b"x"))
            sent += 1
        worker.results.send(worker.report(100, body)[:200])
    except BlockingIOError:
        pass
    assert [report.number for report in worker.process.drain()] == [*range(sent)]
    assert worker.process.drain() == []


def test_what_was_printed_goes_with_the_call_that_ended_then(worker: Worker) -> None:
    for number, text in enumerate((b"one", b"", b"two")):
        os.write(worker.log_fd, text)
        worker.results.send(worker.report(number))
    printed = [report.printed for report in worker.process.drain()]
    assert printed == [Printed(0, b"one"), None, Printed(0, b"two")]


def test_a_report_becomes_what_the_journal_takes(tmp_path: Path) -> None:
    printed = Printed(0, b"words")
    inline = Report(1, 2, 0, b"stats", b"body", None)
    assert inline.ended("a", printed) == Ended("a", 1, 2, b"stats", 4, b"body", None, printed)
    path = tmp_path / "result"
    path.write_bytes(bytes(100))
    apart = Report(1, 2, 1, b"stats", str(path).encode(), None)
    assert apart.ended("a", None) == Ended("a", 1, 2, b"stats", 100, None, str(path), None)


def test_a_worker_is_killed_once_its_number_is_known(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.process.kill()
    pid = fork(pause)
    worker.process.started(pid)
    assert (worker.process.pid, exit_code(pid)) == (pid, -signal.SIGKILL)
    worker.close()


def test_a_spare_is_killed_at_once_and_may_be_dead_already(tmp_path: Path) -> None:
    pid = fork(pause)
    worker = Worker(tmp_path, pid)
    worker.process.kill()
    assert exit_code(pid) == -signal.SIGKILL
    worker.process.kill()
    worker.close()


def test_its_note_goes_with_it_and_what_it_had_is_closed(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    assert worker.note.exists()
    worker.close()
    assert not worker.note.exists()
    assert worker.process.results.fileno() == -1


def test_what_can_not_be_forked_leaves_no_descriptors(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def fail(fds: Sequence[int]) -> tuple[Zygote, int]:
        raise OSError("no")

    process = Process(1, "a", str(tmp_path / "log"), str(tmp_path / "note"))
    with pytest.raises(OSError, match="no"):
        process.start(fail)
    assert process.drain() == []
    process.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_on_a_full_disk_what_is_printed_goes_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "log")
    real = os.open

    def full(name: str, *args: int) -> int:
        if name == path:
            raise OSError(errno.ENOSPC, "full")
        return real(name, *args)

    monkeypatch.setattr(os, "open", full)
    process = Process(1, "a", path, str(tmp_path / "note"))
    assert os.readlink(f"/proc/self/fd/{process._log_fd}") == os.devnull
    os.close(process._log_fd)
    process._results_far.close()
    process.close()
    with pytest.raises(FileNotFoundError):
        Process(1, "a", str(tmp_path / "none" / "log"), "")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (3 << 8, "the worker exited with code 3"),
        (9, "the worker was ended by SIGKILL (Killed)"),
        (40, "the worker was ended by signal 40 (Real-time signal 6)"),
    ],
)
def test_how_a_worker_ended_in_words(status: int, words: str) -> None:
    assert describe_exit(status) == words


def test_only_a_kill_that_the_kernel_counted_was_for_memory() -> None:
    counts = iter((5, 5, 6, 6))
    kills = OomKills(lambda: next(counts))
    assert not kills.explain(3 << 8)
    assert not kills.explain(signal.SIGSEGV)
    assert [kills.explain(signal.SIGKILL) for _ in range(3)] == [False, True, False]
    assert isinstance(OomKills().explain(0), bool)
