"""The hosts behind the fake cloud behave as instances of a cloud do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.bed import HostedCloud
from tests.testbed import Testbed
from tests.testbed.commands import run
from tests.testbed.credentials import make_key
from tests.testbed.network import connect

pytestmark = pytest.mark.integration

_USER_DATA = """\
#cloud-config
ssh_deletekeys: true
ssh_keys:
  ed25519_private: |
{private}
  ed25519_public: {public}
"""
_ASK = """python3 - <<'END'
import json, urllib.request as http
def ask(method, url, data=None, **headers):
    headers = {{key.replace("_", "-"): value for key, value in headers.items()}}
    request = http.Request(url, method=method, data=data, headers=headers)
    return json.load(http.urlopen(request, timeout=10))
base = "http://169.254.169.254/instance_identity/v1"
token = ask("PUT", base + "/token?version=2022-03-01", b'{{"expires_in": 300}}', Metadata_Flavor="ibm")
token = ask("POST", base + "/iam_token?version=2022-03-01", Authorization="Bearer " + token["access_token"])
url = "{endpoint}{path}?version=2024-01-01&generation=2"
print(json.dumps(ask("{method}", url, Authorization="Bearer " + token["access_token"])))
END"""


@dataclass
class Pair:
    """Two instances of one network, one of them with a floating IP address."""

    cloud: HostedCloud
    client: Any
    folder: Path
    head: dict[str, Any]
    worker: dict[str, Any]
    door: str
    group: str

    def ssh(self, command: str, *, key: str = "login") -> str:
        """What a command prints on the head, by a login with the key and the pinned host key."""
        done = subprocess.run(
            ["ssh", "-F/dev/null", f"-i{self.folder / key}", "-oBatchMode=yes", "-oIdentitiesOnly=yes",
             f"-oUserKnownHostsFile={self.folder / 'known_hosts'}", f"ubuntu@{self.door}", command],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def _make(cloud: HostedCloud, folder: Path) -> Pair:
    client = cloud.client()
    for name, kind in (("login", "rsa"), ("other", "ed25519"), ("host", "ed25519")):
        make_key(folder / name, kind)
    public = (folder / "host.pub").read_text()
    private = "\n".join(f"    {line}" for line in (folder / "host").read_text().splitlines())
    vpc = client.create_vpc(name="net").get_result()
    cloud.wait(lambda c: bool(client.get_vpc(vpc["id"]).get_result()["status"] == "available"), "a VPC")
    subnet = client.create_subnet(
        {"vpc": {"id": vpc["id"]}, "total_ipv4_address_count": 256, "zone": {"name": cloud.zone}}
    ).get_result()
    cloud.wait(
        lambda c: bool(client.get_subnet(subnet["id"]).get_result()["status"] == "available"), "a subnet"
    )
    group = vpc["default_security_group"]["id"]
    door = {"direction": "inbound", "protocol": "tcp", "port_min": 22, "port_max": 22}
    client.create_security_group_rule(group, {**door, "remote": {"address": cloud.client_address}})
    key = client.create_key((folder / "login.pub").read_text(), name="login").get_result()
    profile = cloud.trusted_profile()

    def instance(name: str, **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = client.create_instance(
            {
                "name": name, "image": {"id": cloud.image_id}, "zone": {"name": cloud.zone},
                "profile": {"name": "cx2-2x4"}, "keys": [{"id": key["id"]}],
                "user_data": _USER_DATA.format(private=private, public=public),
                "primary_network_interface": {"subnet": {"id": subnet["id"]}}, **more,
            }
        ).get_result()  # fmt: skip
        return made

    trusted = {
        "metadata_service": {"enabled": True},
        "default_trusted_profile": {"target": {"id": profile.id}},
    }
    head, worker = instance("head", **trusted), instance("worker")
    nic = head["primary_network_interface"]["id"]
    ip = client.create_floating_ip({"name": "door", "target": {"id": nic}}).get_result()
    (folder / "known_hosts").write_text(f"{ip['address']} {public}")
    for name in ("head", "worker"):
        cloud.wait(lambda c, name=name: c.instance(name).status == "running", name)  # type: ignore[misc]
        cloud.host(name).wait_until_up()
    return Pair(cloud, client, folder, head, worker, ip["address"], group)


@pytest.fixture(scope="module")
def pair(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The instances of this file."""
    with HostedCloud(bed) as cloud:
        yield _make(cloud, tmp_path_factory.mktemp("keys"))


