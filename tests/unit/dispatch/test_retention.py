"""Which jobs hosts keep after the program has seen the end of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.dispatch import jobs
from lithops.dispatch.jobs import Retention


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_KEPT", 3)
    monkeypatch.setattr(jobs, "_RELEASED_TOGETHER", 2)
    monkeypatch.setattr(jobs, "_KEPT_BYTES", 100)
    monkeypatch.setattr(jobs, "_REMEMBERED", 4)


def test_the_last_jobs_are_kept() -> None:
    kept = Retention()
    assert [kept.seen(key) for key in "abcdefg"] == [[], [], [], [], ["a", "b"], [], ["c", "d"]]
    assert [kept.is_released(key) for key in "abcde"] == [True, True, True, True, False]
    assert kept.end() == ["e", "f", "g"]
    assert kept.end() == []


def test_large_results_are_kept_for_less_long() -> None:
    kept = Retention()
    for key, size in {"a": 60, "b": 30, "c": 50, "d": 101}.items():
        kept.grew(key, size - 1)
        kept.grew(key, 1)
    assert [kept.seen(key) for key in "abcd"] == [[], [], ["a"], ["b", "c", "d"]]


def test_a_job_that_has_more_calls_is_not_released() -> None:
    kept = Retention()
    kept.grew("a", 90)
    assert kept.seen("a") == []
    kept.wanted("a")
    kept.grew("b", 90)
    assert kept.seen("b") == []
    assert kept.end() == ["b"]
    kept.wanted("b")
    assert not kept.is_released("b")


def test_what_was_released_is_remembered_for_a_while() -> None:
    kept = Retention()
    for key in "abcdef":
        kept.seen(key)
    kept.end()
    assert [key for key in "abcdef" if kept.is_released(key)] == list("cdef")


@given(st.lists(st.integers(0, 70), max_size=40))
def test_every_job_is_released_once_and_in_order(sizes: list[int]) -> None:
    kept = Retention()
    released: list[str] = []
    for number, size in enumerate(sizes):
        kept.grew(str(number), size)
        released += kept.seen(str(number))
    assert released + kept.end() == [str(number) for number in range(len(sizes))]
    assert kept._kept_bytes == 0
