"""The second fence: when it ends a host, when it is armed, and what the agent tells it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lithops_agent import clearing, fence
from lithops_agent.cloud import GUARD, PATIENCE
from lithops_agent.fence import GRACE, Orders, Outpost, judge
from lithops_agent.instants import Instant, SystemClock
from lithops_agent.systemd import SystemdFailed
from tests.unit.agent.pools import within

NOW = Instant("one", 1000.0, 50_000.0)
JUST = 1e-3


class Still:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> Instant:
        return self.moment

    def wait(self, event: Any, seconds: float | None) -> bool:
        raise AssertionError("nobody waits here")


@pytest.mark.parametrize(
    ("deadline", "due"),
    [
        (NOW, False),
        (NOW.plus(-GRACE + JUST), False),
        (NOW.plus(-GRACE), True),
        (NOW.plus(-1e6), True),
        (NOW.plus(1e6), False),
        (NOW.plus(-GRACE)._replace(wall=9e9), True),
        (NOW.plus(5)._replace(wall=0.0), False),
        (Instant("two", 1.0, 50_000.0 - GRACE), True),
        (Instant("two", 1.0, 50_001.0), False),
    ],
)
def test_it_is_due_a_moment_after_the_deadline(deadline: Instant, due: bool) -> None:
    left = judge(deadline, NOW)
    assert left is not None
    assert (left <= 0) is due


def test_never_is_never() -> None:
    assert judge(None, NOW) is None


# ---- the file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("deadline", [None, NOW])
def test_what_was_written_is_read(tmp_path: Path, deadline: Instant | None) -> None:
    assert fence.read(str(tmp_path)) is None
    orders = Orders(deadline, "keep", "user", "/x/agent-1-2.zip")
    fence.write(str(tmp_path), orders._replace(program="/a/longer/path" * 200))
    fence.write(str(tmp_path), orders)
    assert fence.read(str(tmp_path)) == orders
    assert (tmp_path / "fence.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"deadline": 5}'])
def test_a_damaged_file_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "fence.json").write_text(text)
    assert fence.read(str(tmp_path)) is None


def test_it_is_overwritten_in_its_place(tmp_path: Path) -> None:
    """A full disk has no room for a second file."""
    fence.write(str(tmp_path), Orders(None, "keep", "user", "/x"))
    before = (tmp_path / "fence.json").stat()
    fence.write(str(tmp_path), Orders(NOW, "remove", "none", "/x/y"))
    after = (tmp_path / "fence.json").stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)


# ---- what the agent tells it ------------------------------------------------------------------------


class Systemd:
    """What systemd was asked for."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.broken = False
        self.watchdogs: list[str] = []
        monkeypatch.setattr("lithops_agent.systemd.start_transient", self.start)
        monkeypatch.setattr("lithops_agent.systemd.systemctl", self.control)
        monkeypatch.setattr(fence, "_start_watchdog", lambda home, program: self.watchdogs.append(program))

    def start(self, unit: str, name: str, command: Any, properties: Any, *flags: str) -> None:
        if self.broken:
            raise SystemdFailed("no")
        self.started.append(flags[0])

    def control(self, unit: str, *arguments: str) -> bool:
        self.stopped.append(arguments[-1])
        return True


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    return Systemd(tmp_path, monkeypatch)


@pytest.fixture
def clock() -> Still:
    return Still()


def told(home: Path) -> Instant | None:
    orders = fence.read(str(home))
    assert orders is not None
    return orders.deadline


def test_it_is_armed_once_and_pushed_forward_by_the_file(
    tmp_path: Path, clock: Still, systemd: Systemd
) -> None:
    outpost = Outpost(str(tmp_path), "system", "/x", clock)
    outpost.tell(NOW.plus(300), "remove")
    assert systemd.started == ["--on-active=300.750s"]
    for later in (400, 500, 3600):
        clock.moment = clock.moment.plus(1)
        outpost.tell(NOW.plus(later), "remove")
        assert told(tmp_path) == NOW.plus(later)
    assert len(systemd.started) == 1


def test_it_is_armed_again_for_an_earlier_deadline(tmp_path: Path, clock: Still, systemd: Systemd) -> None:
    outpost = Outpost(str(tmp_path), "system", "/x", clock)
    outpost.tell(NOW.plus(300), "remove")
    outpost.tell(NOW.plus(200), "remove")
    assert told(tmp_path) == NOW.plus(200)
    assert systemd.started == ["--on-active=300.750s", "--on-active=200.750s"]
    (stopped,) = systemd.stopped
    assert stopped.startswith(f"lithops-fence-{os.getuid()}-")


