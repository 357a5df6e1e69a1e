"""What an hour of a machine costs: shipped, the user's word, and not known."""

from __future__ import annotations

import pytest

from lithops.accounting.prices import Prices, shipped_prices


def test_the_table_that_is_shipped_is_whole() -> None:
    table = shipped_prices()
    assert table[("bx2-8x32", "us-south")] == 0.384
    assert len({region for _, region in table}) == 9
    assert all(price > 0 for price in table.values())


@pytest.mark.parametrize(
    ("own", "currency", "profile", "region", "price"),
    [
        ({}, "USD", "bx2-8x32", "eu-de", 0.423),
        ({}, "USD", "cx2-2x4", "eu-de", None),
        ({}, "USD", "bx2-8x32", "mars", None),
        ({"cx2-2x4": 0.1}, "USD", "cx2-2x4", "mars", 0.1),
        ({"bx2-8x32": 0.3}, "USD", "bx2-8x32", "eu-de", 0.3),
        ({"bx2-8x32": 0.0}, "USD", "bx2-8x32", "eu-de", 0.0),
        ({}, "EUR", "bx2-8x32", "eu-de", None),
        ({"cx2-2x4": 0.1}, "EUR", "cx2-2x4", "eu-de", 0.1),
        ({}, "usd", "bx2-8x32", "eu-de", 0.423),
    ],
)
def test_what_a_price_is(
    own: dict[str, float], currency: str, profile: str, region: str, price: float | None
) -> None:
    assert Prices(own, currency).per_hour(profile, region) == price
