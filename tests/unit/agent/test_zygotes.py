"""The zygotes of an agent, with zygotes that are only sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops_agent.listener import Listener
from lithops_agent.protocol import ContainerOptions
from lithops_agent.runtimes import choice
from lithops_agent.runtimes.zygote import Zygote
from lithops_agent.worker_protocol import Order
from lithops_agent.zygotes import Zygotes

ORDER: Order = {
    "worker": 1, "note": "", "folder": "", "function": "", "modules": None, "env": {},
    "cwd": "/", "home": "/",
}  # fmt: skip


class Started(Zygote):
    """A zygote, and the end of the control socket that it would have."""

    def __init__(self, key: str, folder: Path, processes: int) -> None:
        ours, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(key, f"python at {key}", ours, folder / "words")
        self.processes = processes
        self.is_closed = False

    def say(self, message: dict[str, Any]) -> None:
        self.far.send(json.dumps(message).encode())

    def close(self) -> None:
        super().close()
        self.far.close()
        self.is_closed = True


class House:
    """What an agent has around its zygotes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.started: list[Started] = []
        self.ended: list[tuple[Zygote, str]] = []
        self.listener = Listener[Any](lambda: self.now)
        self.ill = 0
        """So many of those that start next end at once."""
        self.folder = folder
        monkeypatch.setattr(choice, "start_zygote", self._start)
        self.zygotes = Zygotes(
            self.listener, worker_path="/worker.zip", folder=folder, clock=lambda: self.now,
            on_end=lambda zygote, how: self.ended.append((zygote, how)),
        )  # fmt: skip

    def _start(self, runtime: choice.Runtime, *, worker_path: str, folder: Path, processes: int) -> Zygote:
        assert (worker_path, folder) == ("/worker.zip", self.folder)
        zygote = Started(choice.key_of(runtime), folder, processes)
        self.started.append(zygote)
        if self.ill:
            self.ill -= 1
            zygote.far.close()
        return zygote

    def fork(self, runtime: choice.Runtime = "/python") -> tuple[Zygote, int]:
        return self.zygotes.fork(runtime, ORDER, [], 2)

    def speakers(self) -> list[Any]:
        self.listener.set_alarm(self.now)
        return self.listener.wait()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    house = House(tmp_path, monkeypatch)
    yield house
    for zygote in house.started:
        zygote.close()


def test_workers_of_a_runtime_have_one_zygote(house: House) -> None:
    image = ContainerOptions("image", "3.11")
    zygotes = [house.fork(runtime)[0] for runtime in ("/a", image, "/a", "/b", image)]
    assert zygotes == [house.started[index] for index in (0, 1, 0, 2, 1)]
    assert [*house.zygotes] == house.started
    assert len(house.zygotes) == 3


def test_the_order_is_sent_and_what_it_says_is_heard(house: House) -> None:
    zygote, pid = house.fork()
    (started,) = house.started
    assert (zygote, pid, started.processes) == (started, 0, 2)
    assert json.loads(started.far.recv(10_000)) == ORDER
    assert house.speakers() == []
    started.say({"started": 1, "pid": 77})
    assert house.speakers() == [zygote]
    assert house.zygotes.hear(zygote) == {"started": 1, "pid": 77}


def test_one_that_has_ended_is_told_of_with_its_words(house: House) -> None:
    zygote, _ = house.fork("/python")
    (house.folder / "words").write_text("no more memory\n")
    house.started[0].far.close()
    assert house.zygotes.hear(zygote) == {}
    assert house.ended == [(zygote, "python at /python ended: no more memory")]
    assert house.started[0].is_closed
    assert (len(house.zygotes), house.speakers()) == (0, [])


def test_one_whose_end_was_not_heard_yet_is_replaced(house: House) -> None:
    first, _ = house.fork()
    house.started[0].far.close()
    second, _ = house.fork()
    assert house.ended == [(first, "python at /python ended")]
    assert (second, [*house.zygotes]) == (house.started[1], [second])
    assert house.zygotes.hear(first) == {}, "it is known to have ended"
    assert len(house.ended) == 1


def test_a_runtime_whose_zygotes_end_at_once_is_given_up(house: House) -> None:
    house.ill = 2
    (house.folder / "words").write_text("I am not well")
    with pytest.raises(OSError, match="it ended at once: I am not well"):
        house.fork()
    assert (len(house.started), len(house.ended), len(house.zygotes)) == (2, 2, 0)
    assert house.fork()[0] is house.started[2]


def test_they_end_when_nobody_has_used_them_for_a_while(house: House) -> None:
    house.fork()
    for is_used in (True, False):
        house.now += 29.0
        house.zygotes.end_idle(is_used)
    assert len(house.zygotes) == 1
    house.now += 1.0
    house.zygotes.end_idle(is_used=False)
    assert len(house.zygotes) == 0
    assert house.started[0].is_closed
    assert house.ended == [], "nobody has to be told of it"


def test_one_that_was_made_ready_lingers(house: House) -> None:
    house.now += 60.0
    zygote = house.zygotes.prepare("/python", 4)
    house.zygotes.end_idle(is_used=False)
    assert [*house.zygotes] == [zygote]
    assert house.fork("/python")[0] is zygote
    assert house.started[0].processes == 4


def test_all_are_closed_at_the_end(house: House) -> None:
    house.fork("/a")
    house.fork("/b")
    house.zygotes.close()
    assert all(zygote.is_closed for zygote in house.started)
    with pytest.raises(OSError, match="Bad file descriptor"):
        house.fork("/a")
    assert len(house.started) == 2, "none is started in its place"
