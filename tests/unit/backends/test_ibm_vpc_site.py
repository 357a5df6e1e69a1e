"""What the machines of a site see of each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from lithops.backends.ibm_vpc.api import VpcApi
from lithops.backends.ibm_vpc.names import VM, Scope
from lithops.backends.ibm_vpc.notebook import Notebook
from lithops.backends.ibm_vpc.site import Site
from lithops.config.settings import resolve

_SCOPE = Scope.of_executor("0123abcd", "run-0")
_WAIT = 10


class Listing:
    """An API that has instances, and lists them as slowly as the test wants."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def list(self, kind: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """What there was when it was asked."""
        there = [{"name": name, "status": "running"} for name in self.names]
        self.begun.set()
        assert self.go_on.wait(_WAIT)
        return iter(there)


def _site(api: Listing, folder: Path) -> Site:
    config = {
        "lithops": {"backend": "ibm_vpc"},
        "standalone": {"exec_mode": "create"},
        "ibm": {"iam_api_key": "key", "region": "us-south", "resource_group_id": "group"},
    }
    notebook = Notebook(_SCOPE, "run-0", "us-south", folder=folder)
    return Site(resolve(config), _SCOPE, cast(VpcApi, api), notebook)


def test_a_list_that_was_begun_before_a_change_serves_nobody_after_it(tmp_path: Path) -> None:
    api = Listing()
    site = _site(api, tmp_path)
    lister = threading.Thread(target=site.members)
    lister.start()
    assert api.begun.wait(_WAIT)
    name = _SCOPE.name(VM, 7)
    api.names.append(name)
    site.stale()
    api.go_on.set()
    lister.join(_WAIT)
    assert list(site.members()) == [name]
