"""Which image of the region new machines boot. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lithops.errors import ConfigError

PYTHONS = {
    "ubuntu-22-04": (3, 10),
    "debian-12": (3, 11),
    "ubuntu-24-04": (3, 12),
    "debian-13": (3, 13),
    "ubuntu-26-04": (3, 14),
}
"""The Python that each system comes with."""
_ARCHITECTURE = "amd64"


def choose_image(images: Iterable[Mapping[str, Any]], python: tuple[int, int] | None) -> str:
    """The id of the image to boot: the newest with this Python, or of any Ubuntu where it does not matter.

    Raises:
        ConfigError: there is none.
    """
    fitting = []
    for image in images:
        system = image["operating_system"]
        release = re.sub(rf"-{_ARCHITECTURE}$", "", system["name"])
        if image["status"] != "available" or system["architecture"] != _ARCHITECTURE:
            continue
        if python is None and not release.startswith("ubuntu"):
            continue
        if release in PYTHONS and python in (None, PYTHONS[release]):
            fitting.append((PYTHONS[release], _version(image["name"]), image["id"]))
    if fitting:
        return str(max(fitting)[2])
    wanted = f"Python {python[0]}.{python[1]}" if python else "Ubuntu"
    raise ConfigError(
        f"ibm_vpc.image_id: the region has no image that is known to have {wanted}: name one of your own, or "
        "let functions run in a Docker image (standalone.runtime)"
    )


def _version(name: str) -> tuple[int, ...]:
    """What tells a newer image of a system from an older one: the numbers in its name."""
    return tuple(map(int, re.findall(r"\d+", name)))
