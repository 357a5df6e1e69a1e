"""A program that creates machines of IBM VPC is killed after each thing that it has created."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lithops.config.settings import resolve
from tests.cloud import SILENCE_AFTER, Cloud
from tests.faults.cloud_scenario import QUICK, clean
from tests.integration.support import environment

_ROOT = Path(__file__).parents[2]
_CREATED = (
    ("/vpcs", 0), ("/subnets", 0), ("/security_groups", 0), ("/security_groups/[^/]+/rules", 0),
    ("/instances", 0), ("/instances", 1), ("/floating_ips", 0),
)  # fmt: skip
"""What is created, and how many of it before."""


@pytest.mark.parametrize(("path", "skip"), _CREATED)
def test_what_a_killed_program_has_created_is_found(
    path: str, skip: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Cloud(delays=QUICK) as cloud:
        # It is created, and the program is not told before it dies.
        cloud.inject("POST", path, SILENCE_AFTER, skip=skip)
        config = cloud.config(ibm_vpc={"ssh_source": "192.0.2.1/32", "worker_processes": 1})
        program = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.cloud_client", json.dumps(config), "2"],
            cwd=_ROOT, env=environment(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            cloud.faults.wait_hanging()
        finally:
            program.kill()
            program.communicate()
        # What was under way beside it comes to its end.
        there = cloud.resources()
        assert there
        clean(resolve(config))
        assert cloud.resources() == {}
        # It stays so, whatever the service was doing still.
        cloud.faults.release()
        assert cloud.resources() == {}
