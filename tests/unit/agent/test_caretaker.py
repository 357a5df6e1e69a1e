"""How an agent is ended: what lets work in, what the second fence is told, and the last moments."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator

import pytest

from lithops_agent import caretaker as caretaker_module
from lithops_agent.caretaker import Caretaker, Draining, Ending
from lithops_agent.instants import Instant
from lithops_agent.keeper import Policy
from lithops_agent.protocol import Status
from lithops_agent.timekeeper import Observed, Timekeeper

START = Instant("boot", 5000.0, 1_700_000_000.0)


class Host:
    """Clock, calls, readers and fence of an agent; what is done to them is in ``story``, in order."""

    def __init__(self, soft: float | None = 100.0, hard: float | None = None) -> None:
        self.moment = START
        self.steps: list[Callable[[], object]] = []
        """What happens during the next waits."""
        self.busy: set[str] = set()
        self.unheard = 0
        """How often it is looked in vain whether all was heard, 0.4 s after each other."""
        self.story: list[str] = []
        self.fence_fails = False
        self.news = threading.Event()
        self.times = Timekeeper(
            self,
            Observed(lambda: self.busy, lambda: None, lambda job: True),
            begun=START,
            policy=Policy(soft, hard),
            ending="keep",
            kept=None,
            keep=lambda text: None,
        )
        self.caretaker = Caretaker(
            self.times, self, self, news=self.news, clock=self, fence=self, tidy=self.tidy, end=self.end
        )
        self.endings: list[Ending] = []

    def live(self) -> str:
        """Run the agent until it ends; the story from when it was to end."""
        self.caretaker.start()
        self.caretaker.join(10)
        return ", ".join(self.story[self.story.index("tidied") + 1 :])

    # -- the clock --

    def now(self) -> Instant:
        return self.moment

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        if self.steps:
            self.steps.pop(0)()
            return event.is_set()
        if not event.is_set():
            assert seconds is not None, "it would wait for ever"
            self.pass_time(seconds)
        return event.is_set()

    def pass_time(self, seconds: float) -> None:
        self.moment = self.moment.plus(seconds)

    # -- the fence --

    def tell(self, deadline: Instant | None, ending: str, *, note_only: bool = False) -> None:
        if self.fence_fails:
            raise OSError("no fence")
        at = "never" if deadline is None else f"{START.until(deadline):g}"
        self.story.append(f"{'noted' if note_only else 'fence'} {at} {ending}")

    # -- calls, and who reads their results --

    def busy_jobs(self) -> set[str]:
        return self.busy

    def end_all(self, status: Status, why: str) -> None:
        self.story.append(f"{status.name} {sorted(self.busy)}")
        self.busy = set()

    def stop(self) -> None:
        self.story.append("stopped")

    def readers(self, jobs: Collection[str]) -> set[str]:
        return {f"reader of {job}" for job in jobs}

    def has_heard(self, session: str) -> bool:
        if self.unheard:
            self.unheard -= 1
            self.pass_time(0.4)
            return False
        self.story.append(f"heard by the {session}")
        return True

    def close(self) -> None:
        self.story.append("closed")

    def tidy(self) -> None:
        self.story.append("tidied")

    def end(self, ending: Ending) -> None:
        self.story.append("over")
        self.endings.append(ending)


@pytest.fixture(autouse=True)
def exits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Codes that the process would have ended with; a test that expects one takes it away."""
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    monkeypatch.setattr(caretaker_module, "_SETTLE", 0.001)
    monkeypatch.setattr(caretaker_module, "_LARGE", 0.001)
    yield codes
    assert codes == []


# ---- the time is up ---------------------------------------------------------------------------------


def test_without_a_job_it_ends_at_the_soft_time_out() -> None:
    host = Host()
    assert host.live() == "noted 103 keep, closed, stopped, over"
    assert host.story[:2] == ["fence 100 keep", "tidied"]
    assert host.endings == [
        Ending("no job for 100 s (standalone.soft_dismantle_timeout)", "keep", with_work=False)
    ]


def test_at_the_hard_deadline_calls_are_ended_and_their_results_collected() -> None:
    host = Host(hard=50.0)
    with host.caretaker.arriving("a", 50.0, nested=False):
        host.busy = {"a"}
    host.unheard = 1
    assert host.live() == (
        "noted 53 keep, HARD_DISMANTLE ['a'], heard by the reader of a, closed, stopped, over"
    )
    assert "reached standalone.hard_dismantle_timeout (50 s)" in host.endings[0].reason


def test_it_waits_a_second_at_most_for_results_to_be_collected() -> None:
    host = Host()
    with host.caretaker.arriving("a", 50.0, nested=False):
        host.busy = {"a"}
    host.unheard = 1000
    assert host.live() == "noted 53 keep, HARD_DISMANTLE ['a'], closed, stopped, over"
    assert 1000 - host.unheard == 3, "looks at 0, 0.4 and 0.8 s"