def test_what_the_fence_itself_was_armed_for_since_counts(
    tmp_path: Path, clock: Still, systemd: Systemd
) -> None:
    outpost = Outpost(str(tmp_path), "system", "/x", clock)
    outpost.tell(NOW.plus(10), "remove")
    clock.moment = NOW.plus(1)
    outpost.tell(NOW.plus(3600), "remove")
    clock.moment = NOW.plus(11)
    fence.arm(str(tmp_path), Orders(NOW.plus(3600), "remove", "system", "/x"), clock.now())
    clock.moment = NOW.plus(50)
    outpost.tell(NOW.plus(150), "remove")
    assert systemd.started[-1] == "--on-active=100.750s"


def test_it_is_not_armed_for_never(tmp_path: Path, clock: Still, systemd: Systemd) -> None:
    for unit in ("system", "none"):
        Outpost(str(tmp_path), unit, "/x", clock).tell(None, "remove")
    assert (systemd.started, systemd.watchdogs) == ([], [])
    assert told(tmp_path) is None


def test_the_file_is_not_written_at_every_call(tmp_path: Path, clock: Still, systemd: Systemd) -> None:
    outpost = Outpost(str(tmp_path), "system", "/x", clock)
    outpost.tell(NOW.plus(300), "remove")
    clock.moment = NOW.plus(0.5)
    outpost.tell(NOW.plus(300.5), "remove")
    assert told(tmp_path) == NOW.plus(300)
    outpost.tell(NOW.plus(299), "remove")
    assert told(tmp_path) == NOW.plus(299)
    outpost.tell(NOW.plus(300.5), "keep")
    assert told(tmp_path) == NOW.plus(300.5)
    outpost.tell(NOW.plus(301), "keep")
    clock.moment = NOW.plus(1.6)
    outpost.tell(NOW.plus(301), "keep")
    assert told(tmp_path) == NOW.plus(301)


def test_a_deadline_that_is_near_is_pushed_at_once(tmp_path: Path, clock: Still, systemd: Systemd) -> None:
    """A job that arrives at the last moment is known to the fence before it is acknowledged."""
    outpost = Outpost(str(tmp_path), "system", "/x", clock)
    outpost.tell(NOW.plus(2.9), "remove")
    outpost.tell(NOW.plus(3600), "remove", note_only=True)
    assert told(tmp_path) == NOW.plus(3600)
    assert len(systemd.started) == 1


def test_without_systemd_a_watchdog_is_kept_there(tmp_path: Path, clock: Still, systemd: Systemd) -> None:
    outpost = Outpost(str(tmp_path), "none", "/x", clock)
    for second in range(25):
        clock.moment = NOW.plus(second)
        outpost.tell(NOW.plus(300), "remove")
    assert systemd.watchdogs == ["/x"] * 3, "looked after every 10 s"


def test_where_systemd_does_not_want_to_any_more_a_watchdog_does(
    tmp_path: Path, clock: Still, systemd: Systemd
) -> None:
    outpost = Outpost(str(tmp_path), "system", "/x", clock)
    systemd.broken = True
    outpost.tell(NOW.plus(300), "remove")
    outpost.tell(NOW.plus(300), "remove")
    assert systemd.watchdogs == ["/x"]


# ---- the programs -----------------------------------------------------------------------------------


def look(home: Path) -> None:
    fence.main(["--home", str(home)])


def test_a_look_before_the_deadline_arms_it_again(tmp_path: Path, systemd: Systemd) -> None:
    fence.write(str(tmp_path), Orders(SystemClock().now().plus(60), "remove", "system", "/x"))
    look(tmp_path)
    assert len(systemd.started) == 1
    assert (tmp_path / "fence.json").exists()


def test_a_look_without_orders_does_nothing(tmp_path: Path, systemd: Systemd) -> None:
    look(tmp_path)
    fence.write(str(tmp_path), Orders(None, "remove", "system", "/x"))
    look(tmp_path)
    look(tmp_path / "nowhere")
    assert systemd.started == []


