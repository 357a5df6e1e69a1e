"""What the region offers: zones, profiles and images."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

ADDRESS_PREFIXES = ("10.240.0.0/18", "10.240.64.0/18", "10.240.128.0/18")
"""The default address prefix of each zone."""

VOLUME_PROFILES = ("general-purpose", "5iops-tier", "10iops-tier", "custom", "sdp")


@dataclass(frozen=True, kw_only=True)
class InstanceProfile:
    """A size of instances."""

    name: str
    cpus: int
    memory: int
    family: str


def _profile(name: str) -> InstanceProfile:
    family, cpus, memory = re.fullmatch(r"(\w+)-(\d+)x(\d+)", name).groups()  # type: ignore[union-attr]
    families = {"bx2": "balanced", "cx2": "compute", "mx2": "memory"}
    return InstanceProfile(name=name, cpus=int(cpus), memory=int(memory), family=families[family])


INSTANCE_PROFILES = {
    name: _profile(name)
    for name in (
        "bx2-2x8", "bx2-4x16", "bx2-8x32", "cx2-2x4", "cx2-4x8", "cx2-8x16", "cx2-16x32", "mx2-2x16",
    )
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Image:
    """What an instance boots."""

    id: str
    name: str
    system: str
    vendor: str
    version: str
    architecture: str = "amd64"
    status: str = "available"
    visibility: str = "public"
    minimum: int = 100
    """Gigabytes of the boot volume, at least."""


def images() -> dict[str, Image]:
    """The images of a region, by id."""
    found = (
        Image(id=_id(), name="ibm-ubuntu-22-04-5-minimal-amd64-9", system="ubuntu-22-04-amd64",
              vendor="Canonical", version="22.04 LTS Jammy Jellyfish Minimal Install"),
        Image(id=_id(), name="ibm-ubuntu-24-04-3-minimal-amd64-2", system="ubuntu-24-04-amd64",
              vendor="Canonical", version="24.04 LTS Noble Numbat Minimal Install"),
        Image(id=_id(), name="ibm-ubuntu-24-04-1-minimal-amd64-1", system="ubuntu-24-04-amd64",
              vendor="Canonical", version="24.04 LTS Noble Numbat Minimal Install", status="deprecated"),
        Image(id=_id(), name="ibm-ubuntu-24-04-3-minimal-s390x-2", system="ubuntu-24-04-s390x",
              vendor="Canonical", version="24.04 LTS Noble Numbat Minimal Install", architecture="s390x"),
        Image(id=_id(), name="ibm-debian-12-11-minimal-amd64-1", system="debian-12-amd64", vendor="Debian",
              version="12.x Bookworm/Stable - Minimal Install"),
        Image(id=_id(), name="ibm-windows-server-2022-full-standard-amd64-28", system="windows-2022-amd64",
              vendor="Microsoft", version="2022 Standard Edition"),
        Image(id=_id(), name="prepared-worker", system="debian-12-amd64", vendor="Debian",
              version="12.x Bookworm/Stable - Minimal Install", visibility="private"),
    )  # fmt: skip
    return {image.id: image for image in found}


def _id() -> str:
    return f"r006-{uuid.uuid4()}"
