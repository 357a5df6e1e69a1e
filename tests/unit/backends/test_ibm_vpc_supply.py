"""Supplies of machines of IBM VPC, as far as nothing is asked of the cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from lithops.backends import ibm_vpc
from lithops.config.settings import resolve


def test_each_executor_has_a_supply_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = {
        "lithops": {"backend": "ibm_vpc"},
        "standalone": {"exec_mode": "create"},
        "ibm": {"iam_api_key": "key", "region": "us-south", "resource_group_id": "group"},
        "ibm_vpc": {"max_workers": 3, "worker_processes": 2},
    }
    first, second = (ibm_vpc.supply(resolve(config), executor_id) for executor_id in ("one-0", "two-0"))
    assert [len(first.machines(calls)) for calls in (0, 1, 3, 100)] == [0, 1, 2, 3]
    names = {machine.name for supply in (first, second) for machine in supply.machines(100)}
    assert len(names) == 6
