"""What happens to a host while a job runs there: the job goes on, and each of its calls ends once."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lithops import FunctionExecutor
from lithops.errors import AgentBusy, HostDiskFull
from lithops.futures_list import FuturesList
from tests.integration.conftest import OpenExecutor
from tests.integration.functions import double
from tests.integration.host_functions import MARKS, bytes_of, mark
from tests.integration.support import agent_state, eventually, refused, within, works
from tests.testbed import Host
from tests.testbed.fixtures import FreshHost

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_login")]

CALLS = 12
EACH = 0.3


class Job:
    """A map of `mark` over a host's workers, watched from both sides."""

    def __init__(self, host: Host, fexec: FunctionExecutor, calls: int = CALLS, each: float = EACH) -> None:
        host.run(f"rm -f {MARKS}")
        self.host = host
        self.calls = calls
        self.futures: FuturesList = fexec.map(mark, [(number, each) for number in range(calls)])

    def half_way(self) -> set[int]:
        """Wait until some calls have ended and others have not begun; the numbers of the former."""
        eventually(lambda: len(self.ended()) >= 3, "three calls that have ended", 15)
        ended = self.ended()
        assert len(self.marks()) < self.calls, "the job was over too early for this test"
        return ended

    def ended(self) -> set[int]:
        return {number for number, future in enumerate(self.futures) if future.done}

    def marks(self) -> Counter[int]:
        """How often each call has begun on the host."""
        return Counter(map(int, self.host.run(f"cat {MARKS} 2>/dev/null", check=False).stdout.split()))

    def goes_on(self, ended_before: set[int], seconds: float) -> None:
        """All results come; what had ended before is not run again, and nothing more than twice."""
        with within(seconds):
            assert [future.result(timeout=seconds) for future in self.futures] == list(range(self.calls))
        marks = self.marks()
        assert all(marks[number] == 1 for number in ended_before)
        assert max(marks.values()) <= 2
        assert sorted(marks) == list(range(self.calls))


# The agent is killed.


def by_killing_all_of_it(host: Host, user: str) -> None:
    """Kill everything that the agent runs, workers too, at once."""
    home = "/root" if user == "root" else f"/home/{user}"
    host.run(f"kill -9 $(grep -ls '{home}/.lithops' /proc/[0-9]*/cmdline | cut -d/ -f3)", check=False)


def by_killing_the_parent(host: Host, user: str) -> None:
    """What answers requests ends with it, and with that the workers."""
    parent = agent_state(host, user)["pid"]
    child = host.run(f"pgrep -P {parent}").stdout.split()[0]
    host.run(f"kill -9 {parent}; sleep 0.1; ! kill -0 {child}")


def by_killing_the_child(host: Host, user: str) -> None:
    """Kill the process that answers requests: gunicorn's worker."""
    host.run(f"pkill -9 -P {agent_state(host, user)['pid']}")


@pytest.mark.parametrize("kill", [by_killing_the_parent, by_killing_the_child, by_killing_all_of_it])
def test_an_agent_of_its_own_is_killed(
    host: Host, open_executor: OpenExecutor, kill: Callable[[Host, str], None]
) -> None:
    job = Job(host, open_executor(host.lithops_config()))
    ended = job.half_way()
    agent = agent_state(host)["agent_id"]
    kill(host, "user")
    job.goes_on(ended, 12)
    assert agent_state(host)["agent_id"] == agent


@pytest.mark.parametrize(
    ("login", "kill"), [("root", by_killing_the_parent), ("admin", by_killing_all_of_it)]
)
def test_an_agent_that_is_a_unit_is_killed(
    fresh_host: FreshHost, open_executor: OpenExecutor, login: str, kill: Callable[[Host, str], None]
) -> None:
    host = fresh_host()
    job = Job(host, open_executor(host.lithops_config(ssh_username=login)))
    ended = job.half_way()
    before = agent_state(host, login)
    kill(host, login)
    job.goes_on(ended, 12)
    after = agent_state(host, login)
    assert after["agent_id"] == before["agent_id"]
    shown = host.run(f"systemctl show --value -p MainPID lithops-agent-{login}").stdout
    assert int(shown) == after["pid"] != before["pid"]


# The connection breaks.


def test_sshd_is_restarted(host: Host, open_executor: OpenExecutor) -> None:
    job = Job(host, open_executor(host.lithops_config()))
    ended = job.half_way()
    agent = agent_state(host)
    sessions = host.run("pgrep -u user sshd").stdout.split()
    host.restart_sshd()
    # Debian leaves sessions alone when sshd is restarted; other systems end them.
    host.run(f"kill -9 {' '.join(sessions)}")
    job.goes_on(ended, 8)
    assert agent_state(host) == agent
    assert max(job.marks().values()) == 1


