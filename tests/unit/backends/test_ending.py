"""Ending the agent of a host, however the host is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from lithops.backends.ending import Ending
from lithops.bootstrap.end import Look
from lithops.errors import HostLost, HostTimeout
from lithops.ssh.deadline import Deadline

AGENT = {"pid": 1}
GONE, LEFT, ALIVE = Look(), Look(None, True), Look(AGENT)


class Host:
    """Looks that a test has prepared, the last one for ever; time passes in pauses."""

    def __init__(self, *looks: Look, refuses: int = 0, how: str = "remove") -> None:
        self.looks = list(looks)
        self.refuses = refuses
        self.now = 0.0
        self.asked = 0
        self.ends: list[str] = []
        self.ending = Ending("web", how, Deadline.after(10, lambda: self.now))

    def run(self) -> None:
        self.ending.run(self.look, self.ask, self.pause)

    def look(self, end: str) -> Look:
        self.ends.append(end)
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def ask(self, agent: dict[str, Any]) -> None:
        assert agent is AGENT
        if self.refuses:
            self.refuses -= 1
            raise HostLost("connection refused")
        self.asked += 1

    def pause(self, seconds: float) -> None:
        self.now += 0.5


def test_nothing_is_there() -> None:
    host = Host(GONE)
    host.run()
    assert (host.asked, host.ends) == (0, ["remove"])


def test_an_agent_is_asked_and_waited_for() -> None:
    host = Host(ALIVE, ALIVE, ALIVE, GONE)
    host.run()
    assert host.asked == 1


def test_an_agent_that_does_not_listen_may_be_ending_already() -> None:
    host = Host(ALIVE, ALIVE, GONE, refuses=9)
    host.run()
    assert host.asked == 0


def test_an_agent_that_does_not_end_is_asked_again_and_told() -> None:
    host = Host(ALIVE)
    with pytest.raises(HostTimeout, match="host web: its agent did not end in time"):
        host.run()
    assert host.asked == 6
    host = Host(ALIVE, refuses=99)
    with pytest.raises(HostTimeout) as raised:
        host.run()
    assert isinstance(raised.value.__cause__, HostLost)


def test_what_a_dead_agent_left_is_removed() -> None:
    host = Host(LEFT, GONE)
    host.run()
    assert host.ends == ["remove", "remove"]
    with pytest.raises(HostTimeout, match="files of its agent can't be removed"):
        Host(LEFT).run()


def test_a_host_that_goes_off_keeps_its_files() -> None:
    host = Host(ALIVE, LEFT, how="poweroff")
    host.run()
    assert host.ends == ["poweroff", ""], "it was told; the rest is its own"
