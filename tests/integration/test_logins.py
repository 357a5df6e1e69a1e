"""Each way to log in to a host, and what the agent becomes with the rights that the login has."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.support import agent_state, works
from tests.testbed import Host
from tests.testbed.fixtures import FreshHost

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("key", ["key_filename", "ecdsa_key_filename", "rsa_key_filename"])
def test_keys_of_each_kind(warm: Host, no_login: Path, key: str) -> None:
    works(warm.lithops_config(ssh_key_filename=getattr(warm, key)))


def test_a_password(warm: Host, no_login: Path) -> None:
    works(warm.lithops_config(ssh_key_filename=None, ssh_password=warm.password))


def test_the_key_in_the_home(warm: Host, no_login: Path) -> None:
    ssh = no_login / ".ssh"
    ssh.mkdir(mode=0o700)
    shutil.copy(warm.key_filename, ssh / "id_ed25519")
    shutil.copy(warm.credentials.known_hosts, ssh / "known_hosts")
    works(warm.lithops_config(ssh_key_filename=None, known_hosts=None))


@pytest.fixture
def ssh_agent(no_login: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ssh agent of this process, without keys."""
    path = tmp_path / "agent.sock"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    agent.stdout.readline()  # It says where it listens when it does.
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    agent.terminate()
    agent.wait()


@pytest.mark.parametrize("named", [False, True])
def test_an_encrypted_key_that_the_ssh_agent_holds(
    warm: Host, ssh_agent: Path, tmp_path: Path, named: bool
) -> None:
    answer = tmp_path / "answer"
    answer.write_text(f"#!/bin/sh\necho {warm.passphrase}\n")
    answer.chmod(0o700)
    asked = {**os.environ, "SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", "-q", warm.encrypted_key_filename], env=asked, check=True, timeout=10)
    works(warm.lithops_config(ssh_key_filename=warm.encrypted_key_filename if named else None))


def test_an_alias_and_a_jump_host_of_the_ssh_config(
    warm: Host, fresh_host: FreshHost, no_login: Path
) -> None:
    far = fresh_host(reach_via=warm.name)
    ssh = no_login / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "config").write_text(
        f"Host far\n  HostName {far.address}\n  ProxyJump near\n"
        f"Host near\n  HostName {warm.address}\n  User user2\n"
        f"Host *\n  User user\n  IdentityFile {warm.key_filename}\n"
        f"  UserKnownHostsFile {warm.credentials.known_hosts}\n"
    )
    works({"lithops": {"backend": "vm"}, "vm": {"ip_address": "far"}})
    assert agent_state(far)["port"]


def test_a_jump_host_of_the_configuration(warm: Host, fresh_host: FreshHost, no_login: Path) -> None:
    far = fresh_host(reach_via=warm.name)
    ssh = no_login / ".ssh"
    ssh.mkdir(mode=0o700)
    shutil.copy(warm.key_filename, ssh / "id_ed25519")
    shutil.copy(warm.credentials.known_hosts, ssh / "known_hosts")
    entry = {**far.entry(), "jump": f"user@{warm.address}"}
    works(
        {
            "lithops": {"backend": "vm"},
            "vm": {"hosts": [entry], "known_hosts": str(warm.credentials.known_hosts)},
        }
    )


@pytest.mark.parametrize("login", ["root", "admin"])
def test_with_root_or_sudo_the_agent_is_a_unit_of_the_system(fresh_host: FreshHost, login: str) -> None:
    host = fresh_host()
    works(host.lithops_config(ssh_username=login))
    pid = host.run(f"systemctl show --value -p MainPID lithops-agent-{login}").stdout.strip()
    assert int(pid) == agent_state(host, login)["pid"]
    assert host.run(f"stat -c %U /proc/{pid}").stdout.strip() == login


def test_a_login_that_lingers_has_a_unit_of_its_own(host: Host) -> None:
    host.run("loginctl enable-linger user")
    works(host.lithops_config())
    shown = host.run("systemctl --user show --value -p MainPID lithops-agent-user", user="user").stdout
    assert int(shown) == agent_state(host)["pid"]


def test_without_any_right_the_agent_keeps_itself_and_outlives_the_login(host: Host) -> None:
    works(host.lithops_config())
    pid = agent_state(host)["pid"]
    assert host.run("systemctl --all list-units 'lithops-agent*' --no-legend").stdout == ""
    host.ssh("true")
    works(host.lithops_config())
    assert agent_state(host)["pid"] == pid
