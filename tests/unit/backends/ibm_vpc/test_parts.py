"""Smaller decisions: the network, images, the first boot, and from where SSH is let in."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import paramiko
import pytest
import yaml

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.cloud_init import MOST_BYTES, user_data
from lithops.backends.ibm_vpc.identity import Identity, public_key, public_key_of_file
from lithops.backends.ibm_vpc.images import choose_image
from lithops.backends.ibm_vpc.network import ORDER, Step, body_of, plan, rules
from lithops.backends.ibm_vpc.source import own_source
from lithops.config.settings import IbmVpcSettings, resolve
from lithops.errors import ConfigError


def section(**keys: Any) -> IbmVpcSettings:
    config = {
        "lithops": {"backend": "ibm_vpc"},
        "standalone": {"exec_mode": "create"},
        "ibm": {"iam_api_key": "key", "region": "eu-de", "resource_group_id": "group"},
        "ibm_vpc": keys,
    }
    backend = resolve(config).backend
    assert isinstance(backend, IbmVpcSettings)
    return backend


@pytest.mark.parametrize(
    ("keys", "internet", "created"),
    [
        ({}, False, ["vpc", "subnet", "group"]),
        ({}, True, ["vpc", "gateway", "subnet", "group"]),
        ({"vpc_id": "v"}, False, ["subnet", "group"]),
        ({"vpc_id": "v", "gateway_id": "g"}, False, ["subnet", "group"]),
        ({"vpc_id": "v", "subnet_id": "s"}, True, ["group"]),
        ({"vpc_id": "v", "subnet_id": "s", "security_group_id": "g"}, True, []),
    ],
)
def test_what_is_named_is_used_and_the_rest_created(
    keys: dict[str, str], internet: bool, created: list[str]
) -> None:
    steps = plan(section(**keys), internet=internet)
    assert [step.role for step in steps if step.given is None] == created
    places = [ORDER.index(step.role) for step in steps]
    assert places == sorted(places)
    named = {step.role: step.given for step in steps if step.given}
    assert set(named.values()) <= set(keys.values())


def test_each_thing_refers_to_those_before_it() -> None:
    ids = {names.VPC: "v", names.GATEWAY: "g"}
    body = body_of(Step(role=names.SUBNET), "name", ids, "eu-de-1", section())
    assert body["vpc"] == {"id": "v"}
    assert body["public_gateway"] == {"id": "g"}
    assert body["resource_group"] == {"id": "group"}
    assert "vpc" not in body_of(Step(role=names.VPC), "name", {}, "eu-de-1", section())


def test_ssh_is_let_in_from_where_it_was_said_and_from_nowhere_else() -> None:
    inward = [rule for rule in rules(("192.0.2.7", "198.51.100.0/24")) if rule["direction"] == "inbound"]
    assert [rule["remote"] for rule in inward] == [
        {"address": "192.0.2.7"},
        {"cidr_block": "198.51.100.0/24"},
    ]
    assert all((rule["port_min"], rule["port_max"]) == (22, 22) for rule in inward)


def image(name: str, system: str, status: str = "available", architecture: str = "amd64") -> dict[str, Any]:
    return {
        "id": f"id of {name}",
        "name": name,
        "status": status,
        "operating_system": {"name": f"{system}-{architecture}", "architecture": architecture},
    }


IMAGES = [
    image("ibm-ubuntu-22-04-5-minimal-amd64-9", "ubuntu-22-04"),
    image("ibm-ubuntu-24-04-3-minimal-amd64-2", "ubuntu-24-04"),
    image("ibm-ubuntu-24-04-3-minimal-amd64-10", "ubuntu-24-04"),
    image("ibm-ubuntu-24-04-4-minimal-amd64-1", "ubuntu-24-04", status="deprecated"),
    image("ibm-ubuntu-24-04-5-minimal-s390x-1", "ubuntu-24-04", architecture="s390x"),
    image("ibm-debian-12-11-minimal-amd64-1", "debian-12"),
    image("ibm-windows-server-2022-full-standard-amd64-28", "windows-2022"),
]


@pytest.mark.parametrize(
    ("python", "name"),
    [
        ((3, 10), "ibm-ubuntu-22-04-5-minimal-amd64-9"),
        ((3, 11), "ibm-debian-12-11-minimal-amd64-1"),
        ((3, 12), "ibm-ubuntu-24-04-3-minimal-amd64-10"),
        (None, "ibm-ubuntu-24-04-3-minimal-amd64-10"),
    ],
)
def test_the_newest_image_with_the_local_python(python: tuple[int, int] | None, name: str) -> None:
    assert choose_image(IMAGES, python) == f"id of {name}"


def test_without_such_an_image_it_is_told_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"ibm_vpc.image_id: .* Python 3.14"):
        choose_image(IMAGES, (3, 14))


@pytest.mark.parametrize("username", ["ubuntu", "root"])
def test_the_first_boot_brings_the_login_and_the_host_key(tmp_path: Path, username: str) -> None:
    key = Identity(tmp_path).host_key("vm-0")
    text = user_data(
        username=username,
        public_key="ssh-ed25519 AAAA me",
        host_key=key.private,
        host_key_public=key.public,
        unclaimed_after=900,
        each_boot=True,
    )
    assert text.startswith("#cloud-config\n")
    assert len(text.encode()) < MOST_BYTES
    document = yaml.safe_load(text)
    assert [user["name"] for user in document["users"]] == [username]
    assert document["users"][0]["ssh_authorized_keys"] == ["ssh-ed25519 AAAA me"]
    assert document["disable_root"] == (username != "root")
    assert document["ssh_keys"] == {"ed25519_private": key.private, "ed25519_public": key.public}
    service, timer = (file["content"] for file in document["write_files"])
    assert f" ~{username}/.lithops/agent/agent.json || systemctl poweroff" in service
    assert "OnActiveSec=900\n" in timer
    assert document["runcmd"] == [["systemctl", "enable", "--now", "lithops-unclaimed.timer"]]


def test_keys_are_made_once_and_nobody_else_reads_them(tmp_path: Path) -> None:
    identity, other = Identity(tmp_path), Identity(tmp_path)
    assert identity.client == other.client
    assert identity.host_key("vm-0") == other.host_key("vm-0")
    assert identity.host_key("vm-0").private != identity.host_key("vm-1").private
    assert identity.login_key == other.login_key
    for path in [each for each in (tmp_path / "ibm_vpc").rglob("*") if each.is_file()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    private = Path(identity.login_key).read_text()
    loaded = paramiko.Ed25519Key.from_private_key_file(identity.login_key)
    assert public_key(private) == f"ssh-ed25519 {loaded.get_base64()}"
    assert public_key_of_file(identity.login_key) == public_key(private)
    known = Path(identity.known_hosts("vm-0")).read_text().split()
    assert known == ["vm-0", *identity.host_key("vm-0").public.split()]
    identity.forget("vm-0")
    identity.forget("vm-0")
    assert not Path(identity.known_hosts("vm-0")).exists()


def test_a_key_that_can_t_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("nothing")
    with pytest.raises(ConfigError, match="ssh_key_filename"):
        public_key_of_file(str(path))


def test_the_address_is_what_the_api_sees() -> None:
    asked: list[str] = []

    def fetch(url: str) -> str:
        asked.append(url)
        return "h=api\nip=192.0.2.7\nts=1\n"

    assert own_source("http://127.0.0.1:9/v1", fetch) == "192.0.2.7"
    assert asked == ["http://127.0.0.1:9/cdn-cgi/trace"]


@pytest.mark.parametrize("told", ["", "ip=2001:db8::1\n", "<html>", "ip=\n"])
def test_an_address_that_is_not_told_has_to_be_given(told: str) -> None:
    with pytest.raises(ConfigError, match=r"ibm_vpc\.ssh_source"):
        own_source("http://127.0.0.1:9/v1", lambda url: told)