def test_cloud_init_brings_the_user_its_key_and_the_host_key(pair: Pair) -> None:
    assert pair.ssh("id -un; hostname; sudo id -un").split() == ["ubuntu", "head", "root"]
    # cloud-init itself found nothing wrong with what it was told.
    state = pair.cloud.host("head").run("cloud-init status --wait --long", timeout=60)
    assert "status: done" in state.stdout
    with pytest.raises(AssertionError, match="Permission denied"):
        pair.ssh("true", key="other")


def test_private_addresses_are_reached_from_members_only(pair: Pair) -> None:
    address = pair.worker["primary_network_interface"]["primary_ip"]["address"]
    assert "SSH" in pair.ssh(f"bash -c 'head -c 3 </dev/tcp/{address}/22'")
    with pytest.raises(OSError, match=r"unreachable|timed out|No route"):
        connect(address, 22, 2)
    floating = pair.cloud.host("head").run("ip -br address").stdout
    assert pair.door in floating
    assert "10.213" not in pair.cloud.host("worker").run("ip -br address").stdout


def test_security_groups_are_obeyed(pair: Pair) -> None:
    rules = pair.client.list_security_group_rules(pair.group).get_result()["rules"]
    (members,) = [rule["id"] for rule in rules if "id" in rule["remote"]]
    address = pair.worker["primary_network_interface"]["primary_ip"]["address"]
    look = f"timeout 1 bash -c ': </dev/tcp/{address}/22' && echo open || echo shut"
    assert pair.ssh(look).strip() == "open"
    pair.client.delete_security_group_rule(pair.group, members)
    pair.cloud.wait(lambda c: pair.ssh(look).strip() == "shut", "a firewall without the rule")
    rule = {"direction": "inbound", "protocol": "icmp_tcp_udp", "remote": {"id": pair.group}}
    pair.client.create_security_group_rule(pair.group, rule)
    pair.cloud.wait(lambda c: pair.ssh(look).strip() == "open", "a firewall with the rule")


def test_an_instance_acts_by_its_trusted_profile(pair: Pair) -> None:
    def ask(name: str, method: str, path: str) -> Any:
        command = _ASK.format(endpoint=pair.cloud.vpc_endpoint, method=method, path=path)
        return pair.cloud.host(name).run(command, check=False)

    asked = ask("head", "GET", f"/instances/{pair.head['id']}")
    assert json.loads(asked.stdout)["name"] == "head"
    assert "HTTP Error 403" in ask("head", "GET", "/vpcs").stderr
    # The worker was made without a profile, and its metadata service is off.
    assert "HTTP Error 403" in ask("worker", "GET", f"/instances/{pair.worker['id']}").stderr


def test_what_instances_do_is_seen_by_the_api_and_the_other_way_round(pair: Pair) -> None:
    host = pair.cloud.host("worker")
    host.run("systemctl poweroff", check=False)
    pair.cloud.wait(lambda c: c.instance("worker").status == "stopped", "a stopped instance")
    pair.client.create_instance_action(pair.worker["id"], "start")
    pair.cloud.wait(lambda c: c.instance("worker").status == "running", "a running instance")
    host.wait_until_up()
    pair.client.create_instance_action(pair.worker["id"], "stop")
    pair.cloud.wait(lambda c: c.instance("worker").status == "stopped", "a stopped instance")
    assert not host.running
    namespace = host.hardware.namespace.name
    pair.client.delete_instance(pair.worker["id"])
    pair.cloud.wait(lambda c: "worker" not in c.resources()["instances"], "a deleted instance")
    assert namespace not in run("ip", "netns", "list").stdout


def test_an_instance_without_an_address_is_out_of_reach(pair: Pair) -> None:
    pair.client.delete_floating_ip(pair.client.list_floating_ips().get_result()["floating_ips"][0]["id"])

    def gone(cloud: HostedCloud) -> bool:
        try:
            connect(pair.door, 22, 0.5).close()
        except OSError:
            return True
        return False

    pair.cloud.wait(lambda c: gone(pair.cloud), "an address that nobody has")
    assert pair.cloud.host("head").running
