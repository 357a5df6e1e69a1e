"""The thread that makes room: it does what there is to do, and survives what goes wrong."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from lithops_agent import housekeeping
from lithops_agent.housekeeping import Housekeeper
from tests.unit.agent.pools import within


class Journal:
    """Has so many steps to do; each of ``errors`` is raised once, before."""

    def __init__(self, steps: int = 0, errors: tuple[Exception, ...] = ()) -> None:
        self.steps = steps
        self.errors = list(errors)
        self.looks = 0

    def tidy(self) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        self.steps -= self.steps > 0
        return self.steps > 0

    def release_abandoned(self) -> None:
        self.looks += 1


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Housekeeper]]:
    """Housekeepers that a test starts; between two steps that are not of the same work, they sleep long."""
    monkeypatch.setattr(housekeeping, "_INTERVAL", 60.0)
    all_of_them: list[Housekeeper] = []
    yield all_of_them
    for each in all_of_them:
        each.stop()
        assert not each._thread.is_alive()


def keep(journal: Journal, started: list[Housekeeper], clock: list[float]) -> Housekeeper:
    started.append(Housekeeper(journal, lambda: clock[0]))  # type: ignore[arg-type]
    started[-1].start()
    return started[-1]


def test_it_goes_on_until_nothing_is_left_and_when_it_is_woken(started: list[Housekeeper]) -> None:
    journal = Journal(20)
    keeper = keep(journal, started, [0.0])
    within(10, lambda: journal.steps == 0)
    journal.steps = 5
    keeper.wake()
    within(10, lambda: journal.steps == 0)


def test_it_looks_seldom_for_what_is_abandoned(started: list[Housekeeper]) -> None:
    journal, clock = Journal(20), [0.0]
    keeper = keep(journal, started, clock)
    within(10, lambda: journal.steps == 0)
    assert journal.looks == 1
    clock[0] += 1000.0
    keeper.wake()
    within(10, lambda: journal.looks == 2)


@pytest.mark.parametrize(
    ("error", "is_told"), [(OSError(errno.ENOSPC, "full"), False), (RuntimeError("what is this"), True)]
)
def test_what_goes_wrong_does_not_end_it(
    started: list[Housekeeper], capsys: pytest.CaptureFixture[str], error: Exception, is_told: bool
) -> None:
    journal = Journal(3, (error,))
    keeper = keep(journal, started, [0.0])
    within(10, lambda: not journal.errors)
    keeper.wake()
    within(10, lambda: journal.steps == 0)
    assert ("what is this" in capsys.readouterr().err) is is_told
