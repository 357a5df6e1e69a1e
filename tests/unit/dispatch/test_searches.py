"""Searches for the calls of an earlier process."""

from __future__ import annotations

from lithops.dispatch.searches import Searches


def test_a_search_is_over_when_every_host_has_told() -> None:
    searches = Searches()
    searches.begin("J", ["a", "b"])
    searches.begin("K", ["a"])
    assert searches.asked_of("a") == ["J", "K"]
    assert not searches.told("J", "a")
    assert not searches.told("J", "a")
    assert searches.asked_of("a") == ["K"]
    assert searches.told("J", "b")
    assert searches.jobs() == ["K"]


def test_what_nobody_searches_for_is_over_already() -> None:
    searches = Searches()
    assert not searches.told("J", "a")
    searches.begin("J", ["a"])
    assert searches.told("J", "a")
    assert not searches.told("J", "a")


def test_a_search_that_nobody_could_be_asked_for_ends_with_the_first_word() -> None:
    searches = Searches()
    searches.begin("J", [])
    assert searches.jobs() == ["J"]
    assert searches.told("J", "a")
