"""The script by which a user with an account sees machines of IBM Cloud VPC for real, against the fake."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cloud.bed import HostedCloud
from tests.integration.support import environment, eventually

pytestmark = [pytest.mark.integration, pytest.mark.alone]

SMOKE = Path(__file__).parents[2] / "examples" / "ibm_vpc_smoke.py"


@contextmanager
def smoke(cloud: HostedCloud, home: Path) -> Iterator[subprocess.Popen[str]]:
    """The script, as it runs."""
    command = [sys.executable, str(SMOKE), "--region", cloud.region]
    command += ["--resource-group-id", cloud.resource_group_id]
    for name, value in (
        ("endpoint", cloud.vpc_endpoint),
        ("iam_endpoint", cloud.iam_endpoint),
        ("image_id", cloud.image_id),
        ("prices", "{cx2-2x4: 3.6}"),
    ):
        command += ["--set", f"{name}={value}"]
    process = subprocess.Popen(
        command,
        env=environment(home, IBMCLOUD_API_KEY=cloud.api_key),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_runs_calls_and_leaves_nothing(hosted_cloud: HostedCloud, home: Path) -> None:
    with smoke(hosted_cloud, home) as process:
        output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    for number in range(8):
        assert f"call {number} ran on " in output
    assert "\nnothing is left\n" in output
    assert f"cx2-2x4 in {hosted_cloud.region}: 2 VM(s), 0." in output
    assert "cost: about 0." in output
    assert hosted_cloud.api_key not in output
    assert hosted_cloud.resources() == {}


def test_it_leaves_nothing_when_it_is_interrupted(hosted_cloud: HostedCloud, home: Path) -> None:
    with smoke(hosted_cloud, home) as process:
        eventually(lambda: bool(hosted_cloud.resources().get("instances")), "the creation of a machine", 30)
        process.send_signal(signal.SIGINT)
        eventually(lambda: not hosted_cloud.resources(), "the end of it all", 60)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "interrupted" in output
    assert "\nnothing is left\n" in output
    assert hosted_cloud.resources() == {}
