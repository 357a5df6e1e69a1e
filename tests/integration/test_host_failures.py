"""A host that can't be used: each reason ends in an error of its own, which says what to do."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lithops.errors import (
    AgentError,
    AuthenticationError,
    HostDiskFull,
    HostKeyError,
    HostNotWritable,
    HostTimeout,
    HostUnreachable,
    PythonNotFound,
)
from tests.integration.conftest import OpenExecutor
from tests.integration.functions import double
from tests.integration.support import refused, works
from tests.testbed import Host, Testbed
from tests.testbed.fixtures import FreshHost

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_login")]


@pytest.fixture(scope="module")
def spare(bed: Testbed) -> Iterator[Host]:
    """A host for what does no lasting harm to it: nothing ever gets as far as an agent."""
    host = bed.host("spare", disk="32M")
    yield host
    bed.remove(host)


def nothing_was_left(host: Host) -> None:
    """Nothing was sent, not even a folder was made."""
    assert host.run("diff -r /etc/skel /home/user; find /tmp /var/tmp -user user").stdout == ""


# The login.


def test_a_wrong_user(spare: Host) -> None:
    config = spare.lithops_config(ssh_username="stranger")
    refused(config, AuthenticationError, spare.address, "'stranger'", "check the user", spare.key_filename)


def test_a_wrong_key(spare: Host) -> None:
    key = spare.unknown_key_filename
    config = spare.lithops_config(ssh_key_filename=key)
    refused(config, AuthenticationError, spare.address, key, "authorized_keys")


def test_a_wrong_password(spare: Host) -> None:
    config = spare.lithops_config(ssh_key_filename=None, ssh_password="not-this")
    message = refused(config, AuthenticationError, spare.address, "the password", "check", seconds=10)
    assert "not-this" not in message


def test_an_encrypted_key_and_no_agent(spare: Host) -> None:
    key = spare.encrypted_key_filename
    config = spare.lithops_config(ssh_key_filename=key)
    refused(config, AuthenticationError, spare.address, f"run ssh-add {key}", "ssh_key_passphrase")
    works({**config, "vm": {**config["vm"], "ssh_key_passphrase": spare.passphrase}})
    spare.clean_home()


# The host's key.


def test_a_changed_host_key(fresh_host: FreshHost) -> None:
    host = fresh_host()
    host.new_host_key()
    words = (host.address, "has changed", f"ssh-keygen -R '{host.address}'")
    refused(host.lithops_config(), HostKeyError, *words)
    refused(host.lithops_config(host_keys="accept-new"), HostKeyError, *words)


def test_an_unknown_host_key_is_refused_unless_new_ones_are_accepted(spare: Host, tmp_path: Path) -> None:
    known = tmp_path / "known"
    config = spare.lithops_config(known_hosts=str(known))
    refused(config, HostKeyError, spare.address, "SHA256:", str(known), "ssh-keyscan", "accept-new")
    nothing_was_left(spare)
    config["vm"]["host_keys"] = "accept-new"
    works(config)
    assert known.read_text().startswith(spare.address)
    del config["vm"]["host_keys"]
    works(config)
    spare.clean_home()


# The way to the host.


def test_nobody_is_there(spare: Host, bed: Testbed) -> None:
    unused = str(ipaddress.ip_address(spare.address) + 200)
    config = spare.lithops_config(ip_address=unused)
    refused(config, HostUnreachable, unused, "no route", seconds=8)


def test_a_port_where_nobody_listens(spare: Host) -> None:
    config = spare.lithops_config(ssh_port=2222)
    refused(config, HostUnreachable, f"{spare.address}:2222", "is sshd running, on this port?")


def test_a_name_that_is_not_known(spare: Host) -> None:
    refused(spare.lithops_config(ip_address="no-such.invalid"), HostUnreachable, "no-such.invalid", "name")


def test_hosts_that_take_the_connection_and_never_answer(
    bed: Testbed, spare: Host, fresh_host: FreshHost
) -> None:
    address, port = bed.mute_server()
    mute = spare.lithops_config(ip_address=address, ssh_port=port)
    frozen = fresh_host()
    unplugged = fresh_host()
    frozen.freeze_sshd()
    unplugged.link_down()
    try:
        with ThreadPoolExecutor() as pool:
            waits = [
                pool.submit(refused, mute, HostTimeout, f"{address}:{port}", "said nothing", seconds=14),
                pool.submit(
                    refused, frozen.lithops_config(), HostTimeout, frozen.address, "sshd hangs", seconds=14
                ),
                pool.submit(
                    refused, unplugged.lithops_config(), HostUnreachable, unplugged.address, seconds=14
                ),
            ]
            for wait in waits:
                wait.result()
    finally:
        frozen.thaw_sshd()
        unplugged.link_up()


def test_the_time_to_start_is_the_users_to_set(bed: Testbed, spare: Host) -> None:
    address, port = bed.mute_server()
    config = spare.lithops_config(ip_address=address, ssh_port=port, standalone={"start_timeout": 1})
    refused(config, HostTimeout, "said nothing", seconds=3)


def test_forwarding_that_sshd_does_not_allow(fresh_host: FreshHost) -> None:
    host = fresh_host()
    host.allow_forwarding(False)
    config = host.lithops_config()
    refused(config, AgentError, host.address, "AllowTcpForwarding yes", "/etc/ssh/sshd_config")
    host.allow_forwarding(True)
    works(config)


# Python on the host.


def test_no_python_at_all(spare: Host) -> None:
    spare.remove_python()
    try:
        refused(spare.lithops_config(), PythonNotFound, spare.address, "no Python 3 on it", "apt-get install")
        nothing_was_left(spare)
    finally:
        spare.restore_python()


@pytest.mark.parametrize(
    ("version", "words"),
    [("3.8", ("too old", "nothing below 3.9")), ("3.12", ("run the script with Python 3.12",))],
)
def test_a_python_of_another_version(fresh_host: FreshHost, version: str, words: tuple[str, ...]) -> None:
    host = fresh_host()
    host.remove_python()
    try:
        path = host.install_python(version)
    except LookupError as exc:
        pytest.skip(str(exc))
    refused(host.lithops_config(), PythonNotFound, host.address, path, "uv python install", *words)
    nothing_was_left(host)


def test_a_runtime_that_is_not_there_or_of_another_version(spare: Host) -> None:
    config = spare.lithops_config(standalone={"runtime": "/opt/none/bin/python"})
    refused(config, PythonNotFound, spare.address, "'/opt/none/bin/python'", "/usr/bin/python3.11")
    nothing_was_left(spare)


# The disk of the host.


def test_a_disk_that_is_full(spare: Host) -> None:
    spare.fill_disk()
    try:
        refused(spare.lithops_config(), HostDiskFull, spare.address, "/home/user", "free some space")
    finally:
        spare.free_disk()
    works(spare.lithops_config())
    spare.clean_home()


def test_a_home_that_is_read_only(spare: Host) -> None:
    spare.read_only_home()
    try:
        refused(spare.lithops_config(), HostNotWritable, "/home/user", "Read-only", "make it writable")
    finally:
        spare.writable_home()


def test_a_home_that_belongs_to_another(spare: Host) -> None:
    spare.run("chown root /home/user; chmod 755 /home/user")
    try:
        refused(spare.lithops_config(), HostNotWritable, "/home/user", "Permission denied")
    finally:
        spare.run("chown user /home/user; chmod 755 /home/user")


# One future after the other.


def test_each_call_of_a_map_has_the_error_and_the_next_one_tries_again(
    spare: Host, open_executor: OpenExecutor
) -> None:
    spare.stop_sshd()
    try:
        fexec = open_executor(spare.lithops_config())
        for future in fexec.map(double, range(5)):
            with pytest.raises(HostUnreachable, match="nobody listens") as raised:
                future.result(timeout=6)
            assert (raised.value.host, raised.value.phase) == (spare.address, "connect")
            assert future.error
    finally:
        spare.start_sshd()
    assert fexec.call_async(double, 2).result(timeout=15) == 4
    spare.clean_home()
