"""What a wheel must fit on a host."""

from __future__ import annotations

from typing import Any

import pytest

from lithops.environment.platforms import HostPlatform, read_platform


def platform(**changes: Any) -> HostPlatform:
    fields: dict[str, Any] = {
        "python": "3.11.2", "implementation": "cpython", "machine": "x86_64", "libc": "glibc",
        "libc_version": "2.36", **changes,
    }  # fmt: skip
    return HostPlatform(**fields)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "x86_64-manylinux_2_36"),
        ({"libc_version": "2.30"}, "x86_64-manylinux_2_28"),
        ({"libc_version": "2.99"}, "x86_64-manylinux_2_40"),
        ({"libc_version": "2.12"}, ""),
        ({"machine": "aarch64", "libc_version": "2.31"}, "aarch64-manylinux_2_31"),
        ({"libc": "", "libc_version": ""}, "x86_64-unknown-linux-musl"),
        ({"machine": "riscv64"}, "riscv64-unknown-linux"),
        ({"machine": "s390x"}, ""),
    ],
)
def test_the_name_for_uv(changes: dict[str, str], name: str) -> None:
    assert platform(**changes).uv_name == name


def test_compiled_code_runs_on_the_same_or_a_newer_libc_only() -> None:
    host = platform()
    assert host.runs_wheels_built_on(platform(libc_version="2.31", python="3.11.9"))
    for other in (
        {"libc_version": "2.41"},
        {"machine": "aarch64"},
        {"python": "3.12.1"},
        {"implementation": "pypy"},
    ):
        assert not host.runs_wheels_built_on(platform(**other)), other


def test_what_an_agent_tells_is_read() -> None:
    told = {"python": "3.11.2", "implementation": "cpython", "machine": "x86_64", "libc": ["glibc", "2.36"]}
    assert read_platform(told) == platform()
    assert platform().minor == "3.11"
    assert str(platform()) == "Python 3.11.2 on x86_64 with glibc 2.36"
    with pytest.raises(KeyError):
        read_platform({})
