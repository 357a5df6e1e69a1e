"""What the schema is written in: keys and sections."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from lithops.config.kinds import Kind


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of a section.

    `None` as a value means that the key is not set, unless it is `nullable`.
    """

    name: str
    kind: Kind
    doc: str
    default: Any = None
    default_doc: str = ""
    """Says what happens where the default is not a plain value."""
    unit: str = ""
    aliases: tuple[str, ...] = ()
    mandatory: bool = False
    nullable: bool = False
    secret: bool = False

    def fresh_default(self) -> Any:
        """Give the default in a form that may be changed without changing the schema."""
        return copy.copy(list(self.default) if isinstance(self.default, tuple) else self.default)


@dataclass(frozen=True, kw_only=True)
class Section:
    """The keys that belong together."""

    name: str
    doc: str
    keys: tuple[Key, ...]
    needs: tuple[str, ...] = ()
    """Keys of which exactly one is mandatory."""
    reserved: tuple[str, ...] = ()
    """Keys known from Lithops that nothing reads yet."""

    @property
    def names(self) -> tuple[str, ...]:
        """The keys' names, without aliases."""
        return tuple(key.name for key in self.keys)

    def find(self, name: str) -> Key | None:
        """Find a key by its name or one of its aliases."""
        return next((key for key in self.keys if name == key.name or name in key.aliases), None)
