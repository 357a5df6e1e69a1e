"""Hours of machines: from when they were created until they are gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.accounting.prices import Prices
from lithops.accounting.usage import MachineTime, usage_of

PRICES = Prices({"cx2-2x4": 0.5})
HOUR = 3600.0


def machine(
    began: float, ended: float | None = None, profile: str = "cx2-2x4", region: str = "eu-de"
) -> MachineTime:
    return MachineTime(profile=profile, region=region, began_at=began, ended_at=ended)


@pytest.mark.parametrize(
    ("began", "ended", "now", "hours"),
    [
        (0, 2 * HOUR, 9 * HOUR, 2),
        (0, None, 1.5 * HOUR, 1.5),
        (0, 2 * HOUR, 1 * HOUR, 1),
        (5 * HOUR, None, 1 * HOUR, 0),
        (5 * HOUR, 4 * HOUR, 9 * HOUR, 0),
    ],
)
def test_the_hours_of_one(began: float, ended: float | None, now: float, hours: float) -> None:
    assert machine(began, ended).hours(now) == hours


def test_machines_are_told_by_profile_and_region() -> None:
    times = [
        machine(0, HOUR),
        machine(0),
        machine(0, profile="bx2-8x32"),
        machine(0, region="us-south"),
        machine(0, profile="mx2-2x16"),
    ]
    usages = usage_of(times, PRICES, 2 * HOUR)
    told = [(use.profile, use.region, use.machines, use.running, use.hours, use.cost) for use in usages]
    assert told == [
        ("bx2-8x32", "eu-de", 1, 1, 2.0, 2 * 0.423),
        ("cx2-2x4", "eu-de", 2, 1, 3.0, 1.5),
        ("cx2-2x4", "us-south", 1, 1, 2.0, 1.0),
        ("mx2-2x16", "eu-de", 1, 1, 2.0, None),
    ]
    assert usages[3].to_dict() == {
        "profile": "mx2-2x16", "region": "eu-de", "machines": 1, "running": 1, "hours": 2.0,
        "price_per_hour": None, "cost": None,
    }  # fmt: skip


_TIMES = st.builds(
    machine,
    st.floats(0, 1e6),
    st.none() | st.floats(0, 1e6),
    st.sampled_from(["cx2-2x4", "mx2-2x16"]),
    st.sampled_from(["eu-de", "us-south"]),
)


@given(st.lists(_TIMES, max_size=20), st.floats(0, 1e6), st.floats(0, 1e6))
def test_hours_add_up_and_never_shrink(times: list[MachineTime], now: float, later: float) -> None:
    usages = usage_of(times, PRICES, now)
    assert sum(use.hours for use in usages) == pytest.approx(sum(time.hours(now) for time in times))
    assert sum(use.machines for use in usages) == len(times)
    after = usage_of(times, PRICES, now + later)
    assert all(use.hours <= then.hours for use, then in zip(usages, after))
    assert all((use.cost is None) == (use.profile == "mx2-2x16") for use in usages)
