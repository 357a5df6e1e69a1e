"""What calls took, and what machines of a cloud cost meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops.accounting.prices import Prices
    from lithops.accounting.summary import JobSummary
    from lithops.config.settings import Settings
    from lithops.future import ResponseFuture


def summary_of(
    settings: Settings,
    executor_id: str,
    futures: Iterable[ResponseFuture],
    now: float,
    cloud_objects: int = 0,
) -> JobSummary:
    """The summary of an executor at ``now``, in seconds since the epoch."""
    from lithops.accounting.machines import machines_of
    from lithops.accounting.summary import summarise
    from lithops.accounting.usage import usage_of

    prices = prices_of(settings)
    machines = usage_of(machines_of(executor_id), prices, now)
    return summarise(executor_id, futures, machines, prices.currency, now, cloud_objects=cloud_objects)


def prices_of(settings: Settings) -> Prices:
    """What machines cost by the word of a configuration."""
    from lithops.accounting.prices import Prices
    from lithops.config.settings import IbmVpcSettings

    backend = settings.backend
    return Prices(backend.prices, backend.currency) if isinstance(backend, IbmVpcSettings) else Prices()
