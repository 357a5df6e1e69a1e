"""A program that creates machines of IBM VPC is interrupted, or killed after each thing that it has made."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

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
_SECTION = {"ssh_source": "192.0.2.1/32", "worker_processes": 1}
_ENOUGH = 20.0


def started(module: str, config: dict[str, Any], home: Path) -> subprocess.Popen[str]:
    """The program, which wants two machines."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.faults.{module}", json.dumps(config), "2"],
        cwd=_ROOT, env=environment(home), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(("path", "skip"), _CREATED)
def test_what_a_killed_program_has_created_is_found(
    path: str, skip: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Cloud(delays=QUICK) as cloud:
        # It is created, and the program is not told before it dies.
        cloud.inject("POST", path, SILENCE_AFTER, skip=skip)
        config = cloud.config(ibm_vpc=_SECTION)
        program = started("cloud_client", config, tmp_path)
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


def test_an_interrupted_program_leaves_nothing_of_what_is_not_up(tmp_path: Path) -> None:
    with Cloud(delays=QUICK) as cloud:
        cloud.next_instances("stuck", "stuck")
        program = started("cloud_job", cloud.config(ibm_vpc=_SECTION), tmp_path)
        try:
            cloud.wait(lambda cloud: len(cloud.resources().get("instances", ())) == 2, "they are made")
            program.send_signal(signal.SIGINT)
            said = program.communicate(timeout=_ENOUGH)[1]
        finally:
            program.kill()
            program.communicate()
        assert program.returncode != 0
        assert "2 machine(s) that are not up yet are given back" in said
        assert cloud.resources() == {}


def test_a_second_interrupt_leaves_it_to_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Cloud(delays=QUICK) as cloud:
        cloud.inject("POST", "/instances", SILENCE_AFTER)
        config = cloud.config(ibm_vpc=_SECTION)
        program = started("cloud_job", config, tmp_path)
        assert program.stderr is not None
        try:
            cloud.faults.wait_hanging()
            program.send_signal(signal.SIGINT)
            while "not up yet" not in program.stderr.readline():
                assert program.poll() is None
            program.send_signal(signal.SIGINT)
            said = program.communicate(timeout=_ENOUGH)[1]
        finally:
            program.kill()
            program.communicate()
        assert "`lithops clean` deletes what is left" in said
        clean(resolve(config))
        assert cloud.resources() == {}
