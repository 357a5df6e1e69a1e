"""Moments that outlive a process."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_agent.instants import Instant, SystemClock, boot_id

NOON = Instant("one", 1000.0, 50_000.0)
SECONDS = st.floats(-1e6, 1e6)


def test_within_a_boot_the_wall_clock_does_not_matter() -> None:
    later = Instant("one", 1010.0, 50_010.0)
    assert NOON.until(later) == NOON.age(later) == 10
    for stepped in (0.0, 50_000.0, 1e9):
        assert NOON.until(later._replace(wall=stepped)) == 10


def test_across_boots_the_wall_clock_counts() -> None:
    later = Instant("two", 3.0, 50_010.0)
    assert NOON.until(later) == NOON.age(later) == 10
    assert later.until(NOON) == -10


def test_an_age_is_never_negative() -> None:
    assert NOON.age(Instant("one", 990.0, 50_100.0)) == 0
    assert NOON.age(Instant("two", 5000.0, 40_000.0)) == 0


@given(seconds=SECONDS, boottime=st.floats(0, 1e6), wall=st.floats(0, 2e9))
def test_later_is_later_in_this_boot_and_in_another(seconds: float, boottime: float, wall: float) -> None:
    moment = Instant("one", boottime, wall)
    assert moment.until(moment.plus(seconds)) == pytest.approx(seconds, abs=1e-3)
    assert moment.until(moment.plus(seconds)._replace(boot_id="two")) == pytest.approx(seconds, abs=1e-3)


def test_what_is_kept_is_read_to_a_millisecond() -> None:
    read = Instant.from_json(NOON.plus(0.12345).to_json())
    assert (read.boot_id, read.boottime, read.wall) == ("one", 1000.123, 50_000.123)


@pytest.mark.parametrize("kept", [None, 5, "text", [], ["one", 1], ["one", "x", 2], {"boot_id": 1}])
def test_what_is_no_moment_is_refused(kept: object) -> None:
    with pytest.raises(ValueError, match="is no moment"):
        Instant.from_json(kept)


def test_the_clock_of_this_machine() -> None:
    clock = SystemClock()
    first = clock.now()
    assert first.boot_id == boot_id() != ""
    assert abs(first.wall - time.time()) < 5
    assert abs(first.boottime - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5
    event = threading.Event()
    assert clock.wait(event, 0.001) is False
    assert clock.wait(event, -5) is False
    event.set()
    assert clock.wait(event, 60) is True
    assert clock.wait(event, None) is True
