"""Each request of creating and deleting a machine meets each fault: what comes of it, and what is left.

The requests are those that were seen without a fault, so that a new one is in the table by itself.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cloud import (
    DROPPED,
    FORBIDDEN,
    LOST_REPLY,
    SERVER_ERROR,
    TOO_MANY,
    UNAUTHORIZED,
    UNAVAILABLE,
    Cloud,
    Fault,
)
from tests.faults.cloud_scenario import ANSWER_TIMEOUT, QUICK, Course, hasten, operation, run, without_ssh

SLOW = Fault(hang=1.5 * ANSWER_TIMEOUT, drop=True)
SLOW_AFTER = Fault(hang=1.5 * ANSWER_TIMEOUT, drop=True, after=True)
PASSING = {
    "500 once": (SERVER_ERROR, 1),
    "503 twice": (UNAVAILABLE, 2),
    "429 twice": (TOO_MANY, 2),
    "401 once": (UNAUTHORIZED, 1),
    "dropped twice": (DROPPED, 2),
    "reply lost once": (LOST_REPLY, 1),
    "no answer once": (SLOW, 1),
    "done without an answer once": (SLOW_AFTER, 1),
}
"""Faults that pass: the machine is there all the same, and nothing of it is left."""
LASTING = {"500 for ever": (SERVER_ERROR, 10**6), "403 for ever": (FORBIDDEN, 10**6)}
"""Faults that do not: it is told, and nothing is left that `clean` does not find."""

EVERY = "LITHOPS_EVERY_FAULT"
"""Set in the environment: each request meets each fault. Otherwise each meets some, and each fault some."""
_SHARE = 4

FINE = Course(opened="", ended="", left={}, after_clean={})
TOKEN = ("POST", "/identity/token")
Operation = tuple[str, str]


@pytest.fixture
def quick_cloud() -> Iterator[Cloud]:
    """One cloud for all courses of a test: each leaves it as it was."""
    with Cloud(delays=QUICK) as cloud:
        yield cloud


def course(
    cloud: Cloud, folder: Path, faulty: Operation | None = None, fault: Fault | None = None, times: int = 1
) -> Course:
    """A machine's course, with a fault in so many requests of a kind."""
    cloud.faults.forget()
    cloud.iam.revoke_all()
    if faulty and fault:
        cloud.inject(*faulty, fault, times)
    return run(cloud, folder)


def operations(cloud: Cloud, folder: Path) -> list[Operation]:
    """The kinds of requests that a course without faults makes."""
    assert course(cloud, folder) == FINE
    return list(dict.fromkeys(operation(call.method, call.path) for call in cloud.calls))


@pytest.fixture(autouse=True)
def no_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host is behind the cloud."""
    without_ssh(monkeypatch)
    hasten(monkeypatch, removal_timeout=0.5)


def table(
    cloud: Cloud, folder: Path, faults: Mapping[str, tuple[Fault, int]]
) -> Iterator[tuple[Operation, str, Course]]:
    """What comes of each request with each fault."""
    share = 1 if os.environ.get(EVERY) else _SHARE
    kinds = operations(cloud, folder / "plain")
    for number, (kind, (name, (fault, times))) in enumerate(itertools.product(kinds, faults.items())):
        # One more for each row, so that the columns take turns.
        if (number + number // len(faults)) % share == 0:
            yield kind, name, course(cloud, folder / str(number), kind, fault, times)


def test_faults_that_pass_do_not_show(quick_cloud: Cloud, tmp_path: Path) -> None:
    wrong = [
        (kind, name, came)
        for kind, name, came in table(quick_cloud, tmp_path, PASSING)
        # A key that is refused is not a token that has ended.
        if came != FINE and (kind, name) != (TOKEN, "401 once")
    ]
    assert wrong == []


def test_faults_that_last_are_told_and_nothing_is_lost(quick_cloud: Cloud, tmp_path: Path) -> None:
    wrong = [
        (kind, name, came)
        for kind, name, came in table(quick_cloud, tmp_path, LASTING)
        if not (came.opened or came.ended) or came.after_clean
    ]
    assert wrong == []
