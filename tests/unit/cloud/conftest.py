"""What the tests of the fake cloud share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cloud import Cloud, Delays, SetClock

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q test"


@dataclass
class Site:
    """A cloud whose time stands still, the SDK's client, and the quickest ways to make things."""

    cloud: Cloud
    clock: SetClock
    client: Any

    def later(self, seconds: float = 10.0) -> None:
        """Put the clock forward."""
        self.clock.advance(seconds)

    def vpc(self, name: str = "net") -> dict[str, Any]:
        """A VPC that is available."""
        made: dict[str, Any] = self.client.create_vpc(name=name).get_result()
        self.later()
        return made

    def subnet(self, vpc: dict[str, Any], name: str = "part") -> dict[str, Any]:
        """A subnet that is available."""
        prototype = {
            "vpc": {"id": vpc["id"]}, "name": name, "total_ipv4_address_count": 256,
            "zone": {"name": self.cloud.zone},
        }  # fmt: skip
        made: dict[str, Any] = self.client.create_subnet(prototype).get_result()
        self.later()
        return made

    def prototype(self, subnet: dict[str, Any], name: str = "worker", **more: Any) -> dict[str, Any]:
        """A body that makes an instance."""
        return {
            "name": name,
            "image": {"id": self.cloud.image_id},
            "zone": {"name": self.cloud.zone},
            "profile": {"name": "cx2-2x4"},
            "primary_network_interface": {"subnet": {"id": subnet["id"]}},
            **more,
        }

    def instance(self, subnet: dict[str, Any], name: str = "worker", **more: Any) -> dict[str, Any]:
        """An instance that runs."""
        made: dict[str, Any] = self.client.create_instance(self.prototype(subnet, name, **more)).get_result()
        self.later()
        self.status(made)
        self.later()
        assert self.status(made) == "running"
        return made

    def status(self, instance: dict[str, Any]) -> str:
        """What the service says of an instance."""
        return str(self.client.get_instance(instance["id"]).get_result()["status"])


@pytest.fixture
def site() -> Iterator[Site]:
    """An empty region whose time the test puts forward."""
    clock = SetClock()
    with Cloud(
        clock=clock, delays=Delays(pending=1, boot=2, shutdown=2, destroy=2, network=1, volume=1)
    ) as made:
        yield Site(made, clock, made.client())
