"""Fixtures for tests that need hosts; ``-p tests.testbed.fixtures`` or `pytest_plugins` makes them known.

Without a testbed, the tests that want one are skipped on a developer's machine and fail in CI (``CI=true``).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from . import Host, Testbed, TestbedUnavailable
from .machine import require

FreshHost = Callable[..., Host]


@pytest.fixture(scope="session")
def bed() -> Iterator[Testbed]:
    """The bed of this run of the tests."""
    insist()
    with Testbed() as testbed:
        yield testbed


def insist() -> None:
    """Go on where hosts can boot; otherwise skip the test, or fail it in CI."""
    try:
        require()
    except TestbedUnavailable as exc:
        if os.environ.get("CI") == "true":
            pytest.fail(str(exc), pytrace=False)
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def shared_hosts(bed: Testbed) -> dict[str, Host]:
    """Hosts that outlive a test, by name; use `host` and `two_hosts` instead."""
    return {}


@pytest.fixture
def host(bed: Testbed, shared_hosts: dict[str, Host]) -> Host:
    """The shared host 'a': on, and with nothing of an earlier test in the home of 'user'."""
    return _ready(bed, shared_hosts, "a")


@pytest.fixture
def two_hosts(bed: Testbed, shared_hosts: dict[str, Host]) -> tuple[Host, Host]:
    """The shared hosts 'a' and 'b', as `host`."""
    return _ready(bed, shared_hosts, "a"), _ready(bed, shared_hosts, "b")


@pytest.fixture
def fresh_host(bed: Testbed) -> Iterator[FreshHost]:
    """A factory of hosts for this test alone, with the options of `Testbed.host`."""
    numbers = itertools.count(1)
    made: list[Host] = []

    def make(name: str | None = None, **options: Any) -> Host:
        made.append(bed.host(name or f"fresh{next(numbers)}", **options))
        return made[-1]

    yield make
    for each in made:
        bed.remove(each)


def _ready(bed: Testbed, shared: dict[str, Host], name: str) -> Host:
    """The shared host of this name; switched on, joined to the network and clean."""
    if name not in shared:
        shared[name] = bed.host(name)
        return shared[name]
    host = shared[name]
    if host.running:
        host.link_up()
    if host.running and host.answers():
        host.clean_home("user")
    else:
        host.reset()
    return host
