"""Merging the configuration with ~/.ssh/config."""

from __future__ import annotations

import pytest

from lithops.errors import HostError
from lithops.ssh.client_config import Options, Query, lookup
from lithops.ssh.target import Login, resolve_target, split_endpoint


def login(config: str = "") -> Login:
    def look_up(host: str, user: str | None) -> Options:
        return lookup(config, Query(host, user, "me"))

    return Login(user="me", home="/home/me", lookup=look_up, environ={"KEYS": "/keys"})


def test_defaults() -> None:
    target = resolve_target("10.0.0.1", login=login())
    assert (target.name, target.address, target.port, target.username) == ("10.0.0.1", "10.0.0.1", 22, "me")
    assert target.host_keys == "strict"
    assert target.known_hosts[0] == "/home/me/.ssh/known_hosts"
    assert target.key_filenames == ()
    assert target.default_key_filenames[0] == "/home/me/.ssh/id_ed25519"
    assert target.use_agent
    assert target.jump is None


CONFIG = """
Host web
    HostName %h.example.org
    User ada
    Port 2222
    IdentityFile ~/.ssh/%r_key
    IdentityFile ${KEYS}/%n
    UserKnownHostsFile ~/kh1 ~/kh2
    HostKeyAlias web-key
    StrictHostKeyChecking accept-new
    IdentitiesOnly yes
"""


def test_ssh_config_wins_over_defaults() -> None:
    target = resolve_target("web", login=login(CONFIG))
    assert (target.address, target.port, target.username) == ("web.example.org", 2222, "ada")
    assert target.key_filenames == ("/home/me/.ssh/ada_key", "/keys/web")
    assert target.default_key_filenames == ()
    assert not target.use_agent
    assert target.known_hosts[:2] == ("/home/me/kh1", "/home/me/kh2")
    assert target.host_key_alias == "web-key"
    assert target.host_keys == "accept-new"
    assert target.name == "web"


def test_configuration_wins_over_ssh_config() -> None:
    target = resolve_target(
        "web", login=login(CONFIG), name="w", username="bob", port=22, key_filename="~/k",
        host_keys="strict", known_hosts="~/mine",
    )  # fmt: skip
    assert (target.name, target.port, target.username) == ("w", 22, "bob")
    assert target.key_filenames == ("/home/me/k", "/home/me/.ssh/bob_key", "/keys/web")
    assert target.host_keys == "strict"
    assert target.known_hosts == ("/home/me/mine",)


def test_no_host_key_checking_still_refuses_changed_keys() -> None:
    assert resolve_target("a", login=login("StrictHostKeyChecking no")).host_keys == "accept-new"


def test_jump_hosts_are_a_chain() -> None:
    config = "Host inner\n ProxyJump ada@outer:2200,middle\nHost middle\n HostName 10.1.1.1\n User eve\n"
    target = resolve_target("inner", login=login(config))
    assert target.jump is not None
    assert (target.jump.address, target.jump.username) == ("10.1.1.1", "eve")
    assert target.jump.jump is not None
    assert (target.jump.jump.address, target.jump.jump.port, target.jump.jump.username) == (
        "outer",
        2200,
        "ada",
    )
    assert target.jump.jump.jump is None


def test_jump_hosts_are_checked_with_the_same_known_hosts() -> None:
    target = resolve_target("h", login=login(), jump="j", known_hosts="/kh")
    assert target.jump is not None
    assert target.jump.known_hosts == target.known_hosts == ("/kh",)


def test_the_jump_hosts_own_jump_counts() -> None:
    config = "Host a\n ProxyJump b\nHost b\n ProxyJump c\n"
    target = resolve_target("a", login=login(config))
    assert target.jump is not None
    assert target.jump.address == "b"
    assert target.jump.jump is not None
    assert target.jump.jump.address == "c"
    assert target.jump.jump.jump is None


def test_the_configurations_jump_wins_and_none_switches_it_off() -> None:
    config = "ProxyJump b\n"
    assert resolve_target("a", login=login("Host a\n ProxyJump b\n"), jump="none").jump is None
    target = resolve_target("a", login=login("Host a\n " + config), jump="x@c:1")
    assert target.jump is not None
    assert target.jump.where == "c:1"


def test_a_circle_of_jumps_is_an_error() -> None:
    with pytest.raises(HostError, match="circle"):
        resolve_target("a", login=login("Host a\n ProxyJump b\nHost b\n ProxyJump a\n"))


def test_a_bad_port_is_an_error() -> None:
    with pytest.raises(HostError, match="not a port"):
        resolve_target("a", login=login("Port ssh"))


def test_secrets_are_not_shown() -> None:
    target = resolve_target("a", login=login(), password="hunter2", key_passphrase="sesame")
    assert target.password == "hunter2"
    assert "hunter2" not in repr(target)
    assert "sesame" not in repr(target)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("host", (None, "host", None)),
        ("u@host:22", ("u", "host", 22)),
        ("ssh://u@host:22", ("u", "host", 22)),
        ("[::1]:22", (None, "::1", 22)),
        ("[::1]", (None, "::1", None)),
        ("fe80::1", (None, "fe80::1", None)),
        ("u@x@host", ("u@x", "host", None)),
    ],
)
def test_endpoints(text: str, parts: tuple[str | None, str, int | None]) -> None:
    assert split_endpoint(text) == parts
