"""Machines of IBM Cloud VPC end to end: a fake of its API, with real hosts booted by cloud-init behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

import lithops
from tests.cloud.bed import HostedCloud
from tests.integration.host_functions import where

pytestmark = pytest.mark.integration


def test_machines_appear_for_a_job_and_are_gone_after_it(hosted_cloud: HostedCloud, no_login: Path) -> None:
    config = hosted_cloud.config(ibm_vpc={"worker_processes": 1})
    with lithops.FunctionExecutor(config=config) as fexec:
        results = fexec.get_result(fexec.map(where, [(n, 0.5) for n in range(4)]))
        assert [number for number, _ in results] == list(range(4))
        there = hosted_cloud.resources()
        fexec.dismantle()
    assert {host for _, host in results} <= set(there["instances"])
    assert len(there["instances"]) == 4
    assert len({host for _, host in results}) > 1
    assert len(there["floating_ips"]) == 1
    assert hosted_cloud.resources() == {}
