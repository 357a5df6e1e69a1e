"""What the keeper decides from: orders of events, restarts, reboots and clocks that are set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lithops_agent.instants import Instant
from lithops_agent.keeper import Decision, Dismantle, KeepRunning, Policy
from lithops_agent.timekeeper import Observed, Timekeeper

SOFT = Policy(soft=100.0, hard=1000.0)
JUST = 1e-3


class World:
    """A host: its clocks, its disk and what its pool does; and an agent on it that may be started again."""

    def __init__(self, policy: Policy = SOFT, boottime: float = 5000.0) -> None:
        self.moment = Instant("one", boottime, 1_700_000_000.0)
        self.begun = self.moment
        self.policy = policy
        self.busy: set[str] = set()
        self.known: set[str] = set()
        self.recorded_at: float | None = None
        self.disk: str | None = None
        self.agent = self.start()

    def start(self) -> Timekeeper:
        """The agent is started, by whoever restarts it."""
        self.recorded_at = None
        observed = Observed(
            lambda: set(self.busy),
            lambda: None if self.recorded_at is None else self.moment.boottime - self.recorded_at,
            lambda job: job in self.known,
        )
        self.agent = Timekeeper(
            self,
            observed,
            begun=self.begun,
            policy=self.policy,
            ending="remove",
            kept=self.disk,
            keep=self.keep,
        )
        return self.agent

    def ask_anew(self) -> None:
        """A coordinator wants an agent where none runs."""
        self.begun = self.moment
        self.start()

    def keep(self, text: str) -> None:
        self.disk = text

    # -- the clock --

    def now(self) -> Instant:
        return self.moment

    def wait(self, event: Any, seconds: float | None) -> bool:
        raise AssertionError("nobody waits here")

    def pass_time(self, seconds: float) -> None:
        self.moment = self.moment.plus(seconds)

    def set_clock(self, seconds: float) -> None:
        self.moment = self.moment._replace(wall=self.moment.wall + seconds)

    def reboot(self, seconds: float) -> None:
        self.moment = Instant("two", 20.0, self.moment.wall + seconds)

    # -- jobs --

    def run(
        self, job: str, hard: float | None = 1000.0, soft: float | None = 100.0, ending: str = "remove"
    ) -> None:
        """A job comes, and its calls run."""
        assert self.agent.accept(Policy(soft, hard), ending)
        self.arrive(job, hard)

    def arrive(self, job: str, hard: float | None = 1000.0, *, nested: bool = False) -> None:
        assert self.agent.begin(job, hard, nested=nested)
        self.busy.add(job)
        self.known.add(job)
        self.agent.arrived(job)

    def complete(self, job: str) -> None:
        self.busy.remove(job)
        self.recorded_at = self.moment.boottime

    def left(self) -> float | None:
        found = self.agent.next_end()
        return None if found is None else self.moment.until(found[1])

    def check(self) -> Decision:
        return self.agent.check()

    def ends_in(self, seconds: float) -> Dismantle:
        """It keeps running until just before, and ends then."""
        self.pass_time(seconds - JUST)
        decision = self.check()
        assert isinstance(decision, KeepRunning)
        assert decision.recheck_at == pytest.approx(self.moment.boottime + JUST, abs=1e-4)
        self.pass_time(JUST)
        decision = self.check()
        assert isinstance(decision, Dismantle)
        return decision


# ---- what counts ------------------------------------------------------------------------------------


def test_soft_counts_from_when_the_host_was_asked() -> None:
    assert "soft" in World().ends_in(100).reason


def test_soft_counts_from_the_last_result_however_late_it_is_looked_at() -> None:
    world = World()
    world.run("a")
    world.pass_time(50)
    world.check()
    world.complete("a")
    world.pass_time(0.9)
    world.ends_in(99.1)


def test_looking_at_it_resets_nothing() -> None:
    world = World()
    world.run("a")
    world.complete("a")
    for _ in range(9):
        world.pass_time(10)
        assert world.left() == pytest.approx(100 - (world.moment.boottime - 5000))
        world.check()
    world.ends_in(10)


def test_soft_counts_from_when_the_calls_of_a_job_were_taken_away() -> None:
    """Without a result of its own, it is the moment when it was noticed."""
    world = World()
    world.run("a")
    world.pass_time(500)
    world.check()
    world.busy.clear()
    world.pass_time(1)
    world.check()
    world.ends_in(100)


def test_the_soft_time_out_is_that_of_the_job_accepted_last() -> None:
    world = World()
    world.run("a", soft=30)
    world.run("b", soft=70, ending="keep")
    world.complete("b")
    world.complete("a")
    assert world.agent.ending == "keep"
    world.ends_in(70)


def test_each_job_has_its_hard_time_out_from_its_own_start() -> None:
    world = World()
    world.run("a", hard=50)
    world.pass_time(10)
    world.run("b", hard=30)
    assert world.left() == 30
    decision = world.ends_in(30)
    assert decision.jobs == ("b",)
    assert "job b reached standalone.hard_dismantle_timeout (30 s)" in decision.reason


def test_more_calls_of_a_job_do_not_start_it_again() -> None:
    world = World()
    world.run("a", hard=50)
    world.pass_time(20)
    world.arrive("a", 50)
    world.complete("a")
    world.check()
    world.pass_time(10)
    world.arrive("a", 50)
    world.ends_in(20)


def test_without_time_outs_nothing_counts_ever() -> None:
    world = World(Policy(None, None))
    assert world.left() is None
    world.run("a", hard=None, soft=None)
    world.arrive("nested", 5.0, nested=True)
    world.pass_time(1e9)
    assert world.check() == KeepRunning(None)
    world.complete("a")
    world.complete("nested")
    world.pass_time(1e9)
    assert world.check() == KeepRunning(None)


def test_a_nested_job_has_the_time_of_the_one_from_outside() -> None:
    world = World()
    world.run("a", hard=200)
    world.pass_time(50)
    world.arrive("nested", 5.0, nested=True)
    world.complete("a")
    world.check()
    world.ends_in(200)


# ---- races ------------------------------------------------------------------------------------------


def test_a_job_that_arrives_just_before_the_deadline_is_run() -> None:
    world = World()
    world.pass_time(100)
    world.run("a")
    assert isinstance(world.check(), KeepRunning)


def test_a_job_that_arrives_when_it_was_decided_is_refused() -> None:
    world = World()
    world.ends_in(100)
    assert world.agent.closed
    assert not world.agent.accept(SOFT, "remove")
    assert not world.agent.begin("a", 50.0, nested=False)


def test_a_job_whose_calls_are_still_coming_counts_as_running() -> None:
    world = World()
    assert world.agent.begin("a", 1000.0, nested=False)
    world.pass_time(500)
    assert isinstance(world.check(), KeepRunning)
    world.agent.arrived("a")
    world.pass_time(1)
    world.check()
    world.ends_in(100)


def test_a_job_that_ends_at_the_hard_deadline_is_not_late() -> None:
    world = World()
    world.run("a", hard=50)
    world.pass_time(50)
    world.complete("a")
    assert isinstance(world.check(), KeepRunning)
    world.ends_in(100)


def test_a_request_that_comes_again_changes_nothing() -> None:
    world = World()
    for _ in range(3):
        world.arrive("a", 50)
        world.pass_time(10)
    world.ends_in(20)


def test_closing_twice() -> None:
    world = World()
    assert world.agent.close()
    assert not world.agent.close()
    assert not world.agent.begin("a", None, nested=False)


# ---- restarts, sleep, reboots and clocks ------------------------------------------------------------


@pytest.mark.parametrize("stepped", [0, 1e8, -1e8])
def test_a_restart_resets_nothing_whatever_the_clock_is_set_to(stepped: float) -> None:
    world = World()
    world.run("a", soft=80)
    world.pass_time(5)
    world.complete("a")
    world.check()
    world.pass_time(30)
    world.set_clock(stepped)
    world.start()
    world.ends_in(50)


def test_a_restart_keeps_the_start_of_a_job_that_runs() -> None:
    world = World()
    world.run("a", hard=50)
    world.pass_time(20)
    world.start()
    assert world.agent.resumed("a", 50)
    world.ends_in(30)


def test_a_job_that_completed_just_before_the_agent_was_killed() -> None:
    """Nobody noted it; it is noted at the restart."""
    world = World()
    world.run("a")
    world.complete("a")
    world.pass_time(0.3)
    world.start()
    world.check()
    world.ends_in(100)


def test_sleep_counts() -> None:
    """The machine sleeps: the clock that counts goes on, and the check after it finds the time up."""
    world = World()
    world.pass_time(1e6)
    assert isinstance(world.check(), Dismantle)


def test_after_a_reboot_the_wall_clock_counts() -> None:
    world = World()
    world.run("a", hard=1000)
    world.complete("a")
    world.check()
    world.reboot(60)
    world.start()
    world.ends_in(40)


def test_an_agent_that_is_asked_for_anew_begins_to_count_anew() -> None:
    world = World()
    world.run("a", soft=10)
    world.complete("a")
    world.check()
    world.pass_time(5000)
    world.ask_anew()
    world.ends_in(100)


def test_a_job_whose_time_was_up_before_the_host_was_asked_anew_is_not_run() -> None:
    world = World()
    world.run("a", hard=50)
    world.run("b", hard=5000)
    world.pass_time(100)
    world.ask_anew()
    assert not world.agent.resumed("a", 50)
    assert world.agent.resumed("b", 5000)
    assert world.agent.resumed("unknown", 10)


def test_a_full_disk_ends_no_keeper() -> None:
    world = World()
    world.run("a")

    def full(text: str) -> None:
        raise OSError(28, "No space left on device")

    world.agent._keep = full
    world.complete("a")
    world.pass_time(1)
    assert isinstance(world.check(), KeepRunning)
    world.agent._keep = world.keep
    world.check()
    world.start()
    world.ends_in(99)


# ---- shells -----------------------------------------------------------------------------------------


def test_a_shell_holds_the_host_as_long_as_somebody_says_so() -> None:
    world = World()
    for _ in range(10):
        assert world.agent.hold("me", 60.0)
        assert world.left() == pytest.approx(160.0)
        world.pass_time(59.0)
        assert isinstance(world.agent.check(), KeepRunning)
    # Nobody says so again: soft counts from where it lapsed.
    world.pass_time(1.0)
    assert world.left() == pytest.approx(100.0)
    world.pass_time(100.0 - JUST)
    assert isinstance(world.agent.check(), KeepRunning)
    world.pass_time(2 * JUST)
    assert isinstance(world.agent.check(), Dismantle)
    assert not world.agent.hold("me", 60.0)


def test_a_shell_that_is_closed_counts_no_longer() -> None:
    world = World()
    world.agent.hold("me", 60.0)
    world.agent.hold("other", 60.0)
    world.pass_time(30.0)
    world.agent.hold("me", 0.0)
    assert world.left() == pytest.approx(130.0)
    world.agent.hold("other", 0.0)
    assert world.left() == pytest.approx(100.0)


def test_hard_ends_a_host_with_a_shell() -> None:
    world = World()
    world.run("a", hard=500.0)
    world.agent.hold("me", 60.0)
    end = world.agent.hard_end()
    assert end is not None
    assert world.moment.until(end) == pytest.approx(500.0)
    world.complete("a")
    world.agent.check()
    world.pass_time(30.0)
    for _ in range(16):
        world.agent.hold("me", 60.0)
        assert isinstance(world.agent.check(), KeepRunning)
        world.pass_time(30.0)
    world.agent.hold("me", 60.0)
    decision = world.agent.check()
    assert isinstance(decision, Dismantle)
    assert "hard" in decision.reason


def test_without_a_hard_time_out_a_shell_has_none() -> None:
    world = World(Policy(100.0, None))
    world.agent.hold("me", 60.0)
    assert world.agent.hard_end() is None


def test_an_agent_that_is_started_again_knows_of_the_shell() -> None:
    world = World()
    world.agent.hold("me", 60.0)
    world.agent.check()
    world.pass_time(50.0)
    world.start()
    assert world.left() == pytest.approx(110.0)
    world.reboot(100.0)
    world.start()
    assert world.left() == pytest.approx(10.0)


def test_what_an_older_agent_kept_has_no_shells() -> None:
    world = World()
    world.agent.check()
    assert world.disk is not None
    kept = json.loads(world.disk)
    del kept["holds"]
    world.disk = json.dumps(kept)
    world.start()
    assert world.left() == pytest.approx(100.0)
