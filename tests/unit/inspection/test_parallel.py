"""Many hosts are asked at the same time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from lithops.errors import HostError, HostTimeout, HostUnreachable
from lithops.inspection.parallel import ask_all


@dataclass(frozen=True)
class Host:
    name: str


def test_answers_come_in_order_and_errors_are_answers() -> None:
    together = threading.Barrier(3, timeout=10)

    def ask(host: Host) -> str:
        together.wait()
        if host.name == "b":
            raise HostUnreachable("no route", host="b")
        if host.name == "c":
            raise RuntimeError("odd")
        return host.name

    first, second, third = ask_all([Host("a"), Host("b"), Host("c")], ask)
    assert first == "a"
    assert isinstance(second, HostUnreachable)
    assert isinstance(third, HostError)
    assert str(third) == "host c: an error that should not occur: RuntimeError: odd"


def test_a_host_that_does_not_answer_is_left_alone() -> None:
    end = threading.Event()
    try:
        first, second = ask_all(
            [Host("a"), Host("b")], lambda host: end.wait(30) if host.name == "a" else True, timeout=0.05
        )
    finally:
        end.set()
    assert isinstance(first, HostTimeout)
    assert str(first) == "host a: it did not answer within 0.05 s"
    assert second is True


def test_no_hosts() -> None:
    assert ask_all([], lambda host: None) == []
