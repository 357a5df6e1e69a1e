"""What becomes of the calls and the hosts of an executor at its end, and at that of the program."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Optional
from weakref import WeakSet

import pytest

from lithops import ending
from lithops.ending import Ending
from lithops.errors import HostError
from lithops.future import ResponseFuture
from lithops.job.info import JobInfo
from lithops.testing import HELD, FakeSession


class Hosts(FakeSession):
    """A session whose hosts may not end."""

    error: Optional[HostError] = None

    def dismantle(self) -> None:
        super().dismantle()
        if self.error is not None:
            raise self.error


class Executor:
    """Calls that go on, and the session that has them."""

    def __init__(self, *, dismantles: bool = False) -> None:
        self.hosts = Hosts(HELD)
        self.has_session = False
        self.futures: list[ResponseFuture] = []
        self.ending = Ending(self, self, dismantles=dismantles)

    def session(self) -> Hosts:
        self.has_session = True
        self.ending.begin(lambda: self.hosts)
        return self.hosts

    def dismantle(self) -> None:
        self.ending.dismantle()

    def close(self) -> None:
        if self.has_session:
            self.has_session = False
            self.hosts.close()

    def call(self, number: int = 0) -> ResponseFuture:
        info = JobInfo(executor_id="x-0", job_id="A000", function_name="f", session=self.session())
        self.futures.append(ResponseFuture(info, number))
        return self.futures[-1]


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program of its own, which has made no executor yet; its signals are those of before at the end."""
    monkeypatch.setattr(ending, "_endings", WeakSet())
    monkeypatch.setattr(ending, "_sessions", WeakSet())
    monkeypatch.delattr(sys, "last_type", raising=False)
    monkeypatch.delattr(sys, "ps1", raising=False)
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What users are told."""
    told: list[str] = []
    monkeypatch.setattr(ending.logger, "warning", lambda message, *args: told.append(message % args))
    return told


# ---- one executor -----------------------------------------------------------------------------------


def test_an_interrupt_cancels_what_goes_on_and_says_so(messages: list[str]) -> None:
    executor = Executor()
    calls = [executor.call(number) for number in range(3)]
    calls[0].cancel()
    executor.ending.interrupt()
    assert all(call.cancelled for call in calls)
    assert messages == ["interrupted: 2 calls that had not ended are cancelled"]
    executor.ending.interrupt()
    assert len(messages) == 1


def test_closing_leaves_the_hosts() -> None:
    executor = Executor()
    call = executor.call()
    executor.ending.close()
    assert (executor.hosts.closed, executor.hosts.dismantled) == (1, 0)
    assert not call.done


def test_hosts_are_dismantled_once_for_each_time_that_they_were_used() -> None:
    executor = Executor()
    executor.call()
    executor.ending.dismantle()
    executor.ending.dismantle()
    assert (executor.hosts.dismantled, executor.hosts.closed) == (1, 1)
    executor.call()
    executor.ending.dismantle()
    assert executor.hosts.dismantled == 2


def test_hosts_of_an_earlier_program_can_be_dismantled() -> None:
    executor = Executor()
    executor.ending.dismantle()
    assert executor.hosts.dismantled == 1


def test_hosts_that_did_not_confirm_are_asked_again() -> None:
    executor = Executor()
    executor.hosts.error = HostError("no route", host="a")
    for count in (1, 2):
        with pytest.raises(HostError, match="no route"):
            executor.ending.dismantle()
        assert (executor.hosts.dismantled, executor.hosts.closed) == (count, count)


def test_hosts_that_were_not_used_stay() -> None:
    executor = Executor(dismantles=True)
    executor.ending.dismantle_used(quietly=False)
    assert executor.hosts.dismantled == 0


def test_what_an_executor_does_beside_is_done() -> None:
    done: list[str] = []

    class More(Executor):
        def dismantle(self) -> None:
            super().dismantle()
            done.append("more")

    executor = More(dismantles=True)
    executor.call()
    executor.ending.dismantle_used(quietly=False)
    executor.call()
    ending.dismantle_all()
    assert (executor.hosts.dismantled, done) == (2, ["more", "more"])


def test_what_fails_may_be_told_quietly(messages: list[str]) -> None:
    executor = Executor(dismantles=True)
    executor.hosts.error = HostError("no route", host="a")
    executor.call()
    with pytest.raises(HostError, match="no route"):
        executor.ending.dismantle_used(quietly=False)
    assert messages == []
    executor.call()
    executor.ending.dismantle_used(quietly=True)
    assert len(messages) == 1
    assert "no route" in messages[0]


# ---- the program ------------------------------------------------------------------------------------


def test_only_hosts_that_are_to_end_with_the_program_do() -> None:
    stays, goes, unused = Executor(), Executor(dismantles=True), Executor(dismantles=True)
    stays.call()
    goes.call()
    ending.dismantle_all()
    assert [executor.hosts.dismantled for executor in (stays, goes, unused)] == [0, 1, 0]


def test_sessions_are_closed_though_their_executor_is_gone() -> None:
    executor = Executor()
    executor.call()
    hosts = executor.hosts
    del executor
    gc.collect()
    assert not ending._endings
    ending.close_all()
    assert hosts.closed == 1


def test_what_goes_on_goes_on_after_the_program() -> None:
    executor = Executor()
    call = executor.call()
    before = signal.getsignal(signal.SIGINT)
    ending.close_all()
    assert not call.done
    assert executor.hosts.closed >= 1
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_program_ends_its_calls_and_is_not_interrupted_again(
    monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    executors = [Executor(), Executor()]
    calls = [executor.call() for executor in executors]
    monkeypatch.setattr(sys, "last_type", KeyboardInterrupt, raising=False)
    ending.close_all()
    assert all(call.cancelled for call in calls)
    assert len(messages) == 2
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("interactive", [False, True])
def test_an_interrupt_may_be_an_old_story(monkeypatch: pytest.MonkeyPatch, *, interactive: bool) -> None:
    executor = Executor()
    call = executor.call()
    monkeypatch.setattr(sys, "last_type", KeyboardInterrupt if interactive else ValueError, raising=False)
    if interactive:
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    ending.close_all()
    assert not call.done


def test_messages_are_under_the_name_that_users_know() -> None:
    assert ending.logger is logging.getLogger("lithops.executors")
