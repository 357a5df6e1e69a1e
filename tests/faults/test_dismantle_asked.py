"""Hosts end because they are asked to: at once, from anywhere, and leaving what was to be kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops.errors import BootstrapError, HardDismantleTimeout, HostError, HostUnreachable
from tests.faults.ending import Login
from tests.faults.functions import hold, hold_after
from tests.integration.conftest import OpenExecutor
from tests.integration.functions import double
from tests.integration.support import eventually, run_script, within
from tests.testbed import Host, Testbed
from tests.testbed.fixtures import FreshHost

pytestmark = [pytest.mark.integration, pytest.mark.alone]

SCRIPT = """\
import lithops

def double(x):
    return 2 * x

if __name__ == '__main__':
    fexec = lithops.FunctionExecutor(config=CONFIG, log_level=None)
    print(fexec.call_async(double, 21).result())
"""


@pytest.fixture(scope="module")
def station(bed: Testbed) -> Iterator[Host]:
    host = bed.host("asked")
    yield host
    bed.remove(host)


@pytest.fixture(params=[("user", "none"), ("admin", "system")], ids=["none", "system"])
def login(request: pytest.FixtureRequest, station: Host) -> Iterator[Login]:
    login = Login(station, *request.param)
    assert login.what_is_left() == []
    yield login
    FunctionExecutor(config=login.config()).dismantle()


def use(login: Login, **standalone: object) -> None:
    """Have an agent there."""
    with FunctionExecutor(config=login.config(**standalone)) as fexec:
        assert fexec.call_async(double, 21).result(timeout=20) == 42


# ---- at once ----------------------------------------------------------------------------------------


def test_nothing_is_left_when_it_returns(login: Login, open_executor: OpenExecutor) -> None:
    fexec = open_executor(login.config())
    mark = f"/tmp/began-{time.time_ns()}"
    running = fexec.map(hold_after, [(mark, 60)] * 3)
    eventually(lambda: login.host.run(f"test -e {mark}", check=False).returncode == 0, "the start", 10)
    with within(5):
        fexec.dismantle()
    assert login.files() == []
    login.gone_at(1)
    assert all(future.done for future in running)
    with within(2):
        fexec.dismantle()
    assert login.what_is_left() == [], "an agent was started to be ended"
    assert fexec.call_async(double, 21).result(timeout=20) == 42, "the host can be used again"


def test_from_another_process(login: Login) -> None:
    use(login)
    assert login.pids("serve")
    with within(5):
        FunctionExecutor(config=login.config()).dismantle()
    assert login.files() == []
    login.gone_at(1)


def test_what_a_killed_agent_has_left_goes_too(login: Login) -> None:
    use(login)
    login.kill_for_good()
    assert login.files()
    login.host.run(f"systemctl unmask --runtime lithops-agent-{login.user}")
    with within(5):
        FunctionExecutor(config=login.config()).dismantle()
    assert login.files() == []
    login.gone_at(1)


def test_an_agent_that_stands_still_is_named(station: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    login = Login(station, "user", "none")
    use(login)
    login.signal("STOP", "serve")
    try:
        monkeypatch.setattr("lithops.backends.vm.END_TIMEOUT", 1.5)
        monkeypatch.setattr("lithops.dispatch.client._TIMEOUT", 1.0)
        with pytest.raises(HostError, match="did not end in time") as raised:
            FunctionExecutor(config=login.config()).dismantle()
        assert raised.value.host == station.address
    finally:
        monkeypatch.undo()
        login.signal("CONT", "serve")
    FunctionExecutor(config=login.config()).dismantle()
    login.gone_at(1)


def test_a_host_that_cannot_be_reached_is_named(station: Host) -> None:
    station.stop_sshd()
    try:
        with pytest.raises(HostError, match=r"not dismantled: .*nobody listens") as raised:
            FunctionExecutor(config=Login(station, "user", "none").config()).dismantle()
        assert raised.value.host == station.address
        assert not isinstance(raised.value, HostUnreachable), "it may be one of many"
    finally:
        station.start_sshd()


def test_the_bundle_is_kept_for_the_next_start(login: Login) -> None:
    use(login, keep_agent=True)
    bundle = f"{login.folder}/agent/bundles/agent-*-????????????????.zip"
    before = login.host.run(f"stat -c %i.%Y {bundle}").stdout
    FunctionExecutor(config=login.config(keep_agent=True)).dismantle()
    assert login.files() == ["bundles"]
    use(login, keep_agent=True, soft_dismantle_timeout=2)
    assert login.host.run(f"stat -c %i.%Y {bundle}").stdout == before, "it was sent again"
    login.gone_at(10, kept=["bundles"])
    assert login.files() == ["bundles"]


# ---- at the end of an executor ----------------------------------------------------------------------


def test_at_the_end_of_a_block(login: Login) -> None:
    with FunctionExecutor(config=login.config(auto_dismantle="exit")) as fexec:
        assert fexec.call_async(double, 21).result(timeout=20) == 42
        assert login.pids("serve")
    assert login.files() == []
    login.gone_at(1)


def test_an_executor_that_was_not_used_asks_nobody(station: Host) -> None:
    station.stop_sshd()
    try:
        with FunctionExecutor(config=Login(station, "user", "none").config(auto_dismantle="exit")):
            pass
    finally:
        station.start_sshd()


def test_at_the_end_of_a_program(login: Login, tmp_path: Path, home: Path) -> None:
    text = SCRIPT.replace("CONFIG", repr(login.config(auto_dismantle="exit")))
    done = run_script(text, tmp_path, home)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert login.files() == []
    login.gone_at(1)


def test_the_agent_of_this_machine(tmp_path: Path, home: Path) -> None:
    config: dict[str, Any] = {
        "lithops": {"backend": "localhost"},
        "standalone": {"auto_dismantle": "exit"},
    }
    done = run_script(SCRIPT.replace("CONFIG", repr(config)), tmp_path, home)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert not (home / ".lithops/agent").exists()
    config = {"lithops": {"backend": "localhost"}, "standalone": {"soft_dismantle_timeout": 1}}
    done = run_script(SCRIPT.replace("CONFIG", repr(config)), tmp_path, home)
    ended_at = time.time()
    assert (home / ".lithops/agent/agent.json").exists(), done.stderr
    eventually(lambda: not (home / ".lithops/agent").exists(), "the end", 1 + 2)
    assert time.time() - ended_at > 0.5


# ---- hosts that are ending --------------------------------------------------------------------------


def ending(login: Login, open_executor: OpenExecutor) -> None:
    """Wait until the hard deadline of a job has passed a moment ago: its host is ending."""
    mark = f"/tmp/began-{time.time_ns()}"
    future = open_executor(login.config(hard_dismantle_timeout=2)).call_async(hold_after, (mark, 60))
    with pytest.raises(HardDismantleTimeout):
        future.result(timeout=20)
    assert login.files()


def test_a_job_for_a_host_that_ends_brings_it_back(station: Host, open_executor: OpenExecutor) -> None:
    login = Login(station, "user", "none")
    fexec = open_executor(login.config())
    assert fexec.call_async(double, 1).result(timeout=20) == 2
    before = login.agent()["pid"]
    ending(login, open_executor)
    with within(10):
        assert fexec.get_result(fexec.map(double, range(20)), timeout=20) == list(range(0, 40, 2))
    assert login.agent()["pid"] != before
    fexec.dismantle()


def test_a_job_for_a_host_that_ends_goes_to_another_one(
    station: Host, fresh_host: FreshHost, open_executor: OpenExecutor
) -> None:
    other = fresh_host()
    config = station.lithops_config(ip_address=None, hosts=[station.entry(), other.entry()])
    fexec = open_executor(config)
    fexec.get_result(fexec.map(hold, [0.3] * 8), timeout=20)
    ending(Login(station, "user", "none"), open_executor)
    with within(10):
        assert fexec.get_result(fexec.map(double, range(20)), timeout=20) == list(range(0, 40, 2))
    fexec.dismantle()


# ---- the power --------------------------------------------------------------------------------------


def test_a_login_without_the_right_to_switch_off_is_refused(station: Host) -> None:
    with FunctionExecutor(config=Login(station, "user", "none").config(poweroff=True)) as fexec:
        future = fexec.call_async(double, 21)
        with pytest.raises(BootstrapError, match=r"standalone\.poweroff needs root, and the login user"):
            future.result(timeout=20)
    assert station.run("ls /home/user/.lithops", check=False).stdout == ""


@pytest.mark.parametrize("killed", [False, True])
def test_a_host_goes_off_at_its_deadline(fresh_host: FreshHost, killed: bool) -> None:
    login = Login(fresh_host(), "admin", "system")
    with FunctionExecutor(config=login.config(poweroff=True, soft_dismantle_timeout=3)) as fexec:
        future = fexec.call_async(double, 21)
        assert future.result(timeout=20) == 42
    if killed:
        time.sleep(1)
        login.kill_for_good()
    login.host.wait_off(15)
    # Two seconds until it is asked to go off, and those that systemd takes.
    assert 3 <= time.time() - float(future.stats["worker_end_tstamp"]) < 3 + 2 + 5
    login.host.start()
    use(login)


def test_a_host_goes_off_when_the_last_user_has_done(fresh_host: FreshHost) -> None:
    host = fresh_host()
    mine, other = Login(host, "admin", "system"), Login(host, "user2", "none")
    with FunctionExecutor(config=other.config()) as theirs:
        assert theirs.call_async(double, 1).result(timeout=20) == 2
        use(mine, poweroff=True)
        fexec = FunctionExecutor(config=mine.config(poweroff=True))
        with within(5):
            fexec.dismantle()
        eventually(lambda: not mine.pids("serve"), "the end of the agent", 1)
        time.sleep(2.5)
        assert host.running
        assert theirs.call_async(double, 21).result(timeout=20) == 42
        theirs.dismantle()
    host.wait_off(15)
    fexec.dismantle()


def test_an_agent_that_was_started_again_keeps_its_host_on(fresh_host: FreshHost) -> None:
    host = fresh_host()
    mine, other = Login(host, "admin", "system"), Login(host, "user2", "none")
    use(other)
    use(mine, poweroff=True)
    FunctionExecutor(config=mine.config(poweroff=True)).dismantle()
    assert "lithops-fence" in mine.units(), "nobody waits for the other user"
    use(mine)
    FunctionExecutor(config=other.config()).dismantle()
    time.sleep(2.5)
    assert host.running
    assert mine.pids("serve")
