"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in what a shell runs in the background; programs that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.testbed.fixtures", "tests.cloud.fixtures"]


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave the home of whoever runs them alone; bundles that were built before are used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield
