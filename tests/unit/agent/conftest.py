"""Agents for the tests of their HTTP interface, and pools for those of what runs in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.agent.agents import Station
from tests.unit.agent.pools import Workshop


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    station = Station(tmp_path_factory.mktemp("agent"))
    yield station
    assert station.reasons == []
    station.close()


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Station]:
    """An agent of one test."""
    station = Station(tmp_path / "agent")
    yield station
    station.close()


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return str(request.node.name)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """The pool of one test, which runs."""
    yield from running(tmp_path / "shop")


@pytest.fixture(scope="module")
def busy_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A pool that the tests of a file share: a new job has new workers."""
    yield from running(tmp_path_factory.mktemp("shop"))


def running(folder: Path) -> Iterator[Workshop]:
    shop = Workshop(folder)
    shop.pool.start()
    yield shop
    shop.close()
