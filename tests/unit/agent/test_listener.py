"""Waiting for whoever speaks, until a time, or until somebody wakes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from lithops_agent.listener import NEVER, Listener

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def listener() -> Listener[str]:
    """Its time stands still at 100."""
    return Listener(lambda: 100.0)


def test_who_speaks_is_told_until_it_was_read(listener: Listener[str], pair: Ends) -> None:
    ours, theirs = pair
    listener.attend(ours, "somebody")
    theirs.send(b"x")
    assert listener.wait() == ["somebody"]
    assert listener.wait() == ["somebody"]
    ours.recv(1)
    listener.set_alarm(100.0)
    assert listener.wait() == []


def test_who_is_ignored_is_not_heard(listener: Listener[str], pair: Ends) -> None:
    ours, theirs = pair
    listener.attend(ours, "somebody")
    theirs.send(b"x")
    listener.ignore(ours)
    listener.set_alarm(100.0)
    assert listener.wait() == []
    listener.ignore(ours)
    ours.close()
    listener.ignore(ours)


def test_a_time_that_has_passed_is_not_waited_for(listener: Listener[str]) -> None:
    listener.set_alarm(50.0)
    assert listener.wait() == []


def test_it_is_woken_once_however_often_that_is_wanted(listener: Listener[str], pair: Ends) -> None:
    ours, theirs = pair
    for _ in range(100_000):  # More than a pipe holds.
        listener.wake()
    while listener.wait() == [] and listener._selector.select(0):
        pass
    listener.attend(ours, "somebody")
    theirs.send(b"x")
    assert listener.wait() == ["somebody"]


def test_who_waits_in_a_thread_is_woken(listener: Listener[str]) -> None:
    listener.set_alarm(NEVER)
    thread = threading.Thread(target=listener.wait)
    thread.start()
    listener.wake()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("alarm", "by", "is_woken"),
    [(NEVER, 1000.0, True), (150.0, 149.0, True), (150.0, 150.0, False), (150.0, 151.0, False)],
)
def test_only_an_earlier_time_wakes(listener: Listener[str], alarm: float, by: float, is_woken: bool) -> None:
    listener.set_alarm(alarm)
    listener.wake_by(by)
    assert bool(listener._selector.select(0)) is is_woken
