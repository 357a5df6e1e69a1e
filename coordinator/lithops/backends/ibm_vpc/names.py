"""What things in the cloud are called: names tell whose they are and what they are for. Pure.

``lithops-CLIENT-SCOPE-ROLE[-NUMBER]``: ``CLIENT`` is random and stays the same for one user on one machine,
``SCOPE`` is an executor, or the kind of the machines that executors share. So what is left can be found
without any record, and two users of an account never touch each other's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "lithops"
VM = "vm"
VPC = "vpc"
GATEWAY = "gateway"
SUBNET = "subnet"
GROUP = "group"
ADDRESS = "ip"
DISK = "disk"
ROLES = (VM, VPC, GATEWAY, SUBNET, GROUP, ADDRESS, DISK)

_SHARED = "r"
_MOST = 63
_CLIENT = re.compile(r"[0-9a-f]{8}")
_TAIL = re.compile(rf"-({'|'.join(ROLES)})(-\d+)?$")
_NAME = re.compile(rf"{PREFIX}-([0-9a-f]{{8}})-([a-z0-9-]+?)-({'|'.join(ROLES)})(?:-(\d+))?")


@dataclass(frozen=True)
class Scope:
    """What things belong to: the ``client`` that made them, and what for."""

    client: str
    key: str

    def __post_init__(self) -> None:
        if not _CLIENT.fullmatch(self.client):
            raise ValueError(f"not the id of a client: {self.client!r}")

    @classmethod
    def of_executor(cls, client: str, executor_id: str) -> Scope:
        """The things of one executor."""
        key = re.sub(r"[^a-z0-9]+", "-", executor_id.lower()).strip("-")
        return cls(client, f"e{key}"[:32].rstrip("-"))

    @classmethod
    def of_kind(cls, client: str, kind: str) -> Scope:
        """The things that all executors share whose machines are of a ``kind``, some hexadecimal digits."""
        return cls(client, f"{_SHARED}{kind}")

    @property
    def is_shared(self) -> bool:
        """Whether it is not that of one executor."""
        return self.key.startswith(_SHARED)

    def name(self, role: str, number: int | None = None) -> str:
        """The name of a thing."""
        name = f"{PREFIX}-{self.client}-{self.key}-{role}" + ("" if number is None else f"-{number}")
        if len(name) > _MOST:
            raise ValueError(f"the name is longer than {_MOST} characters: {name}")
        return name


@dataclass(frozen=True)
class Name:
    """A name, taken apart."""

    scope: Scope
    role: str
    number: int | None = None


def parse(name: str) -> Name | None:
    """Take a name apart; None when it is none of this project's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    client, key, role, number = match.groups()
    if _TAIL.search(key):
        return None  # Something of somebody's that is called after one of ours.
    return Name(Scope(client, key), role, None if number is None else int(number))
