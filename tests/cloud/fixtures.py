"""Fixtures of tests that need a cloud; ``pytest_plugins`` makes them known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testbed import Testbed

from .bed import HostedCloud
from .cloud import Cloud


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An empty region whose instances are simulated."""
    with Cloud() as made:
        yield made


@pytest.fixture
def hosted_cloud(bed: Testbed) -> Iterator[HostedCloud]:
    """An empty region whose instances are hosts of the bed."""
    with HostedCloud(bed) as made:
        yield made
