"""The scenarios that take seconds; `make faults` plays all of them."""

from __future__ import annotations

import random

import pytest

from tests.faults import links, losses, processes, sharing, soak  # noqa: F401 - they register themselves
from tests.faults.scenario import SCENARIOS, staged
from tests.testbed import Testbed

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", [each.name for each in SCENARIOS.values() if each.fast])
def test_nothing_is_lost(bed: Testbed, name: str) -> None:
    each, seed = SCENARIOS[name], random.randrange(1 << 32)
    print(f"seed {seed}")
    with staged(bed, seed) as stage:
        row = each.play(stage)
    assert each.problems(row) == [], row
