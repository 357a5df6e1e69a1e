"""Addresses, lists of hosts, and inventories."""

from __future__ import annotations

from pathlib import Path

import pytest

from lithops.config.host import Endpoint, HostSettings, parse_address
from lithops.config.hosts import read_hosts
from lithops.config.inventory import expand_ranges
from lithops.config.kinds import Refused


@pytest.mark.parametrize(
    ("text", "address", "username", "port"),
    [
        ("192.0.2.1", "192.0.2.1", None, None),
        (" node-1.lan ", "node-1.lan", None, None),
        ("root@h", "h", "root", None),
        ("h:2222", "h", None, 2222),
        ("me@h:22", "h", "me", 22),
        ("fe80::1", "fe80::1", None, None),
        ("me@[fe80::1]:22", "fe80::1", "me", 22),
        ("[::1]", "::1", None, None),
        ("me@corp@h", None, None, None),
    ],
)
def test_addresses(text: str, address: str | None, username: str | None, port: int | None) -> None:
    if address is None:
        with pytest.raises(Refused):
            parse_address(text)
        return
    assert parse_address(text) == Endpoint(address=address, username=username, port=port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "@h",
        "a b",
        "h:",
        "h:0",
        "h:65536",
        "h:x",
        "h:-1",
        "-h",
        "-u@h",
        "[::1",
        "[::1]x",
        "h/1",
        "h\n",
        "u:p@h",
        "h:²",
    ],
)
def test_what_is_no_address(text: str) -> None:
    if text == "h\n":  # Blanks around are cut off.
        assert parse_address(text).address == "h"
        return
    with pytest.raises(Refused):
        parse_address(text)


def problems_of(value: object) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as caught:
        read_hosts(value)
    return [(problem.path, problem.text) for problem in caught.value.problems]


def test_a_list_of_hosts() -> None:
    hosts = read_hosts(
        [
            "a",
            "me@b:2222",
            {"address": "me@c", "port": 22, "key": "~/k", "processes": 4, "jump": "j@gate:22, gate2"},
            {"address": "d", "password": "hunter2", "processes": "AUTO"},
        ]
    )
    assert hosts == (
        HostSettings(name="a", address="a"),
        HostSettings(name="b", address="b", username="me", port=2222),
        HostSettings(
            name="c",
            address="c",
            username="me",
            port=22,
            key_filename="~/k",
            processes=4,
            jump="j@gate:22,gate2",
        ),
        HostSettings(name="d", address="d", password="hunter2"),
    )
    assert "hunter2" not in repr(hosts)


def test_each_wrong_entry_is_told() -> None:
    problems = problems_of(
        ["a b", {"adress": "x"}, 3, {"address": "u@h", "username": "v"}, {"address": "h", "jump": ""}]
    )
    assert [path for path, _ in problems] == [
        "[0]",
        "[1].adress",
        "[1].address",
        "[2]",
        "[3].username",
        "[4].jump",
    ]
    assert "did you mean `address`?" in problems[1][1]


def test_a_host_is_listed_once() -> None:
    assert problems_of(["a", "b", "a"])[0][0] == "[2]"
    assert len(read_hosts(["a:1", "a:2", "me@a:1"])) == 3


INI = """\
# comment
lone ansible_host=192.0.2.9
[web]
web[01:02].lan ansible_user=deb   # rest
bastion:2222 ansible_ssh_private_key_file="~/.ssh/a key"
[db]
db-[a:b] ansible_port=2200 ansible_password='p w#1'
[all:vars]
ansible_user=everybody
lithops_processes = 3
[site:children]
web
db
[site:vars]
ansible_port=2022
ansible_ssh_common_args='-o StrictHostKeyChecking=yes -o ProxyJump=me@gate:22'
[db:vars]
ansible_user="dba"
"""


