"""Machines of IBM Cloud VPC. Nothing here imports the SDK before it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops.backends.machine import Supply
    from lithops.config.settings import Settings


def supply(settings: Settings, executor_id: str) -> Supply:
    """Where the machines of an executor come from. Nothing is connected or created."""
    from lithops.backends.ibm_vpc.supplies import supply_for

    return supply_for(settings, executor_id)
