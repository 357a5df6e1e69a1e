"""What a measurement gives, and how a run shows it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row. ``values`` are what single runs gave, in ``unit``; ``must`` is the bound on their median.

    ``reference`` says what the same machine did without us, in the same run.
    """

    what: str
    values: Sequence[float]
    unit: str
    must: float | None = None
    at_least: bool = False
    reference: str = ""

    @property
    def median(self) -> float:
        """The value that is compared with ``must``."""
        return statistics.median(self.values)

    @property
    def kept(self) -> bool:
        """Whether the bound holds."""
        if self.must is None:
            return True
        return self.median >= self.must if self.at_least else self.median <= self.must

    def row(self) -> tuple[str, ...]:
        """The cells of its row in the table."""
        spread = f"{_short(min(self.values))}-{_short(max(self.values))}" if len(self.values) > 1 else ""
        sign = ">=" if self.at_least else "<="
        must = f"{sign} {_short(self.must)} {self.unit}" if self.must is not None else ""
        verdict = "" if self.must is None else "kept" if self.kept else "MISSED"
        return self.what, f"{_short(self.median)} {self.unit}", spread, must, verdict, self.reference


HEADINGS = ("what", "median", "min-max", "must", "", "reference in the same run")


def table(figures: Sequence[Figure]) -> str:
    """All rows, in columns."""
    rows = [HEADINGS, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