def test_an_inventory_in_the_ini_form(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(INI)
    hosts = {host.name: host for host in read_hosts(str(path))}
    assert list(hosts) == ["lone", "web01.lan", "web02.lan", "bastion", "db-a", "db-b"]
    assert hosts["lone"] == HostSettings(name="lone", address="192.0.2.9", username="everybody", processes=3)
    assert hosts["web02.lan"] == HostSettings(
        name="web02.lan", address="web02.lan", username="deb", port=2022, processes=3, jump="me@gate:22"
    )
    assert (hosts["bastion"].port, hosts["bastion"].key_filename) == (2222, "~/.ssh/a key")
    assert (hosts["db-b"].username, hosts["db-b"].port, hosts["db-b"].password) == ("dba", 2200, "p w#1")


YAML = """\
all:
  vars: {ansible_user: everybody}
  hosts:
    lone: {ansible_host: 192.0.2.9}
  children:
    web:
      hosts:
        web[1:2]:
        db: {ansible_port: 2200, ansible_password: 1234}
      vars: {ansible_ssh_common_args: "-J gate"}
    inner:
      children: {web: {}}
"""


@pytest.mark.parametrize("name", ["hosts.yml", "hosts"])
def test_an_inventory_in_the_yaml_form(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(YAML)
    hosts = {host.name: host for host in read_hosts(str(path))}
    assert list(hosts) == ["lone", "web1", "web2", "db"]
    assert hosts["lone"] == HostSettings(name="lone", address="192.0.2.9", username="everybody")
    assert hosts["web1"].jump == "gate"
    assert (hosts["db"].port, hosts["db"].password) == (2200, "1234")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.ini", "", "no host in this inventory"),
        ("a.ini", "[web\nh", "line 1: a group must be"),
        ("a.ini", "[web:var]\nh", "line 1: a group must be"),
        ("a.ini", "h ansible_password='hunter2", "line 1: can't read this line"),
        ("a.ini", "h hunter2", "line 1: variables must be"),
        ("a.ini", "h[3:1]", "line 1: can't read the range"),
        ("a.ini", "h ansible_port=x", "host `h`: port must be an integer"),
        ("a.ini", "h ansible_user={{hunter2}}", "host `h`: username is a template"),
        ("a.ini", "h ansible_host=u:hunter2@x", "host `h`: address a password does not belong"),
        ("a.yml", "all: [a]", "group `all` must be a section of keys"),
        ("a.yml", "all: {host: {a: }}", "has `host`, but only"),
        ("a.yml", "all:\n  hosts: {a: ", "line "),
        ("a.yml", "all: {hosts: {a: {ansible_password: *hunter2}}}", "undefined alias"),
        ("a.yml", "- a", "the file must be a section of keys"),
    ],
)
def test_inventories_that_can_not_be_read(name: str, text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    ((_, problem),) = problems_of(str(path))
    assert problem.startswith(str(path))
    assert says in problem
    assert "hunter2" not in problem


def test_inventories_that_are_not_there(tmp_path: Path) -> None:
    assert "no such inventory: 192.0.2.1; a single host is written as" in problems_of("192.0.2.1")[0][1]
    assert "is a folder" in problems_of(str(tmp_path))[0][1]
    (tmp_path / "binary").write_bytes(b"\xff")
    assert "no text in UTF-8" in problems_of(str(tmp_path / "binary"))[0][1]


def test_groups_in_a_ring_end(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    path.write_text("[a]\nh\n[a:children]\nb\n[b:children]\na\n[b:vars]\nansible_user=u\n")
    assert read_hosts(str(path))[0].username == "u"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a", ["a"]),
        ("a[1:3]", ["a1", "a2", "a3"]),
        ("a[08:10]", ["a08", "a09", "a10"]),
        ("[a:c]x", ["ax", "bx", "cx"]),
        ("a[0:4:2]", ["a0", "a2", "a4"]),
        ("r[1:2]n[1:2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
    ],
)
def test_ranges(pattern: str, names: list[str]) -> None:
    assert expand_ranges(pattern) == names