def test_asked_to_end_it_waits_for_nothing() -> None:
    host = Host()
    host.busy = {"a"}
    host.steps = [lambda: host.caretaker.dismantle("asked to", "remove")]
    assert host.live() == "closed, stopped, over"
    assert host.endings == [Ending("asked to", "remove", with_work=True)]


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        (None, Ending("first", "stop", with_work=True)),
        ("leave", Ending("first", "leave", with_work=False)),
    ],
)
def test_it_ends_as_asked_first_or_as_the_last_job_said(how: str | None, ending: Ending) -> None:
    host = Host()
    host.caretaker.accept(Policy(None, None), "stop")
    host.caretaker.dismantle("first", how)
    host.caretaker.dismantle("second", "remove")
    assert host.caretaker.ends_in() == (0.0, "first")
    host.caretaker.start()
    host.caretaker.join(10)
    assert host.endings == [ending]


def test_it_looks_again_when_there_is_news() -> None:
    host = Host()
    work = host.caretaker.in_use("image")
    host.steps = [work.__enter__, lambda: host.pass_time(500), lambda: work.__exit__(None, None, None)]
    host.live()
    assert [told for told in host.story if told.startswith("fence")] == [
        "fence 100 keep",
        "fence never keep",
        "fence never keep",
        "fence 600 keep",
    ]
    assert host.moment == START.plus(600)


def test_what_it_can_not_survive_ends_the_process(
    exits: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    host = Host()
    host.steps = [lambda: 1 // 0]
    host.live()
    assert exits.pop() == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert host.endings == []


def test_a_fence_that_can_not_be_told_keeps_nobody_from_working(capsys: pytest.CaptureFixture[str]) -> None:
    host = Host()
    host.fence_fails = True
    with host.caretaker.arriving("a", None, nested=False):
        pass
    assert host.live() == "closed, stopped, over"
    assert "no fence" in capsys.readouterr().err


# ---- work that comes --------------------------------------------------------------------------------


def test_the_fence_knows_of_calls_before_they_are_accepted() -> None:
    host = Host()
    with host.caretaker.arriving("a", 1000.0, nested=False):
        assert host.story == ["noted 1000 keep"]
        assert not host.news.is_set()
    assert host.news.is_set()
    assert host.caretaker.ends_in()[0] == 100.0, "they have run already"


def test_calls_that_are_refused_are_not_waited_for() -> None:
    host = Host()
    with pytest.raises(OSError, match="full"), host.caretaker.arriving("a", 1000.0, nested=False):
        raise OSError("full")
    assert host.caretaker.ends_in()[0] == 100.0


def test_what_is_in_use_has_a_time_out_of_its_own() -> None:
    host = Host()
    with host.caretaker.in_use("blob"):
        assert host.news.is_set()
        assert host.caretaker.ends_in() == (None, "")
        with host.caretaker.in_use("image", 3600.0):
            assert host.caretaker.ends_in()[0] == 3600.0
        host.news.clear()
    assert host.news.is_set()
    assert host.caretaker.ends_in()[0] == 100.0


def test_while_it_is_held_the_hard_time_out_counts() -> None:
    host = Host(hard=1000.0)
    assert host.caretaker.hold("me", 60.0) == 1000.0
    assert host.story == ["noted 160 keep"]
    host.pass_time(10.0)
    assert host.caretaker.hold("me", 60.0) == 990.0
    assert Host().caretaker.hold("me", 60.0) is None


def test_nothing_is_let_in_when_it_ends() -> None:
    host = Host()
    host.caretaker.check()
    assert not host.caretaker.is_draining
    host.caretaker.dismantle("asked to")
    assert host.caretaker.is_draining
    story = list(host.story)
    for refused in (
        host.caretaker.check,
        lambda: host.caretaker.accept(Policy(None, None), "remove"),
        lambda: host.caretaker.hold("me", 60.0),
        host.caretaker.in_use("image").__enter__,
        host.caretaker.arriving("a", None, nested=False).__enter__,
    ):
        with pytest.raises(Draining, match="the agent is ending"):
            refused()
    assert host.story == story


# ---- what it tells ----------------------------------------------------------------------------------


def test_why_it_will_end() -> None:
    host = Host(hard=1000.0)
    assert host.caretaker.ends_in() == (100.0, "soft: no job since 2023-11-14 22:13:20 UTC")
    with host.caretaker.arriving("a", 50.0, nested=False):
        assert host.caretaker.ends_in() == (50.0, "hard: job a since 2023-11-14 22:13:20 UTC")
    host.caretaker.hold("me", 600.0)
    assert host.caretaker.ends_in()[1].startswith("soft: held by somebody in a shell")
    host.caretaker.hold("me", 6000.0)
    assert host.caretaker.ends_in()[1].startswith("hard: held by somebody in a shell")
    host.times.close()
    assert host.caretaker.ends_in() == (0.0, "its time is up")
