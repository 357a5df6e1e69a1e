"""What is left of this project somewhere, and how it is removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Leftover:
    """One thing that could be removed: what it is, its name, where it is, and why nobody needs it.

    ``remove`` removes it, and returns when it is gone; it raises LithopsError or OSError.
    """

    kind: str
    name: str
    where: str
    why: str
    remove: Callable[[], None] = field(repr=False, compare=False)