def test_the_cable_is_pulled_for_three_seconds(host: Host, open_executor: OpenExecutor) -> None:
    job = Job(host, open_executor(host.lithops_config()))
    ended = job.half_way()
    agent = agent_state(host)
    host.link_down()
    time.sleep(3)
    host.link_up()
    job.goes_on(ended, 12)
    assert agent_state(host) == agent
    assert max(job.marks().values()) == 1


def test_the_host_is_switched_off_and_on(fresh_host: FreshHost, open_executor: OpenExecutor) -> None:
    host = fresh_host()
    job = Job(host, open_executor(host.lithops_config()))
    job.half_way()
    host.reboot()
    with within(20):
        assert [future.result(timeout=20) for future in job.futures] == list(range(CALLS))


# The disk fills.


def test_the_disk_fills_while_calls_run(fresh_host: FreshHost, open_executor: OpenExecutor) -> None:
    """Results that need files of their own, and more space than an agent keeps for small ones."""
    host = fresh_host(disk="48M")
    fexec = open_executor(host.lithops_config())
    assert fexec.call_async(double, 1).result(timeout=15) == 2
    futures = fexec.map(bytes_of, [(6_000_000, 1.0)] * 4)
    eventually(lambda: len(host.processes()) > 3, "calls that run")
    host.fill_disk()
    with within(10):
        for future in futures:
            with pytest.raises(HostDiskFull, match="full") as raised:
                future.result(timeout=15)
            assert host.address in str(raised.value)
            assert "free some space" in str(raised.value)
    host.free_disk()
    assert fexec.call_async(double, 2).result(timeout=15) == 4


def test_the_disk_is_too_small_for_the_results(fresh_host: FreshHost, open_executor: OpenExecutor) -> None:
    host = fresh_host(disk="48M")
    fexec = open_executor(host.lithops_config())
    with within(20), pytest.raises(HostDiskFull, match="full"):
        fexec.call_async(bytes_of, (100_000_000,)).result(timeout=25)
    assert fexec.call_async(double, 2).result(timeout=15) == 4


def test_the_disk_is_too_small_for_the_data(fresh_host: FreshHost, open_executor: OpenExecutor) -> None:
    host = fresh_host(disk="48M")
    fexec = open_executor(host.lithops_config(lithops={"data_limit": False}))
    with within(20), pytest.raises(HostDiskFull, match="full"):
        fexec.call_async(len, (bytes(100_000_000),)).result(timeout=25)
    assert fexec.call_async(double, 2).result(timeout=15) == 4


# Agent and coordinator are of different versions.


@pytest.fixture
def other_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], str]:
    """Makes this process another release: its bundle has one file more."""
    from lithops.bootstrap import bundle

    def change() -> str:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        extra = tmp_path / "another.py"
        extra.write_text("# This file makes another release.\n")
        plain = bundle.package_files

        def with_another(package: str) -> Iterator[bundle.SourceFile]:
            yield from plain(package)
            if package == "lithops_agent":
                yield bundle.SourceFile("lithops_agent/another.py", extra)

        monkeypatch.setattr(bundle, "package_files", with_another)
        return bundle.build_bundle().release[:16]

    return change


def test_an_idle_agent_of_another_release_is_replaced(host: Host, other_release: Callable[[], str]) -> None:
    works(host.lithops_config())
    before = agent_state(host)
    release = other_release()
    works(host.lithops_config())
    after = agent_state(host)
    assert after["bundle"] == release != before["bundle"]
    assert (after["agent_id"], after["pid"] != before["pid"]) == (before["agent_id"], True)
    assert (
        not Path(f"/proc/{before['pid']}/cmdline").exists()
        or host.run(f"kill -0 {before['pid']}", check=False).returncode
    )


def test_a_busy_agent_of_another_release_is_left_alone(
    host: Host, open_executor: OpenExecutor, other_release: Callable[[], str]
) -> None:
    fexec = open_executor(host.lithops_config())
    job = Job(host, fexec, calls=6, each=0.7)
    eventually(lambda: bool(job.marks()), "a call that runs", 15)
    before = agent_state(host)
    other_release()
    message = refused(host.lithops_config(), AgentBusy, host.address, before["bundle"], "wait for the jobs")
    assert re.search(r"version \d+\.\d+", message)
    assert agent_state(host) == before
    job.goes_on(set(), 15)
    works(host.lithops_config())
    assert agent_state(host)["bundle"] != before["bundle"]
