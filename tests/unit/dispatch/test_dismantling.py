"""The agents of many hosts are ended at the same time."""

from __future__ import annotations

import threading
from typing import Optional

from lithops.dispatch.dismantling import end_all, not_ended
from lithops.errors import HostError, HostUnreachable


class Runner:
    def __init__(self, error: Optional[HostError] = None, others: Optional[threading.Barrier] = None) -> None:
        self.ended = 0
        self._error = error
        self._others = others

    def dismantle(self) -> None:
        if self._others is not None:
            self._others.wait(20.0)
        if self._error is not None:
            raise self._error
        self.ended += 1


def test_all_are_ended_and_those_that_fail_are_told_in_order() -> None:
    errors = [HostUnreachable("no route", host=name) for name in "ac"]
    runners = [Runner(errors[0]), Runner(), Runner(errors[1]), Runner()]
    assert end_all(runners) == errors
    assert [runner.ended for runner in runners] == [0, 1, 0, 1]
    assert end_all([]) == []


def test_none_waits_for_another() -> None:
    together = threading.Barrier(8)
    assert end_all([Runner(others=together) for _ in range(8)]) == []


def test_one_error_names_them_all() -> None:
    error = not_ended([HostUnreachable("no route", host="a"), HostError("is stuck", host="c")])
    assert (error.host, error.phase) == ("a, c", "dismantle")
    assert "no route" in str(error)
    assert "is stuck" in str(error)
