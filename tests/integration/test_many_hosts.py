"""Jobs on several hosts: all start at once, share the calls, and do without each other when they have to."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops import FunctionExecutor
from lithops.backends.vm import machines
from lithops.config import resolve
from lithops.config.settings import VmSettings
from lithops.dispatch.client import AgentClient
from lithops.errors import HostError, HostLost, HostUnreachable, WorkerDied
from lithops.future import ResponseFuture
from lithops.job.model import Outcome
from tests.integration.conftest import OpenExecutor
from tests.integration.functions import double
from tests.integration.host_functions import MARKS, mark, where
from tests.integration.support import AGENT_STATE, eventually, refused, within
from tests.testbed import Host, Testbed
from tests.testbed.fixtures import FreshHost

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.usefixtures("no_login")]


@pytest.fixture(scope="module")
def three(bed: Testbed) -> Iterator[list[Host]]:
    """Three hosts of this file."""
    hosts = bed.hosts(["many1", "many2", "many3"])
    yield hosts
    for host in hosts:
        bed.remove(host)


@pytest.fixture
def clean_three(three: list[Host]) -> list[Host]:
    """The three hosts, with nothing of an earlier test."""
    for host in three:
        host.clean_home()
        host.run(f"rm -f {MARKS}")
    return three


def has_agent(host: Host) -> bool:
    return host.run(f"test -s /home/user/{AGENT_STATE}", check=False).returncode == 0


def warmed_up(fexec: FunctionExecutor, hosts: list[Host]) -> FunctionExecutor:
    """The executor, once all hosts have run calls of it."""
    names = {host.name for host in hosts}
    deadline = time.monotonic() + 20
    while {name for _, name in fexec.map(where, [(n, 0.1) for n in range(12)]).get_result()} != names:
        assert time.monotonic() < deadline, "not all hosts take calls"
    return fexec


def begun(hosts: list[Host]) -> Counter[int]:
    """How often each call of `mark` has begun, on all hosts that are on."""
    texts = [host.run(f"cat {MARKS} 2>/dev/null", check=False).stdout for host in hosts if host.running]
    return Counter(int(number) for text in texts for number in text.split())


def waiting_on(host: Host) -> int:
    """How many calls wait or run on a host."""
    settings = resolve(host.lithops_config())
    assert isinstance(settings.backend, VmSettings)
    (machine,) = machines(settings.backend, settings.standalone)
    link = machine.find()
    assert link is not None
    client = AgentClient(link.opener, link.token, link.host)
    try:
        status = client.status()
    finally:
        client.close()
        link.close()
    waiting: int = sum(status["waiting"].values())
    return waiting + len(status["running"])


# The beginning.


def test_they_are_prepared_at_the_same_time(
    bed: Testbed, clean_three: list[Host], open_executor: OpenExecutor
) -> None:
    for host in clean_three:
        # Each command of a login takes a second more, and there are two of them to start an agent.
        host.run("sed -i '1i sleep 1' ~/.bashrc", user="user")
    began = time.monotonic()
    assert open_executor(clean_three[0].lithops_config()).call_async(double, 1).result(timeout=20) == 2
    one = time.monotonic() - began
    assert one > 2
    clean_three[0].clean_home()
    clean_three[0].run("sed -i '1i sleep 1' ~/.bashrc", user="user")
    began = time.monotonic()
    fexec = open_executor(bed.lithops_config(clean_three))
    fexec.map(double, range(6))
    eventually(lambda: all(map(has_agent, clean_three)), "an agent on each host", 20)
    three = time.monotonic() - began
    assert three < one + 1.8, f"one host took {one:.1f} s, three {three:.1f} s"
    assert fexec.get_result() == [0, 2, 4, 6, 8, 10]


def test_hosts_of_an_inventory(
    bed: Testbed, clean_three: list[Host], open_executor: OpenExecutor, tmp_path: Path
) -> None:
    names = ["near", "far"]
    lines = [
        f"{name} ansible_host={host.address} ansible_user=user" for name, host in zip(names, clean_three)
    ]
    inventory = tmp_path / "hosts.ini"
    inventory.write_text(
        "[workers]\n" + "\n".join(lines) + "\n\n[workers:vars]\n"
        f"ansible_ssh_private_key_file={clean_three[0].key_filename}\n"
    )
    vm = {"hosts": str(inventory), "known_hosts": bed.known_hosts}
    fexec = open_executor({"lithops": {"backend": "vm"}, "vm": vm})
    warmed_up(fexec, clean_three[:2])
    with pytest.raises(WorkerDied) as raised:
        fexec.call_async(os._exit, 3).result(timeout=10)
    assert raised.value.host in names


def test_a_host_behind_another_is_checked_against_the_same_known_hosts(
    bed: Testbed, three: list[Host], fresh_host: FreshHost, no_login: Path, open_executor: OpenExecutor
) -> None:
    hidden = fresh_host(reach_via=three[0].name)
    (no_login / ".ssh").mkdir(mode=0o700)
    # The key of the jump host; what keys the hosts have is known from the configuration alone.
    shutil.copy(hidden.key_filename, no_login / ".ssh" / "id_ed25519")
    config = bed.lithops_config([hidden])
    config["vm"]["hosts"][0]["jump"] = f"user@{three[0].address}"
    assert open_executor(config).call_async(where, (1, 0.0)).result(timeout=15) == (1, hidden.name)


# Sharing.


def test_calls_are_spread_by_slots(
    bed: Testbed, clean_three: list[Host], open_executor: OpenExecutor
) -> None:
    config = bed.lithops_config(clean_three)
    for entry, processes in zip(config["vm"]["hosts"], (1, 2, 3)):
        entry["processes"] = processes
    fexec = warmed_up(open_executor(config), clean_three)
    with within(4):
        results = fexec.map(where, [(n, 0.7) for n in range(12)]).get_result()
    assert Counter(name for _, name in results) == {"many1": 2, "many2": 4, "many3": 6}


def test_calls_move_from_a_host_that_stands_still(
    bed: Testbed, clean_three: list[Host], open_executor: OpenExecutor
) -> None:
    slow, quick = clean_three[:2]
    fexec = warmed_up(open_executor(bed.lithops_config([slow, quick])), [slow, quick])
    futures = fexec.map(mark, [(n, 0.1) for n in range(60)])
    eventually(lambda: len(begun([slow])) >= 2, "calls on the slow host")
    workers = [str(pid) for pid, args in slow.processes() if "zygote_main" in " ".join(args)]
    slow.run(f"kill -STOP {' '.join(workers)}")
    stuck_at_most = 2
    eventually(
        lambda: sum(future.done for future in futures) >= 60 - stuck_at_most, "the end of the others", 15
    )
    slow.run(f"kill -CONT {' '.join(workers)}")
    with within(5):
        assert [future.result(timeout=5) for future in futures] == list(range(60))
    assert begun([slow, quick]) == dict.fromkeys(range(60), 1)


def test_a_host_that_comes_late_takes_its_share(
    bed: Testbed, clean_three: list[Host], open_executor: OpenExecutor
) -> None:
    early, late = clean_three[:2]
    late.run("sed -i '1i sleep 1' ~/.bashrc", user="user")
    results = open_executor(bed.lithops_config([early, late])).map(where, [(n, 0.4) for n in range(30)])
    count = Counter(name for _, name in results.get_result())
    assert count[late.name] >= 5, count


# Hosts that can't be used.


def test_a_host_that_cannot_be_reached_is_told_once_and_left_out(
    bed: Testbed, clean_three: list[Host], open_executor: OpenExecutor, messages: list[str]
) -> None:
    closed, *others = clean_three
    closed.stop_sshd()
    try:
        fexec = open_executor(bed.lithops_config(clean_three))
        warmed_up(fexec, others)
        for number in range(5):
            assert fexec.call_async(double, number).result(timeout=10) == 2 * number
        eventually(lambda: bool(messages), "a message")
    finally:
        closed.start_sshd()
    assert len(messages) == 1
    assert closed.address in messages[0]
    assert "is sshd running" in messages[0]
    assert "2 other" in messages[0]


def test_none_can_be_reached(bed: Testbed, three: list[Host]) -> None:
    config = bed.lithops_config(three[:2])
    for entry in config["vm"]["hosts"]:
        entry["port"] = 2222
    refused(config, HostUnreachable, "none of 2 hosts", *(f"{host.address}:2222" for host in three[:2]))
    config["vm"]["hosts"][0] = {**three[0].entry(), "username": "stranger"}
    refused(config, HostError, "none of 2 hosts", "'stranger'", f"{three[1].address}:2222")


# Hosts that are lost.


def test_the_calls_of_a_lost_host_run_elsewhere(
    bed: Testbed,
    fresh_host: FreshHost,
    three: list[Host],
    open_executor: OpenExecutor,
    messages: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost, kept = fresh_host("lost"), three[0]
    kept.run(f"rm -f {MARKS}")
    config = bed.lithops_config([lost, kept], standalone={"host_lost_timeout": 5})
    fexec = warmed_up(open_executor(config), [lost, kept])
    told: Counter[int] = Counter()
    plain = ResponseFuture._on_outcome

    def counted(future: ResponseFuture, outcome: Outcome) -> None:
        told[future._number] += 1
        plain(future, outcome)

    monkeypatch.setattr(ResponseFuture, "_on_outcome", counted)
    futures = fexec.map(mark, [(n, 1.0) for n in range(16)])
    eventually(lambda: len(begun([lost])) >= 4, "two rounds of calls on the host")
    lost.kill()
    with within(45):
        assert [future.result(timeout=50) for future in futures] == list(range(16))
    assert max(begun([kept]).values()) == 1
    assert told == dict.fromkeys(range(16), 1)
    assert [message for message in messages if lost.address in message]


def test_a_host_that_comes_back_does_not_run_what_others_were_given(
    bed: Testbed,
    fresh_host: FreshHost,
    three: list[Host],
    open_executor: OpenExecutor,
    messages: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lithops.dispatch.hosts._TRY_AGAIN_AFTER", 0.0)
    lost, kept = fresh_host("lost"), three[0]
    kept.run(f"rm -f {MARKS}")
    config = bed.lithops_config([lost, kept], standalone={"host_lost_timeout": 2})
    fexec = warmed_up(open_executor(config), [lost, kept])
    futures = fexec.map(mark, [(n, 0.5) for n in range(40)])
    eventually(lambda: len(begun([lost])) >= 2, "calls on the host")
    lost.stop_sshd()
    lost.run("pkill -STOP -u user python3; pkill -KILL -u user sshd")
    before = begun([lost])
    assert fexec.get_result(futures, timeout=60) == list(range(40))
    assert any("going on with 1 other" in message for message in messages)
    lost.start_sshd()
    lost.run("pkill -CONT -u user python3")
    warmed_up(fexec, [lost, kept])
    eventually(lambda: waiting_on(lost) == 0, "the end of what it had", 20)
    # In the moment before it can be told, it begins a few of the calls that it still has.
    after = begun([lost])
    assert len(before) <= len(after) <= len(before) + 8 < 18, (before, after)
    assert kept.run(f"sort {MARKS} | uniq -d").stdout == ""


def test_all_hosts_are_lost(
    bed: Testbed, fresh_host: FreshHost, open_executor: OpenExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long a silent link is waited for is seen in the test before this one.
    monkeypatch.setattr("lithops.ssh.stream.DEAD_AFTER", 6)
    for module in ("stream", "handshake"):
        monkeypatch.setattr(f"lithops.ssh.{module}.KEEPALIVE_INTERVAL", 2)
    hosts = [fresh_host("lost1"), fresh_host("lost2")]
    config = bed.lithops_config(hosts, standalone={"host_lost_timeout": 2})
    fexec = warmed_up(open_executor(config), hosts)
    futures = fexec.map(mark, [(n, 60.0) for n in range(8)])
    eventually(lambda: len(begun(hosts)) == 4, "calls on both hosts")
    for host in hosts:
        host.kill()
    with within(45):
        for future in futures:
            with pytest.raises(HostLost, match="lost during the job") as raised:
                future.result(timeout=50)
            assert all(word in str(raised.value) for word in (*(h.address for h in hosts), future.job_key))
    with within(5):
        fexec.__exit__()
