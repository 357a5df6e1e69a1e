"""Fixtures of tests that need a cloud; ``pytest_plugins`` makes them known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .cloud import Cloud


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An empty region whose instances are simulated."""
    with Cloud() as made:
        yield made
