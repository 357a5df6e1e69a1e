"""Agents for the tests of their HTTP interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.agent.agents import Station


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
