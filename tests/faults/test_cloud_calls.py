"""Each request of having and ending a machine, in each mode, meets each fault: what comes of it, and is left.

The requests are those that were seen without a fault, so that a new one is in the table by itself.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lithops.config.settings import Settings
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
from tests.faults.cloud_scenario import (
    ANSWER_TIMEOUT,
    QUICK,
    Course,
    hasten,
    operation,
    run,
    settings_on,
    without_ssh,
)

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


class Mode:
    """How machines are had: one cloud for all courses of a test, for each leaves it as it was."""

    executors = 1

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def settings(self) -> Settings:
        """What the user has configured."""
        return settings_on(self.cloud)

    def is_as_before(self) -> bool:
        """Whether what is the user's is as it was before."""
        return True

    def course(
        self, folder: Path, faulty: Operation | None = None, fault: Fault | None = None, times: int = 1
    ) -> Course:
        """A machine's course, with a fault in so many requests of a kind."""
        self.cloud.faults.forget()
        self.cloud.iam.revoke_all()
        if faulty and fault:
            self.cloud.inject(*faulty, fault, times)
        return run(self.cloud, folder, self.settings(), self.executors)


class Reuse(Mode):
    """Two executors, one after the other, have the same machine."""

    executors = 2

    def settings(self) -> Settings:
        return settings_on(self.cloud, "reuse")


class Consume(Mode):
    """An instance of the user's, which is off before."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._instance = users_instance(cloud)
        self._action("stop")

    def settings(self) -> Settings:
        return settings_on(self.cloud, "consume", instance_id=self._instance["id"])

    def is_as_before(self) -> bool:
        return self.cloud.instance(self._instance["name"]).status == "stopped"

    def course(
        self, folder: Path, faulty: Operation | None = None, fault: Fault | None = None, times: int = 1
    ) -> Course:
        came = super().course(folder, faulty, fault, times)
        if not self.is_as_before():
            # It was told, and the user stops it.
            assert came.ended, (faulty, fault)
            self._action("stop")
        return came

    def _action(self, action: str) -> None:
        self.cloud.client().create_instance_action(self._instance["id"], action)
        self.cloud.wait(lambda _: self.is_as_before(), "it is off")


def users_instance(cloud: Cloud) -> dict[str, Any]:
    """An instance with a public address, in a network of the user's."""
    client = cloud.client()
    vpc = client.create_vpc(name="mine").get_result()
    subnet = client.create_subnet(
        {"vpc": {"id": vpc["id"]}, "zone": {"name": cloud.zone}, "total_ipv4_address_count": 16}
    ).get_result()
    made: dict[str, Any] = client.create_instance(
        {
            "name": "mine", "image": {"id": cloud.image_id}, "zone": {"name": cloud.zone},
            "profile": {"name": "cx2-2x4"}, "primary_network_interface": {"subnet": {"id": subnet["id"]}},
        }
    ).get_result()  # fmt: skip
    client.create_floating_ip({"name": "mine", "target": {"id": made["primary_network_interface"]["id"]}})
    cloud.wait(lambda cloud: cloud.instance("mine").status == "running", "it runs")
    return made


@pytest.fixture(params=[Mode, Reuse, Consume], ids=["create", "reuse", "consume"])
def mode(request: pytest.FixtureRequest) -> Iterator[Mode]:
    """Each mode, in a cloud in which nothing takes time."""
    with Cloud(delays=QUICK) as cloud:
        yield request.param(cloud)


def operations(mode: Mode, folder: Path) -> list[Operation]:
    """The kinds of requests that a course without faults makes."""
    assert mode.course(folder) == FINE
    assert mode.is_as_before()
    return list(dict.fromkeys(operation(call.method, call.path) for call in mode.cloud.calls))


@pytest.fixture(autouse=True)
def no_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host is behind the cloud."""
    without_ssh(monkeypatch)
    hasten(monkeypatch, removal_timeout=0.5)


def table(
    mode: Mode, folder: Path, faults: Mapping[str, tuple[Fault, int]]
) -> Iterator[tuple[Operation, str, Course]]:
    """What comes of each request with each fault."""
    share = 1 if os.environ.get(EVERY) else _SHARE
    kinds = operations(mode, folder / "plain")
    for number, (kind, (name, (fault, times))) in enumerate(itertools.product(kinds, faults.items())):
        # One more for each row, so that the columns take turns.
        if (number + number // len(faults)) % share == 0:
            yield kind, name, mode.course(folder / str(number), kind, fault, times)


def test_faults_that_pass_do_not_show(mode: Mode, tmp_path: Path) -> None:
    wrong = [
        (kind, name, came)
        for kind, name, came in table(mode, tmp_path, PASSING)
        # A key that is refused is not a token that has ended.
        if came != FINE and (kind, name) != (TOKEN, "401 once")
    ]
    assert wrong == []


def test_faults_that_last_are_told_and_nothing_is_lost(mode: Mode, tmp_path: Path) -> None:
    wrong = [
        (kind, name, came)
        for kind, name, came in table(mode, tmp_path, LASTING)
        if not (came.opened or came.ended) or came.after_clean
    ]
    assert wrong == []
