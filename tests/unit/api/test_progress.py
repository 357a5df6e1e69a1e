"""When a wait shows a bar, a line in the log, or nothing."""

from __future__ import annotations

import logging

import pytest

from lithops import progress
from lithops.job.model import Activity
from lithops.progress import (
    FIRST_LINE_AFTER,
    LINE_EVERY,
    REFRESH_EVERY,
    SHOW_AFTER,
    Count,
    Progress,
    describe,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def calm() -> Activity:
    return Activity()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_takes_bar", lambda: True)
    monkeypatch.setattr(logging.getLogger("lithops"), "level", logging.INFO)


@pytest.mark.usefixtures("terminal")
def test_a_bar_appears_after_a_second(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(True, clock)
    assert bar.next_look() == SHOW_AFTER
    bar.show(Count(1, 10), calm)
    clock.now += SHOW_AFTER / 2
    assert bar.next_look() == SHOW_AFTER / 2
    bar.show(Count(2, 10), calm)
    assert capsys.readouterr().err == ""
    clock.now += SHOW_AFTER
    assert bar.next_look() == REFRESH_EVERY
    bar.show(Count(3, 10), calm)
    bar.show(Count(12, 11), calm)
    bar.close()
    err = capsys.readouterr().err
    assert "3/10" in err
    assert "11/11" in err


@pytest.mark.usefixtures("terminal")
def test_the_bar_counts_from_the_beginning_of_the_wait(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = Progress(True, clock)
    clock.now += 100
    bar.show(Count(500, 1000), calm)
    bar.close()
    err = capsys.readouterr().err
    assert "0/1000" not in err.replace("500/1000", "")
    assert "01:40<01:4" in err
    assert "5.00call/s" in err


@pytest.mark.usefixtures("terminal")
def test_nothing_is_shown_when_it_is_not_wanted(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(False, clock)
    assert bar.next_look() is None
    clock.now += 10
    bar.show(Count(3, 10), calm)
    bar.close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("waited", "lines"), [(0.5, 0), (3.0, 1)])
def test_without_a_terminal_it_is_a_line(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, waited: float, lines: int
) -> None:
    said: list[str] = []
    monkeypatch.setattr(progress, "_takes_bar", lambda: False)
    monkeypatch.setattr(progress.logger, "info", lambda text, *values: said.append(text % values))
    bar = Progress(True, clock)
    bar.show(Count(3, 10), calm)
    clock.now += waited
    bar.close()
    assert said == ["3 of 10 calls have ended, after 3.0 s"][:lines]


DESCRIPTIONS = [
    (Count(0, 9), Activity(), ""),
    (Count(3, 9, 2), Activity(running=4, ready=2, hosts=2), "4 running, 2 failed, 2 hosts"),
    (Count(0, 9), Activity(ready=1, hosts=1), "1 host"),
    (
        Count(0, 9),
        Activity(ready=1, hosts=3, doing="a: starting the agent (and 1 more)"),
        "1 of 3 hosts, a: starting the agent (and 1 more)",
    ),
]


@pytest.mark.parametrize(("count", "activity", "told"), DESCRIPTIONS)
def test_what_stands_beside_the_numbers(count: Count, activity: Activity, told: str) -> None:
    assert describe(count, activity) == told


@pytest.mark.usefixtures("terminal")
def test_the_bar_tells_of_failures_and_hosts(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(True, clock)
    clock.now += 2
    bar.show(Count(3, 10, 1), lambda: Activity(running=2, ready=1, hosts=2, doing="b: starting the agent"))
    bar.close()
    assert "2 running, 1 failed, 1 of 2 hosts, b: starting the agent" in capsys.readouterr().err


def test_without_a_terminal_lines_come_more_and_more_rarely(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[float, str]] = []
    monkeypatch.setattr(progress, "_takes_bar", lambda: False)
    monkeypatch.setattr(progress.logger, "isEnabledFor", lambda level: True)
    monkeypatch.setattr(
        progress.logger, "info", lambda text, *values: said.append((clock.now - 100, text % values))
    )
    shown = Progress(True, clock)
    assert shown.next_look() == FIRST_LINE_AFTER
    while clock.now < 100 + 6 * LINE_EVERY:
        look = shown.next_look()
        assert look is not None
        clock.now += look
        shown.show(Count(3, 10, 1), lambda: Activity(running=2, ready=1, hosts=1))
    assert [round(at) for at, _ in said] == [5, 10, 20, 40, 80, 140, 200, 260, 320, 380]
    assert said[0][1] == "3 of 10 calls have ended (2 running, 1 failed, 1 host), after 5.0 s"
    shown.close()
    assert said[-1][1] == "3 of 10 calls have ended (1 failed), after 380.0 s"


def test_what_is_not_shown_is_not_asked_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_takes_bar", lambda: False)

    def never() -> Activity:
        raise AssertionError

    shown = Progress(True, clock)
    shown.show(Count(1, 2), never)
    clock.now += FIRST_LINE_AFTER
    shown.show(Count(2, 2), never)
