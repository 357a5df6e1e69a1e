"""When a wait shows a bar, a line in the log, or nothing."""

from __future__ import annotations

import logging

import pytest

from lithops import progress
from lithops.progress import REFRESH_EVERY, SHOW_AFTER, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_is_terminal", lambda: True)
    monkeypatch.setattr(logging.getLogger("lithops"), "level", logging.INFO)


@pytest.mark.usefixtures("terminal")
def test_a_bar_appears_after_a_second(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(True, clock)
    assert bar.next_look() == SHOW_AFTER
    bar.show(1, 10)
    clock.now += SHOW_AFTER / 2
    assert bar.next_look() == SHOW_AFTER / 2
    bar.show(2, 10)
    assert capsys.readouterr().err == ""
    clock.now += SHOW_AFTER
    assert bar.next_look() == REFRESH_EVERY
    bar.show(3, 10)
    bar.show(12, 11)
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
    bar.show(500, 1000)
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
    bar.show(3, 10)
    bar.close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("waited", "lines"), [(0.5, 0), (3.0, 1)])
def test_without_a_terminal_it_is_a_line(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, waited: float, lines: int
) -> None:
    said: list[str] = []
    monkeypatch.setattr(progress, "_is_terminal", lambda: False)
    monkeypatch.setattr(progress.logger, "info", lambda text, *values: said.append(text % values))
    bar = Progress(True, clock)
    bar.show(3, 10)
    clock.now += waited
    bar.close()
    assert said == ["3 of 10 calls have ended, after 3.0 s"][:lines]
