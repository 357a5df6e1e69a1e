"""What a wheel must fit on a host, and how uv calls that. Pure, except for `this_platform`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
"""The minor versions of glibc 2 that uv knows as platforms."""
_GLIBC_MACHINES = ("x86_64", "aarch64")


@dataclass(frozen=True, kw_only=True)
class HostPlatform:
    """An interpreter on a host: its full version and implementation, the machine, and the C library."""

    python: str
    implementation: str
    machine: str
    libc: str
    libc_version: str

    @property
    def minor(self) -> str:
        """The version as wheels name it: 3.12."""
        return ".".join(self.python.split(".")[:2])

    @property
    def glibc(self) -> int:
        """The minor version of glibc 2; 0 without glibc."""
        part = self.libc_version.split(".")[1:2]
        return int(part[0]) if self.libc == "glibc" and part and part[0].isdigit() else 0

    @property
    def uv_name(self) -> str:
        """What ``--python-platform`` of uv takes; '' when uv has no name for it."""
        if self.machine in _GLIBC_MACHINES and self.libc != "glibc":
            return f"{self.machine}-unknown-linux-musl"
        known = [minor for minor in _GLIBC if minor <= self.glibc]
        if self.machine in _GLIBC_MACHINES and known:
            return f"{self.machine}-manylinux_2_{known[-1]}"
        return "riscv64-unknown-linux" if self.machine == "riscv64" else ""

    def runs_wheels_built_on(self, other: HostPlatform) -> bool:
        """Whether what is compiled on another platform runs on this one."""
        same = (self.minor, self.implementation, self.machine, self.libc)
        return (
            same == (other.minor, other.implementation, other.machine, other.libc)
            and self.glibc >= other.glibc
        )

    def to_json(self) -> dict[str, str]:
        """As a mapping of text."""
        return asdict(self)

    def __str__(self) -> str:
        libc = f"{self.libc or 'a C library that is not glibc'} {self.libc_version}".strip()
        return f"Python {self.python} on {self.machine} with {libc}"


def read_platform(told: Mapping[str, Any]) -> HostPlatform:
    """What an agent told. Raises KeyError, ValueError when it is not that."""
    libc, version = told["libc"]
    return HostPlatform(
        python=str(told["python"]),
        implementation=str(told["implementation"]),
        machine=str(told["machine"]),
        libc=str(libc),
        libc_version=str(version),
    )


def this_platform() -> HostPlatform:
    """The interpreter that runs this."""
    libc, version = platform.libc_ver()
    return HostPlatform(
        python=platform.python_version(),
        implementation=sys.implementation.name,
        machine=platform.machine(),
        libc=libc,
        libc_version=version,
    )
