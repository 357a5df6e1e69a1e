"""Machines of IBM Cloud VPC. Nothing here imports the SDK before it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lithops.backends.leftovers import Leftover
    from lithops.backends.machine import Supply
    from lithops.config.settings import Settings


def supply(settings: Settings, executor_id: str) -> Supply:
    """Where the machines of an executor come from. Nothing is connected or created."""
    from lithops.backends.ibm_vpc.supplies import supply_for

    return supply_for(settings, executor_id)


def leftovers(settings: Settings, *, everything: bool) -> list[Leftover]:
    """What this client has left in the region, in the order in which it is to go: with ``everything`` all of
    it, else what no program that runs needs.

    Raises:
        CloudError: the cloud can't be asked.
        ConfigError: the SDK is not installed.
    """
    from lithops.backends.ibm_vpc.supplies import require_sdk
    from lithops.backends.ibm_vpc.sweeping import find_leftovers

    require_sdk()
    return find_leftovers(settings, everything=everything)


def reap(settings: Settings, *, folder: Path | None = None) -> list[str]:
    """Remove what no program needs any more; the names of what is gone. Raises as `leftovers` does."""
    from lithops.backends.ibm_vpc.supplies import require_sdk
    from lithops.backends.ibm_vpc.sweeping import reap

    require_sdk()
    return reap(settings, folder=folder)
