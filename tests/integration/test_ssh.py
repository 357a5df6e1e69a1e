"""SSH to real hosts: what works, and each way in which it does not."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops.bootstrap.bundle import build_bundle
from lithops.bootstrap.start import AgentEndpoint, ensure_agent
from lithops.errors import (
    AgentError,
    AuthenticationError,
    HostDiskFull,
    HostError,
    HostKeyError,
    HostLost,
    HostNotWritable,
    HostTimeout,
    HostUnreachable,
    PythonNotFound,
)
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.http import ChannelHTTPConnection, read_body
from lithops.ssh.target import SshTarget
from tests.testbed import Host, Testbed
from tests.testbed.fixtures import FreshHost

pytestmark = pytest.mark.integration


def soon(seconds: float = 20) -> Deadline:
    return Deadline.after(seconds)


def target(host: Host, **changes: Any) -> SshTarget:
    values: dict[str, Any] = {
        "name": host.name, "address": host.address, "username": "user",
        "key_filenames": (host.key_filename,), "known_hosts": (str(host.credentials.known_hosts),),
        "use_agent": False, **changes,
    }  # fmt: skip
    return SshTarget(**values)


def fails(wanted: SshTarget, error: type[HostError], *words: str, within: float = 5) -> str:
    """Connecting raises ``error`` with these words, in time; returns the message."""
    began = time.monotonic()
    with pytest.raises(error) as raised:
        SshConnection.connect(wanted, soon())
    assert time.monotonic() - began < within
    assert type(raised.value) is error
    assert raised.value.host == wanted.name
    for word in words:
        assert word in str(raised.value)
    return str(raised.value)


@pytest.fixture
def connection(host: Host) -> Iterator[SshConnection]:
    with SshConnection.connect(target(host), soon()) as connected:
        yield connected


# What works.


@pytest.mark.parametrize("key", ["key_filename", "rsa_key_filename", "ecdsa_key_filename"])
def test_keys_of_each_kind(host: Host, key: str) -> None:
    with SshConnection.connect(target(host, key_filenames=(getattr(host, key),)), soon()) as connected:
        assert connected.run("echo $USER", deadline=soon()).stdout == b"user\n"


def test_a_password(host: Host) -> None:
    with SshConnection.connect(target(host, key_filenames=(), password=host.password), soon()) as connected:
        assert connected.is_alive


def test_an_encrypted_key_with_its_passphrase(host: Host) -> None:
    wanted = target(host, key_filenames=(host.encrypted_key_filename,), passphrase=host.passphrase)
    SshConnection.connect(wanted, soon()).close()


def test_an_encrypted_key_that_the_agent_has(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        opened = tmp_path / "opened"
        shutil.copy(host.encrypted_key_filename, opened)
        opened.chmod(0o600)
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", host.passphrase, "-N", "", "-f", opened], check=True)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        subprocess.run(["ssh-add", "-q", opened], check=True, stderr=subprocess.DEVNULL)
        wanted = target(host, key_filenames=(host.encrypted_key_filename,), use_agent=True)
        SshConnection.connect(wanted, soon()).close()
    finally:
        agent.terminate()
        agent.wait()


def test_commands_input_and_both_outputs(connection: SshConnection) -> None:
    done = connection.run("cat >&2; echo out; exit 3", b"in", deadline=soon())
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"in")
    assert connection.run("kill -9 $$", deadline=soon()).returncode == -1


def test_both_sides_may_talk_a_lot(connection: SshConnection) -> None:
    pieces = (bytes([number % 256]) * 1_000_000 for number in range(30))
    done = connection.run("head -c 20000000 /dev/zero >&2; cat", pieces, deadline=soon(60))
    assert (len(done.stdout), len(done.stderr)) == (30_000_000, 20_000_000)
    assert done.stdout[-1] == 29


def test_a_command_that_does_not_end(connection: SshConnection) -> None:
    with pytest.raises(HostTimeout, match="did not end in time: hm"):
        connection.run("echo hm >&2; sleep 60", deadline=soon(1))
    assert connection.run("true", deadline=soon()).returncode == 0


def test_a_child_that_holds_the_output_open_does_not_hold_us(connection: SshConnection) -> None:
    began = time.monotonic()
    done = connection.run("sleep 60 & echo started", deadline=soon(30))
    assert (done.returncode, done.stdout) == (0, b"started\n")
    assert time.monotonic() - began < 10


def test_accept_new_remembers_the_key(host: Host, tmp_path: Path) -> None:
    known = tmp_path / "ssh" / "known_hosts"
    wanted = target(host, known_hosts=(str(known),), host_keys="accept-new")
    SshConnection.connect(wanted, soon()).close()
    SshConnection.connect(target(host, known_hosts=(str(known),)), soon()).close()
    assert known.read_text().startswith(host.address)


def test_the_kind_of_key_that_is_known_is_asked_for(host: Host, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    lines = host.credentials.known_hosts.read_text().splitlines()
    for line in (line for line in lines if line.startswith(f"{host.address} ")):
        known.write_text(f"{line}\n")
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
        assert host.address not in known.read_text()
        SshConnection.connect(target(host, known_hosts=(str(known),)), soon()).close()


def test_a_host_behind_a_jump_host(bed: Testbed, host: Host, fresh_host: FreshHost) -> None:
    hidden = fresh_host(reach_via=host.name)
    assert hidden.address
    with SshConnection.connect(target(hidden, jump=target(host)), soon()) as connected:
        assert connected.run("hostname", deadline=soon()).stdout.decode().strip() == hidden.name
        jump = connected._jump
    assert jump is not None
    assert not jump.is_alive
    with pytest.raises(AuthenticationError) as raised:
        SshConnection.connect(target(hidden, jump=target(host, username="stranger")), soon())
    assert raised.value.host == host.name
    fails(target(hidden, port=1, jump=target(host)), HostUnreachable, "the jump host", "can't connect to")


# What is refused.


def test_a_wrong_user(host: Host) -> None:
    fails(
        target(host, username="stranger"), AuthenticationError, "'stranger'", host.key_filename, "publickey"
    )


def test_a_wrong_key(host: Host) -> None:
    wanted = target(host, key_filenames=(host.unknown_key_filename,))
    fails(wanted, AuthenticationError, host.unknown_key_filename, "SHA256:", "the host allows: publickey")


def test_a_wrong_password(host: Host) -> None:
    wanted = target(host, key_filenames=(), password="not-this")
    message = fails(wanted, AuthenticationError, "the password", within=10)
    assert "not-this" not in message


def test_nothing_to_log_in_with(host: Host) -> None:
    fails(target(host, key_filenames=()), AuthenticationError, "no key or password to try")


def test_an_encrypted_key_without_passphrase(host: Host) -> None:
    key = host.encrypted_key_filename
    fails(
        target(host, key_filenames=(key,)), AuthenticationError, key, "needs a passphrase", f"ssh-add {key}"
    )
    wanted = target(host, key_filenames=(key,), passphrase="not-this")
    fails(wanted, AuthenticationError, "the passphrase does not open it")


def test_a_key_that_is_missing_or_is_none(host: Host, tmp_path: Path) -> None:
    public = Path(f"{host.key_filename}.pub")
    wanted = target(host, key_filenames=(str(tmp_path / "nothing"), str(public)))
    fails(wanted, AuthenticationError, "No such file", "it is a public key")


def test_an_unknown_host_key(host: Host, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    wanted = target(host, known_hosts=(str(known),))
    fails(wanted, HostKeyError, "SHA256:", f"ssh-keyscan {host.address}", str(known), "accept-new")
    assert not known.exists()


def test_a_changed_host_key(fresh_host: FreshHost) -> None:
    host = fresh_host()
    SshConnection.connect(target(host), soon()).close()
    host.new_host_key()
    words = ("has changed", "known_hosts line", f"ssh-keygen -R '{host.address}'")
    fails(target(host), HostKeyError, *words)
    fails(target(host, host_keys="accept-new"), HostKeyError, *words)


# What can't be reached.


def test_a_port_where_nobody_listens(host: Host) -> None:
    fails(target(host, port=1), HostUnreachable, "nobody listens on", "refused")


def test_a_name_that_is_not_known(host: Host) -> None:
    fails(target(host, address="no-such-host.invalid"), HostUnreachable, "is not known")


def test_no_route(host: Host) -> None:
    unused = host.address.rsplit(".", 1)[0] + ".250"
    fails(target(host, address=unused), HostUnreachable, unused, within=12)


def test_a_port_that_never_says_a_word(bed: Testbed, host: Host) -> None:
    address, port = bed.mute_server()
    began = time.monotonic()
    with pytest.raises(HostTimeout, match="said nothing"):
        SshConnection.connect(target(host, address=address, port=port), soon(2))
    assert time.monotonic() - began < 4


def test_a_frozen_sshd(host: Host) -> None:
    host.freeze_sshd()
    try:
        with pytest.raises(HostTimeout):
            SshConnection.connect(target(host), soon(2))
    finally:
        host.thaw_sshd()


def test_a_port_that_is_not_ssh(host: Host) -> None:
    def speak(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"220 mail\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        speaker = threading.Thread(target=speak, args=(listener,))
        speaker.start()
        fails(target(host, address="127.0.0.1", port=listener.getsockname()[1]), HostError, "is not SSH")
        speaker.join()


# A connection that breaks.


def test_a_link_that_dies_is_noticed(host: Host, connection: SshConnection) -> None:
    host.link_down()
    try:
        began = time.monotonic()
        with pytest.raises((HostLost, HostTimeout)) as raised:
            connection.run("sleep 1", deadline=soon(60))
        assert type(raised.value) is HostLost
        assert time.monotonic() - began < 25
        assert not connection.is_alive
    finally:
        host.link_up()


def test_forwarding_that_is_switched_off(fresh_host: FreshHost) -> None:
    host = fresh_host()
    host.allow_forwarding(False)
    with (
        SshConnection.connect(target(host), soon()) as connected,
        pytest.raises(AgentError, match="set AllowTcpForwarding yes"),
    ):
        connected.open_channel("127.0.0.1", 22, soon())


def test_a_channel_to_a_port_where_nobody_listens(connection: SshConnection) -> None:
    with pytest.raises(AgentError, match=r"nobody listens on 127\.0\.0\.1:1 "):
        connection.open_channel("127.0.0.1", 1, soon())


# The agent is put there and started. Hosts of Debian 12 have Python 3.11, whatever runs here.


def bootstrap(connection: SshConnection, wanted: tuple[int, int] = (3, 11)) -> AgentEndpoint:
    return ensure_agent(connection, build_bundle(), host="h", deadline=soon(60), wanted=wanted)


@pytest.mark.parametrize("login", ["user", "admin", "root"])
def test_the_agent_starts_and_answers(fresh_host: FreshHost, login: str) -> None:
    host = fresh_host()
    with SshConnection.connect(target(host, username=login), soon()) as connected:
        first = bootstrap(connected)
        again = bootstrap(connected)
        assert (first.started, again.started) == (True, False)
        assert (first.port, first.token) == (again.port, again.token)
        http = ChannelHTTPConnection(
            lambda timeout: connected.open_channel("127.0.0.1", first.port, soon(timeout))
        )
        http.request("GET", "/v1/info", headers={"Authorization": f"Bearer {first.token}"})
        answer = http.getresponse()
        assert (answer.status, first.agent_id in bytes(read_body(answer)).decode()) == (200, True)
        http.close()


def test_no_python_of_the_wanted_version(connection: SshConnection) -> None:
    with pytest.raises(PythonNotFound, match=r"no Python 3\.77.*/usr/bin/python3\.11"):
        bootstrap(connection, wanted=(3, 77))


def test_no_python_at_all(host: Host, connection: SshConnection) -> None:
    host.remove_python()
    try:
        with pytest.raises(PythonNotFound, match="no Python 3 on it"):
            bootstrap(connection)
    finally:
        host.restore_python()


def test_a_home_that_is_read_only(host: Host, connection: SshConnection) -> None:
    host.read_only_home()
    try:
        with pytest.raises(HostNotWritable, match="Read-only file system"):
            bootstrap(connection)
    finally:
        host.writable_home()


def test_a_full_disk(fresh_host: FreshHost) -> None:
    host = fresh_host(disk="32M")
    host.fill_disk()
    with (
        SshConnection.connect(target(host), soon()) as connected,
        pytest.raises(HostDiskFull, match="free some space"),
    ):
        bootstrap(connected)
