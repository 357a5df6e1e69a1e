"""The testbed keeps its word: what it says happens to a host does happen, as seen from outside of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import CommandFailed, Host, Testbed, leftovers
from .fixtures import FreshHost
from .network import connect

pytestmark = [pytest.mark.integration, pytest.mark.alone]


def _greeted(host: Host) -> socket.socket:
    """An open connection to sshd, after its greeting."""
    peer = connect(host.address, 22, timeout=5)
    assert peer.recv(256).startswith(b"SSH-2.0-")
    return peer


def test_logins_have_the_rights_that_their_names_promise(host: Host) -> None:
    assert host.ssh("id -u; pwd").stdout.split() == ["1000", "/home/user"]
    assert host.ssh("sudo -n id -u", user="admin").stdout.strip() == "0"
    assert host.ssh("id -u", user="root").stdout.strip() == "0"
    with pytest.raises(CommandFailed, match="sudo"):
        host.ssh("sudo -n id", user="user2")


def test_a_host_is_a_whole_system_without_internet(host: Host) -> None:
    assert host.run("systemctl is-system-running").stdout.strip() == "running"
    assert host.run("cat /proc/1/comm").stdout.strip() == "systemd"
    assert "default" not in host.run("ip route").stdout


def test_run_hands_over_input_and_status_and_user(host: Host) -> None:
    done = host.run("cat; pwd; exit 3", user="user", input="fed\n", check=False)
    assert (done.returncode, done.stdout) == (3, "fed\n/home/user\n")


def test_clean_home_leaves_neither_processes_nor_files(host: Host) -> None:
    host.run("loginctl enable-linger user")
    host.ssh("mkdir ~/x /tmp/x; systemd-run --user -q sleep 100; nohup sleep 101 >/dev/null 2>&1 &")
    assert sorted(args[-1] for _, args in host.processes()) == ["100", "101"]
    assert host.memory()["rss"] >= host.memory()["pss"] > 0
    host.clean_home()
    assert host.processes() == []
    assert host.run("ls -A /home/user /tmp | grep -x x", check=False).stdout == ""
    assert host.ssh("systemctl --user is-active default.target").stdout.strip() == "active"


def test_poweroff_tells_peers_and_a_power_cut_does_not(fresh_host: FreshHost) -> None:
    host = fresh_host()
    with _greeted(host) as peer:
        host.poweroff()
        assert peer.recv(1024) == b""
    host.start()
    with _greeted(host) as peer:
        host.kill()
        peer.settimeout(0.5)
        with pytest.raises(TimeoutError):
            peer.recv(1024)
    assert not host.running
    assert not host.answers(timeout=0.3)


def test_the_disk_survives_reboot_and_power_cut_but_not_reset(fresh_host: FreshHost) -> None:
    host = fresh_host()
    key = host.run("cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id").stdout
    boot = host.run("cat /proc/sys/kernel/random/boot_id; echo kept >/root/file").stdout
    host.reboot()
    assert host.run("cat /proc/sys/kernel/random/boot_id").stdout != boot
    host.kill()
    host.start()
    assert host.ssh("cat file", user="root").stdout == "kept\n"
    host.reset()
    assert not host.run("cat /root/file", check=False).stdout
    assert host.run("cat /etc/ssh/ssh_host_ed25519_key.pub").stdout in key


def test_a_pulled_cable_stops_packets_and_keeps_connections(host: Host) -> None:
    with _greeted(host) as peer:
        host.link_down()
        peer.sendall(b"SSH-2.0-test\r\n")
        peer.settimeout(0.3)
        with pytest.raises(TimeoutError):
            peer.recv(1024)
        host.link_up()
        peer.settimeout(10)
        assert peer.recv(1024)


def test_sshd_freezes_stops_and_comes_back(host: Host) -> None:
    host.freeze_sshd()
    with connect(host.address, 22, timeout=5) as peer:
        peer.settimeout(0.3)
        with pytest.raises(TimeoutError):
            peer.recv(1)
    host.thaw_sshd()
    assert host.answers()
    host.stop_sshd()
    with pytest.raises(ConnectionRefusedError):
        connect(host.address, 22, timeout=5)
    host.start_sshd()
    assert host.answers()


def test_a_mute_server_accepts_and_says_nothing(bed: Testbed) -> None:
    with connect(*bed.mute_server(), timeout=5) as peer:
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(1)


def test_another_host_key_is_noticed(fresh_host: FreshHost) -> None:
    host = fresh_host()
    host.ssh("true")
    host.new_host_key()
    with pytest.raises(CommandFailed, match="Host key"):
        host.ssh("true")


def test_forwarding_can_be_forbidden(fresh_host: FreshHost) -> None:
    host = fresh_host()
    host.allow_forwarding(False)
    assert "allowtcpforwarding no" in host.run("sshd -T").stdout


def test_python_can_be_removed_restored_and_added(fresh_host: FreshHost) -> None:
    host = fresh_host()
    host.remove_python()
    assert host.ssh("command -v python3", check=False).stdout == ""
    host.restore_python()
    assert host.ssh("python3 -V").stdout.startswith("Python 3.11")
    try:
        path = host.install_python("3.12")
    except LookupError as exc:
        pytest.skip(str(exc))
    assert host.ssh(f"{path} -V").stdout.startswith("Python 3.12")


def test_homes_get_full_and_read_only(fresh_host: FreshHost) -> None:
    host = fresh_host(disk="16M")
    host.fill_disk()
    assert "No space left" in host.ssh("echo text >~/file", check=False).stderr
    host.free_disk()
    host.ssh("echo text >~/file")
    host.read_only_home()
    assert "Read-only" in host.ssh("echo text >~/file", check=False).stderr
    host.writable_home()
    host.ssh("echo text >~/file")


def test_memory_and_cpus_are_limited(fresh_host: FreshHost) -> None:
    host = fresh_host(memory="256M", cpus=1)
    assert host.ssh("nproc").stdout.strip() == "1"
    assert host.ssh("python3 -c 'bytearray(400 << 20)'; echo $?", check=False).stdout == "137\n"
    assert host.oom_kills() == 1
    assert host.ssh("echo alive").stdout == "alive\n"


def test_a_hidden_host_answers_only_the_host_before_it(
    bed: Testbed, host: Host, fresh_host: FreshHost
) -> None:
    hidden = fresh_host(reach_via=host.name)
    with pytest.raises(OSError, match="No route to host"):
        connect(hidden.address, 22, timeout=0.3)
    jump = host.run(f"bash -c 'exec 3<>/dev/tcp/{hidden.address}/22; head -c 4 <&3'")
    assert jump.stdout == "SSH-"


def test_a_failing_command_is_named_with_its_host_and_output(host: Host) -> None:
    with pytest.raises(CommandFailed, match="user@a: echo why >&2; exit 4' ended with status 4:\nwhy"):
        host.run("echo why >&2; exit 4", user="user")


def test_a_newcomer_clones_and_installs(bed: Testbed, tmp_path: Path) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=n@localhost"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit = ["git", "-C", str(tmp_path), *identity, "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(commit, check=True)
    lines = "git clone -q /checkout code && python3 -m venv venv && venv/bin/pip install -q six && id -un"
    assert bed.newcomer(lines, tmp_path).stdout.splitlines()[-1] == "user"


def test_configurations_name_hosts_and_keys(bed: Testbed, two_hosts: tuple[Host, Host]) -> None:
    one = two_hosts[0].lithops_config(ssh_key_filename=None, ssh_password="p", lithops={"log_level": "DEBUG"})
    assert one["lithops"] == {"backend": "vm", "log_level": "DEBUG"}
    assert one["vm"] == {
        "ip_address": two_hosts[0].address,
        "ssh_username": "user",
        "ssh_password": "p",
        "known_hosts": bed.known_hosts,
    }
    both = bed.lithops_config(two_hosts)["vm"]["hosts"]
    assert [entry["address"] for entry in both] == [host.address for host in two_hosts]
    known = {line.split()[0] for line in Path(bed.known_hosts).read_text().splitlines()}
    assert known >= {host.address for host in two_hosts}


def _await_no_device_named(prefix: str) -> None:
    """Wait for the kernel, which removes network devices in the background."""
    deadline = time.monotonic() + 5
    while left := [name for name in os.listdir("/sys/class/net") if name.startswith(prefix)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def _bed_in_another_process() -> tuple[subprocess.Popen[str], str]:
    """A process with a bed of one host; and the bed's name for its bridge."""
    command = [sys.executable, "-m", "tests.testbed", "up"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    printed = ""
    while "known_hosts" not in printed:
        printed += process.stdout.readline()
    subnet = printed.split("@10.213.")[1].split(".")[0]
    return process, f"ltb{subnet}"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_a_bed_stays_on_the_machine(bed: Testbed, how: signal.Signals) -> None:
    process, bridge = _bed_in_another_process()
    process.send_signal(how)
    process.communicate(timeout=20)
    if how == signal.SIGKILL:
        assert bridge in os.listdir("/sys/class/net")
        leftovers.remove_leftovers()
    _await_no_device_named(bridge)
    assert not [run for run in leftovers.RUNS.iterdir() if run.name.startswith(f"{process.pid}-")]
    assert not [line for line in Path("/proc/mounts").read_text().splitlines() if f"/{process.pid}-" in line]
    assert bed.bridge.name in os.listdir("/sys/class/net")