@pytest.mark.parametrize("unit", ["none", "system"])
def test_a_look_at_the_deadline_ends_the_host(tmp_path: Path, systemd: Systemd, unit: str) -> None:
    home = tmp_path / ".lithops" / "agent"
    home.mkdir(parents=True)
    program = home / "agent-1-2.zip"
    program.write_text("import time; time.sleep(60)")
    agent = subprocess.Popen([sys.executable, str(program), "serve", "--home", str(home)])
    fence.write(str(home), Orders(SystemClock().now().plus(-GRACE), "remove", unit, "/x"))
    within(10, lambda: clearing.processes_of(str(home)))
    look(home)
    assert agent.wait(10) == -9
    assert not home.parent.exists()
    assert bool(systemd.stopped) is (unit == "system")


def test_an_agent_that_was_started_meanwhile_is_left_alone(
    tmp_path: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts one holds the lock, and tells the fence before."""
    due = Orders(SystemClock().now().plus(-60), "remove", "none", "/x")
    fence.write(str(tmp_path), due)

    def lock(file: object, how: int) -> None:
        fence.write(str(tmp_path), due._replace(deadline=SystemClock().now().plus(60)))

    monkeypatch.setattr("fcntl.flock", lock)
    look(tmp_path)
    assert (tmp_path / "fence.json").exists()


def test_the_watchdog_looks_at_the_deadline_and_goes_with_the_file(tmp_path: Path) -> None:
    log, file = tmp_path / "log", tmp_path / "fence.json"

    def write(seconds: float | None) -> None:
        deadline = None if seconds is None else SystemClock().now().plus(seconds - GRACE)
        fence.write(str(tmp_path), Orders(deadline, "remove", "none", "/x"))

    write(3600)
    assert json.loads(file.read_text())["uptime"] > 0
    command = [
        "sh",
        "-c",
        fence._WATCHDOG,
        "sh",
        str(file),
        "sh",
        "-c",
        'echo looked >> "$1"',
        "sh",
        str(log),
    ]
    with subprocess.Popen(command) as watchdog:
        try:
            write(-1)
            within(10, log.exists, "the look")
            write(None)
            assert watchdog.wait(10) == 0
        finally:
            watchdog.kill()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as watchdog:
        file.unlink()
        assert watchdog.wait(10) == 0


# ---- the end of the machine -------------------------------------------------------------------------


class Power:
    """What was done to the machine, in order, and what the fence had been told by then."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, *, works: bool, alone: bool) -> None:
        self.home = home
        self.done: list[str] = []
        self.works = works
        monkeypatch.setattr(clearing, "others_alive", lambda home: not alone)
        monkeypatch.setattr(clearing, "kill_processes", lambda home: None)
        monkeypatch.setattr(clearing, "processes_of", lambda home, roles: [])
        monkeypatch.setattr(clearing, "power_off", self.off)
        monkeypatch.setattr("lithops_agent.cloud.end_instance", self.cloud)

    def left(self) -> tuple[str, float]:
        """How the fence would end the machine, and in how many seconds."""
        orders = fence.read(str(self.home))
        assert orders is not None
        assert orders.deadline is not None
        return orders.ending, SystemClock().now().until(orders.deadline) + GRACE

    def off(self) -> bool:
        self.done.append("off")
        return self.works

    def cloud(self, home: str, how: str) -> str:
        ending, left = self.left()
        assert ending == how
        assert PATIENCE < left < GUARD + 1, "the fence would come before the cloud has answered"
        self.done.append(how)
        return "it was asked"


@pytest.mark.parametrize("ending", ["poweroff", "stop", "delete"])
@pytest.mark.parametrize("works", [True, False])
def test_an_agent_has_its_cloud_end_the_machine_and_switches_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: Systemd, ending: str, works: bool
) -> None:
    power = Power(tmp_path, monkeypatch, works=works, alone=True)
    fence.leave(str(tmp_path), "system", "/x", ending, with_work=False)
    assert power.done == (["off"] if ending == "poweroff" else [ending, "off"])
    if not works:
        how, left = power.left()
        assert (how, round(left)) == ("poweroff", 0), "the fence goes on trying"


@pytest.mark.parametrize("ending", ["poweroff", "stop", "delete"])
def test_a_machine_that_others_use_is_left_to_the_fence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: Systemd, ending: str
) -> None:
    power = Power(tmp_path, monkeypatch, works=True, alone=False)
    assert fence.end(str(tmp_path), ending) == 0
    assert power.done == []
    how, left = power.left()
    assert (how, round(left)) == (ending, 0)
