"""What an hour of a machine costs: the table that is shipped, and what the user says in its place."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.resources import files
from typing import Optional

SHIPPED_CURRENCY = "USD"


class Prices:
    """Prices by profile and region.

    Args:
        own: what an hour of a profile costs in any region, by the user's word: this counts.
        currency: of ``own``. The table that is shipped is in USD and is of no use for another one.
    """

    def __init__(self, own: Optional[Mapping[str, float]] = None, currency: str = SHIPPED_CURRENCY) -> None:
        self.currency = currency
        self._own = dict(own or {})
        self._shipped = shipped_prices() if currency.upper() == SHIPPED_CURRENCY else {}

    def per_hour(self, profile: str, region: str) -> Optional[float]:
        """The price of an hour; None: it is not known, which is not the same as 0."""
        own = self._own.get(profile)
        return own if own is not None else self._shipped.get((profile, region))


def shipped_prices() -> dict[tuple[str, str], float]:
    """The table of the package, by profile and region; where it comes from is at its top."""
    text = files("lithops.accounting").joinpath("prices.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {(row["profile"], row["region"]): float(row["per_hour"]) for row in csv.DictReader(lines)}
