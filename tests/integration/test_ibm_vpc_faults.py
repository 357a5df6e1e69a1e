"""What befalls machines of IBM Cloud VPC while they are used, on a fake cloud with real hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops.errors import HostError
from tests.cloud.bed import HostedCloud
from tests.integration.conftest import OpenExecutor
from tests.integration.host_functions import where
from tests.integration.support import environment, within

pytestmark = [
    pytest.mark.integration,
    pytest.mark.alone,
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the hosts have Python 3.11"),
]

_WAIT = 90
_ROOT = Path(__file__).parents[2]
_SCRIPT = """\
import json, sys
import lithops
from tests.integration.host_functions import where
if __name__ == "__main__":
    fexec = lithops.FunctionExecutor(config=json.loads(sys.argv[1]))
    print(fexec.get_result(fexec.call_async(where, (1, 0.0)))[1], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def vpc_cloud(hosted_cloud: HostedCloud, no_login: Path) -> HostedCloud:
    """A cloud for a user who has nothing but the key of the account."""
    return hosted_cloud


def test_the_job_goes_on_when_machines_die_or_are_deleted(
    vpc_cloud: HostedCloud, open_executor: OpenExecutor
) -> None:
    cloud = vpc_cloud
    fexec = open_executor(cloud.config(ibm_vpc={"max_workers": 3, "worker_processes": 1}))
    futures = fexec.map(where, [(number, 1.5) for number in range(9)])
    cloud.wait(lambda _: sum(future.done for future in futures) >= 3, "some results", _WAIT)
    # The others are reached through the first one, so that another has to take its place.
    head, deleted, _ = cloud.resources()["instances"]
    cloud.kill(head)
    cloud.delete_behind(deleted)
    results = fexec.get_result(futures, timeout=_WAIT)
    assert [number for number, _ in results] == list(range(9))
    with within(_WAIT):
        fexec.dismantle()
    assert cloud.resources() == {}


def test_machines_without_sshd_are_told_and_leave_nothing(
    vpc_cloud: HostedCloud, open_executor: OpenExecutor
) -> None:
    cloud = vpc_cloud
    cloud.next_instances("no_sshd", "no_sshd", "no_sshd", "no_sshd")
    config = cloud.config(ibm_vpc={"max_workers": 1}, standalone={"start_timeout": 12})
    fexec = open_executor(config)
    with within(_WAIT), pytest.raises(HostError, match="vm-0"):
        fexec.call_async(where, (0, 0.0)).result(timeout=_WAIT)
    cloud.wait_empty()


def _run_script(cloud: HostedCloud, home: Path, config: dict[str, Any], *, kill: bool) -> str:
    """Run a script that gets a result, and maybe kill it then; the instance that the call ran on."""
    script = home / "script.py"
    script.write_text(_SCRIPT)
    program = subprocess.Popen(
        [sys.executable, str(script), json.dumps(config)], cwd=_ROOT,
        env={**environment(home), "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    watchdog = threading.Timer(_WAIT, program.kill)
    watchdog.start()
    host = program.stdout.readline().strip()
    watchdog.cancel()
    if kill:
        os.kill(program.pid, signal.SIGKILL)
    program.communicate(timeout=_WAIT)
    assert host in cloud.resources()["instances"]
    return host


def test_without_its_script_an_agent_deletes_its_own_instance(vpc_cloud: HostedCloud, home: Path) -> None:
    cloud = vpc_cloud
    profile = cloud.trusted_profile()
    config = cloud.config(
        ibm_vpc={"max_workers": 1, "profile_id": profile.id}, standalone={"soft_dismantle_timeout": 3}
    )
    _run_script(cloud, home, config, kill=True)
    cloud.wait(lambda c: "instances" not in c.resources(), "an instance that has deleted itself", _WAIT)
    cloud.wait(lambda c: "volumes" not in c.resources(), "a volume that went with it")
    _clean(config, home)
    assert cloud.resources() == {}


def test_without_a_profile_an_agent_stops_its_instance_which_is_reaped(
    vpc_cloud: HostedCloud, home: Path
) -> None:
    cloud = vpc_cloud
    config = cloud.config(ibm_vpc={"max_workers": 1}, standalone={"soft_dismantle_timeout": 3})
    host = _run_script(cloud, home, config, kill=False)
    cloud.wait(lambda c: c.instance(host).status == "stopped", "an instance that has stopped itself", _WAIT)
    _clean(config, home)
    assert cloud.resources() == {}


def _clean(config: dict[str, Any], home: Path) -> None:
    """`lithops clean`, as users type it."""
    path = home / "config.yaml"
    path.write_text(json.dumps(config))
    subprocess.run(
        [sys.executable, "-m", "lithops", "--config", str(path), "clean", "-y"], cwd=home,
        env=environment(home), stdin=subprocess.DEVNULL, timeout=_WAIT, check=True,
    )  # fmt: skip


def test_a_quota_lets_the_job_run_on_what_there_is(
    vpc_cloud: HostedCloud, open_executor: OpenExecutor
) -> None:
    cloud = vpc_cloud
    cloud.quota.instances = 2
    fexec: FunctionExecutor = open_executor(cloud.config(ibm_vpc={"worker_processes": 1}))
    results = fexec.get_result(fexec.map(where, [(number, 0.2) for number in range(10)]), timeout=_WAIT)
    assert len(results) == 10
    assert len(cloud.resources()["instances"]) == 2
    with within(_WAIT):
        fexec.dismantle()
    assert cloud.resources() == {}
