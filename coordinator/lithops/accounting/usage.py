"""How long machines of a cloud ran, and what that costs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

from lithops.accounting.prices import Prices

_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class MachineTime:
    """A machine that is paid for from when it was created until it is gone (None: it is there). Times are in
    seconds since the epoch."""

    profile: str
    region: str
    began_at: float
    ended_at: Optional[float] = None

    def hours(self, now: float) -> float:
        """How long it has been paid for until ``now``, in hours."""
        end = now if self.ended_at is None else min(self.ended_at, now)
        return max(end - self.began_at, 0.0) / _HOUR


@dataclass(frozen=True, kw_only=True)
class ProfileUsage:
    """The machines of one profile in one region. ``per_hour`` is None when no price is known."""

    profile: str
    region: str
    machines: int
    running: int
    hours: float
    per_hour: Optional[float]

    @property
    def cost(self) -> Optional[float]:
        """What the hours cost; None when no price is known."""
        return None if self.per_hour is None else self.hours * self.per_hour

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "profile": self.profile,
            "region": self.region,
            "machines": self.machines,
            "running": self.running,
            "hours": self.hours,
            "price_per_hour": self.per_hour,
            "cost": self.cost,
        }


def usage_of(machines: Iterable[MachineTime], prices: Prices, now: float) -> tuple[ProfileUsage, ...]:
    """The machines by profile and region."""
    groups: dict[tuple[str, str], list[MachineTime]] = {}
    for machine in machines:
        groups.setdefault((machine.profile, machine.region), []).append(machine)
    return tuple(
        ProfileUsage(
            profile=profile,
            region=region,
            machines=len(group),
            running=sum(machine.ended_at is None for machine in group),
            hours=sum(machine.hours(now) for machine in group),
            per_hour=prices.per_hour(profile, region),
        )
        for (profile, region), group in sorted(groups.items())
    )
