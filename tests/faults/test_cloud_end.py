"""A machine of a cloud ends itself when its time has come, with nobody there: on real hosts that have a
metadata service, and whose power tells what became of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import lithops
from lithops.backends import vm
from lithops.backends.ibm_vpc import cloud_init
from lithops.dispatch.client import ask_to_end
from lithops_agent import cloud
from lithops_agent.cloud import CloudIdentity
from tests.cloud.bed import HostedCloud
from tests.faults import metadata
from tests.faults.ending import Login
from tests.integration.functions import double
from tests.integration.support import eventually
from tests.testbed import Host
from tests.testbed.fixtures import FreshHost

pytestmark = [pytest.mark.integration, pytest.mark.alone]

LOG = "/var/tmp/asked"
HERE = f"http://127.0.0.1:{metadata.PORT}"
NOWHERE = "http://127.0.0.1:9"
TOKEN = "PUT /instance_identity/v1/token"
DELETED = f"DELETE /v1/instances/0717_i?version={cloud.API_VERSION}&generation=2"
RELEASED = f"DELETE /v1/floating_ips/r006-f?version={cloud.API_VERSION}&generation=2"
STOPPED = f"POST /v1/instances/0717_i/actions?version={cloud.API_VERSION}&generation=2"


def instance(host: Host, how: str, status: int = 204, **identity: str) -> vm.VmMachine:
    """A host as an instance with a metadata service; its API answers with ``status``."""
    host.run("cat > /root/metadata.py", input=Path(metadata.__file__).read_text())
    host.run(f"systemd-run --quiet --unit=metadata python3 /root/metadata.py {LOG} {status}")
    eventually(lambda: host.run(f"ss -Hltn | grep -q :{metadata.PORT}", check=False).returncode == 0, "it")
    known = CloudIdentity(
        **{
            "instance_id": "0717_i",
            "endpoint": f"{HERE}/v1",
            "profile": "Profile-1",
            "floating_ip_id": "r006-f",
            "metadata": HERE,
            **identity,
        }
    )

    class Instance(vm.VmMachine):
        def _options(self) -> list[str]:
            return [*super()._options(), "--cloud", known.to_text()]

    made = Login(host, "admin", "system").machine(soft_dismantle_timeout=3)
    machine = Instance(made._host, made._vm, made._standalone)
    machine._ending = how
    return machine


def asked(host: Host) -> list[str]:
    """What the cloud was asked for, apart from tokens; looked at once the host is off, and was started."""
    host.start()
    lines: list[Any] = [json.loads(line) for line in host.run(f"cat {LOG}", check=False).stdout.splitlines()]
    asked = [line for line in lines if "instance_identity" not in line[1]]
    assert all(bearer == "Bearer iam" for *_, bearer in asked)
    return [f"{method} {path}" for method, path, *_ in asked]


def log(host: Host) -> str:
    """What the agent wrote."""
    return host.run("cat /home/admin/.lithops/agent/agent.log").stdout


@pytest.mark.parametrize(
    ("how", "wanted"), [("delete", [RELEASED, DELETED]), ("stop", [STOPPED])], ids=["delete", "stop"]
)
def test_the_agent_has_its_instance_ended(fresh_host: FreshHost, how: str, wanted: list[str]) -> None:
    host = fresh_host()
    began = time.monotonic()
    instance(host, how).open().close()
    host.wait_off(15)
    assert time.monotonic() - began >= 3
    assert sorted(asked(host)) == wanted
    assert f"the cloud was asked to {how} this instance (0717_i)" in log(host)


@pytest.mark.parametrize(
    ("status", "identity", "why"),
    [
        (403, {}, "DELETE /"),
        (204, {"profile": ""}, "no trusted profile is set (ibm_vpc.profile_id)"),
        (204, {"metadata": NOWHERE}, f"{TOKEN} of the metadata service: {NOWHERE} can't be reached"),
    ],
    ids=["refused", "no profile", "no metadata service"],
)
def test_an_instance_that_may_not_end_itself_goes_off_and_says_why(
    fresh_host: FreshHost, monkeypatch: pytest.MonkeyPatch, status: int, identity: dict[str, str], why: str
) -> None:
    host = fresh_host()
    instance(host, "delete", status, **identity).open().close()
    host.wait_off(25)
    assert sorted(asked(host)) == ([RELEASED, DELETED] if status == 403 else [])
    assert f"the cloud did not delete this instance: {why}" in log(host)
    assert ("HTTP 403 (forbidden: not you)" in log(host)) is (status == 403)


def test_the_guard_ends_an_instance_whose_agent_is_dead(fresh_host: FreshHost) -> None:
    login = Login(fresh_host(), "admin", "system")
    instance(login.host, "delete").open().close()
    login.kill_for_good()
    login.host.wait_off(15)
    assert sorted(asked(login.host)) == [RELEASED, DELETED]


def test_an_instance_that_is_dismantled_ends_at_once(fresh_host: FreshHost) -> None:
    host = fresh_host()
    machine = instance(host, "delete")
    machine.open().close()
    machine.dismantle(ask_to_end)
    host.wait_off(10)
    assert sorted(asked(host)) == [RELEASED, DELETED]


def test_a_machine_that_the_cloud_boots_again_goes_off(
    hosted_cloud: HostedCloud, no_login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its agent does not come back by itself, and nobody else would end it."""
    monkeypatch.setattr(cloud_init, "_LEAST", 0)
    config = hosted_cloud.config(standalone={"soft_dismantle_timeout": 4, "start_timeout": 10})
    with lithops.FunctionExecutor(config=config) as fexec:
        assert fexec.get_result(fexec.call_async(double, 1)) == 2
        (name,) = hosted_cloud.resources()["instances"]
        hosted_cloud.host(name).reboot()
    eventually(lambda: hosted_cloud.instance(name).status == "stopped", "its end", 40)


def test_machines_of_a_job_delete_themselves_when_nobody_is_there(
    hosted_cloud: HostedCloud, no_login: Path
) -> None:
    """All of it: created by the SDK, with a trusted profile; ended by their agents, through the metadata
    service of the cloud. The network stays for the next program."""
    profile = hosted_cloud.trusted_profile()
    config = hosted_cloud.config(
        ibm_vpc={"profile_id": profile.id, "worker_processes": 1}, standalone={"soft_dismantle_timeout": 4}
    )
    with lithops.FunctionExecutor(config=config) as fexec:
        assert fexec.get_result(fexec.map(double, range(2))) == [0, 2]
        assert len(hosted_cloud.resources()["instances"]) == 2
    eventually(lambda: not hosted_cloud.resources().get("instances"), "the end of the machines", 40)
    eventually(lambda: not hosted_cloud.resources().get("floating_ips"), "the end of the address", 5)
    eventually(lambda: not hosted_cloud.resources().get("volumes"), "the end of the volumes", 5)
