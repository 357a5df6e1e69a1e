"""What is on its way when a program ends is as it was before."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any, cast

import pytest

from lithops.backends.ibm_vpc import consumed, supplies
from lithops.backends.ibm_vpc.agents import Agents
from lithops.backends.ibm_vpc.api import VpcApi
from lithops.backends.ibm_vpc.consumed import ConsumedMachine
from lithops.backends.ibm_vpc.machine import VpcMachine
from lithops.backends.ibm_vpc.turn import Turn, give_back
from lithops.errors import AuthenticationError, HostError, HostUnreachable
from lithops.ssh.connection import SshConnection
from tests.cloud.faults import FORBIDDEN
from tests.unit.backends.ibm_vpc.conftest import FakeSsh, Ground

_WAIT = 10.0


class OnItsWay:
    """A machine that somebody waits for until it is not wanted any more."""

    def __init__(self, name: str) -> None:
        self.turn = Turn(name)
        self.error: HostError | None = None
        self._holds = threading.Event()
        self._thread = threading.Thread(target=self._open)
        self._thread.start()
        assert self._holds.wait(_WAIT)

    def stop_coming_up(self) -> Turn | None:
        """See `ComingUp`."""
        return self.turn if self.turn.stop() else None

    def _open(self) -> None:
        with self.turn:
            self._holds.set()
            self.turn.wait(_WAIT)
            try:
                self.turn.check()
            except HostError as exc:
                self.error = exc


def test_whoever_waits_for_a_machine_gives_up(caplog: pytest.LogCaptureFixture) -> None:
    machines = [OnItsWay("a"), OnItsWay("b")]
    with caplog.at_level(logging.WARNING):
        give_back(machines)
    assert [str(machine.error) for machine in machines] == [
        f"host {name}: not wanted any more while it came up" for name in "ab"
    ]
    assert "2 machine(s) that are not up yet are given back" in caplog.text
    for machine in machines:
        machine.turn.check()  # They may be wanted again.


def test_nothing_is_said_when_nothing_is_on_its_way(caplog: pytest.LogCaptureFixture) -> None:
    machine = OnItsWay("a")
    give_back([machine])
    caplog.clear()
    give_back([machine])
    assert caplog.text == ""


def test_an_interrupt_ends_the_wait(caplog: pytest.LogCaptureFixture) -> None:
    machine = OnItsWay("a")

    class Slow:
        def stop_coming_up(self) -> Any:
            machine.turn.stop()
            return self

        def settle(self) -> None:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        give_back([Slow()])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert "`lithops clean`" in caplog.messages[-1]


# A machine that is created.


def in_background(machine: VpcMachine | ConsumedMachine) -> tuple[threading.Thread, list[HostError]]:
    """Open it; the thread that does, and the error that it got."""
    errors: list[HostError] = []

    def open_it() -> None:
        try:
            machine.open()
        except HostError as exc:
            errors.append(exc)

    thread = threading.Thread(target=open_it)
    thread.start()
    return thread, errors


def test_a_machine_that_is_not_up_is_deleted(ground: Ground) -> None:
    ground.cloud.next_instances("stuck")
    (machine,), _ = ground.machines(1, start_timeout=600)
    thread, errors = in_background(machine)
    ground.cloud.wait(lambda cloud: "instances" in cloud.resources(), "it is being made")
    give_back([machine])
    thread.join(_WAIT)
    assert "not wanted any more" in str(errors)
    assert ground.cloud.resources() == {}
    machine.open()  # It is made again for whoever wants it.


def test_a_machine_that_is_up_stays(ground: Ground) -> None:
    machines, _ = ground.machines(2, start_timeout=600)
    machines[0].open()
    ground.cloud.next_instances("stuck")
    thread, _ = in_background(machines[1])
    ground.cloud.wait(lambda cloud: len(cloud.resources()["instances"]) == 2, "the other is being made")
    give_back(machines)
    thread.join(_WAIT)
    assert ground.cloud.resources()["instances"] == [machines[0].name]


def test_what_can_not_be_deleted_is_told(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    ground.cloud.next_instances("stuck")
    (machine,), _ = ground.machines(1, start_timeout=600)
    thread, _ = in_background(machine)
    ground.cloud.wait(lambda cloud: "instances" in cloud.resources(), "it is being made")
    ground.cloud.inject("DELETE", "/instances/[^/]+", FORBIDDEN, times=99)
    give_back([machine])
    thread.join(_WAIT)
    assert machine.name in caplog.messages[-1]


# The instance of the user's.


@pytest.fixture
def instance(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An instance that is off; nobody answers when it is on."""

    def connect(*args: Any, **options: Any) -> SshConnection:
        raise HostUnreachable("nobody answers", host="mine", phase="connect")

    monkeypatch.setattr(consumed, "_PAUSE", 0.002)
    monkeypatch.setattr(consumed, "REMOVAL_TIMEOUT", 5.0)
    monkeypatch.setattr(SshConnection, "connect", connect)
    (machine,), _ = ground.machines(1, delete_on_dismantle=False)
    machine.open()
    machine.dismantle(lambda link, how: None)
    found: dict[str, Any] = (
        ground.cloud.client().list_instances(name=machine.name).get_result()["instances"][0]
    )
    assert found["status"] == "stopped"
    return found


def of_users(ground: Ground, instance: dict[str, Any], start_timeout: float) -> ConsumedMachine:
    """The machine that a program uses it as."""
    settings = ground.settings(
        instance_id=instance["id"], floating_ip="192.0.2.1", start_timeout=start_timeout, exec_mode="consume"
    )
    agents = cast(Agents, FakeSsh(ground.site()))
    return ConsumedMachine(settings, VpcApi(cast(Any, settings.backend)), agents)


def test_an_instance_that_can_not_be_used_is_off_again(ground: Ground, instance: dict[str, Any]) -> None:
    with pytest.raises(HostError, match=r"can't be reached in time.*nobody answers"):
        of_users(ground, instance, 0.3).open()
    assert ground.cloud.instance(instance["name"]).status == "stopped"


def test_an_instance_that_is_not_up_is_off_again(ground: Ground, instance: dict[str, Any]) -> None:
    machine = of_users(ground, instance, 600)
    thread, errors = in_background(machine)
    ground.cloud.wait(lambda cloud: cloud.instance(instance["name"]).status == "running", "it is on")
    supplies.ConsumedSupply(machine).leave()
    thread.join(_WAIT)
    assert "not wanted any more" in str(errors)
    assert ground.cloud.instance(instance["name"]).status == "stopped"


def test_an_instance_that_was_on_stays(
    ground: Ground, instance: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.cloud.client().create_instance_action(instance["id"], "start")
    ground.cloud.wait(lambda cloud: cloud.instance(instance["name"]).status == "running", "it is on")

    def connect(*args: Any, **options: Any) -> SshConnection:
        raise AuthenticationError("wrong key", host="mine", phase="connect")

    monkeypatch.setattr(SshConnection, "connect", connect)
    with pytest.raises(AuthenticationError):
        of_users(ground, instance, 600).open()
    assert ground.cloud.instance(instance["name"]).status == "running"
