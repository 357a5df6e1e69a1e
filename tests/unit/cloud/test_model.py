"""Whatever is asked of the fake cloud, what it shows fits together, and all can be removed."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import ibm_vpc.vpc_v1 as models
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cloud import bodies
from tests.cloud.answers import View
from tests.cloud.bodies import Identity, NameIdentity
from tests.cloud.groups import Groups
from tests.cloud.iam import Iam
from tests.cloud.instances import Instances
from tests.cloud.networks import Networks
from tests.cloud.problems import Refused
from tests.cloud.region import Delays, Region
from tests.cloud.schedule import SetClock

SHOWN: dict[str, tuple[str, Any]] = {
    "vpcs": ("vpc", models.VPC),
    "subnets": ("subnet", models.Subnet),
    "public_gateways": ("gateway", models.PublicGateway),
    "floating_ips": ("floating_ip", models.FloatingIP),
    "security_groups": ("security_group", models.SecurityGroup),
    "instances": ("instance", models.Instance),
    "volumes": ("volume", models.Volume),
}


class Nothing(Exception):
    """There is nothing to do it with."""


class World:
    """A region, and what can be asked of it at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = SetClock(1e9)
        iam = Iam(clock=self.clock, api_key="key")
        self.region = Region(name="us-south", clock=self.clock, iam=iam, delays=Delays())
        self.networks, self.groups = Networks(self.region), Groups(self.region)
        self.instances = Instances(self.region)
        self.image = next(i.id for i in self.region.images.values() if i.architecture == "amd64")

    def any(self, kind: str) -> Any:
        """Some resource of a kind."""
        found = list(self.region.store[kind].values())
        if not found:
            raise Nothing
        return self.random.choice(found)

    def one(self, kind: str) -> Identity:
        """The same, as a body names it; maybe something that is not there."""
        if not self.region.store[kind] or self.random.random() < 0.1:
            return Identity(id="none")
        return Identity(id=self.any(kind).id)

    def zone(self) -> NameIdentity:
        """One of two zones."""
        return NameIdentity(name=self.random.choice(self.region.zones[:2]))

    def acts(self) -> list[Callable[[], object]]:
        """What can be done."""
        size = NameIdentity(name="cx2-2x4")
        return [
            lambda: self.networks.create_vpc(bodies.VpcPrototype()),
            lambda: self.networks.create_subnet(
                bodies.SubnetPrototype(vpc=self.one("vpcs"), zone=self.zone(), total_ipv4_address_count=8)
            ),
            lambda: self.networks.create_gateway(
                bodies.GatewayPrototype(vpc=self.one("vpcs"), zone=self.zone())
            ),
            lambda: self.networks.attach_gateway(self.any("subnets"), self.one("public_gateways")),
            lambda: self.networks.create_ip(bodies.FloatingIpPrototype(zone=self.zone())),
            lambda: self.networks.bind_ip(self.any("floating_ips"), self.any("instances")),
            lambda: self.groups.create(bodies.SecurityGroupPrototype(vpc=self.one("vpcs")), "2026-01-01"),
            lambda: self.groups.add_target(self.any("security_groups"), self.any("instances")),
            lambda: self.instances.create(
                bodies.InstancePrototype(
                    image=Identity(id=self.image), zone=self.zone(), profile=size,
                    primary_network_interface=bodies.InterfacePrototype(subnet=self.one("subnets")),
                )
            ),
            lambda: self.instances.act(
                self.any("instances"),
                bodies.ActionPrototype(type=self.random.choice(["start", "stop", "reboot"])),
            ),
            lambda: self.instances.powered_off(self.any("instances")),
            lambda: self.instances.delete(self.any("instances")),
            *self.removals(),
            lambda: self.clock.advance(self.random.choice([0.05, 0.5])),
        ]  # fmt: skip

    def removals(self) -> list[Callable[[], object]]:
        """What removes things."""
        return [
            lambda: self.networks.delete_ip(self.any("floating_ips")),
            lambda: self.networks.detach_gateway(self.any("subnets")),
            lambda: self.networks.delete_gateway(self.any("public_gateways")),
            lambda: self.networks.delete_subnet(self.any("subnets")),
            lambda: self.groups.delete(self.any("security_groups")),
            lambda: self.networks.delete_vpc(self.any("vpcs")),
            lambda: self.instances.delete_volume(self.any("volumes")),
        ]

    def attempt(self, act: Callable[[], object]) -> None:
        """Do something that may be refused, or that nothing is there for."""
        self.region.settle()
        with contextlib.suppress(Refused, Nothing):
            act()

    def look(self) -> None:
        """All that is shown fits the models, and addresses are had once."""
        view = View(self.region, "http://cloud/v1", "2026-01-01")
        for kind, (show, model) in SHOWN.items():
            for resource in self.region.store[kind].values():
                model.from_dict(getattr(view, show)(resource))
        for subnet in self.region.store["subnets"].values():
            there = [
                i.interface.address
                for i in self.region.store["instances"].values()
                if i.interface.subnet == subnet.id
            ]
            assert sorted(there) == sorted(subnet.taken)

    def empty(self) -> None:
        """Remove everything, in the order that the service wants."""
        for instance in list(self.region.store["instances"].values()):
            self.attempt(lambda instance=instance: self.instances.delete(instance))  # type: ignore[misc]
        for _ in range(3):
            self.clock.advance(10)
            self.region.settle()
        for removed, kind in (
            (self.instances.delete_volume, "volumes"), (self.networks.delete_ip, "floating_ips"),
            (self.networks.delete_subnet, "subnets"), (self.networks.delete_gateway, "public_gateways"),
            (self.networks.delete_vpc, "vpcs"),
        ):  # fmt: skip
            for resource in list(self.region.store[kind].values()):
                self.attempt(lambda resource=resource, removed=removed: removed(resource))  # type: ignore[misc]
            self.clock.advance(10)
            self.region.settle()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_shown_fits_together(seed: int) -> None:
    world = World(seed)
    for _ in range(60):
        world.attempt(world.random.choice(world.acts()))
        world.look()
    world.empty()
    left = {kind: list(things) for kind, things in world.region.store.items() if things}
    assert left == {}
