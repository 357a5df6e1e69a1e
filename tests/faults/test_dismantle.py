"""Hosts end when their time is up, whatever has died: measured on real hosts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops.bootstrap.bundle import build_bundle
from lithops.errors import HardDismantleTimeout
from lithops.future import ResponseFuture
from tests.faults.ending import ACCURACY, Login, status
from tests.faults.functions import hold, hold_after
from tests.integration.conftest import OpenExecutor
from tests.integration.support import eventually
from tests.testbed import Host, Testbed
from tests.testbed.fixtures import FreshHost

pytestmark = [pytest.mark.integration, pytest.mark.alone]


@pytest.fixture(scope="module")
def station(bed: Testbed) -> Iterator[Host]:
    host = bed.host("ending")
    host.run("loginctl enable-linger user2")
    eventually(
        lambda: host.run("test -S /run/user/1001/systemd/private", check=False).returncode == 0,
        "user2's systemd",
    )
    yield host
    bed.remove(host)


UNITS = {"none": "user", "system": "admin", "user": "user2"}


@pytest.fixture
def make_login(station: Host) -> Iterator[Callable[[str], Login]]:
    """Makes logins whose agents are kept running in a given way; nothing of them is left at the end."""
    made: list[Login] = []

    def make(unit: str) -> Login:
        login = Login(station, UNITS[unit], unit)
        assert login.what_is_left() == []
        made.append(login)
        return login

    yield make
    for login in made:
        station.run("systemctl unmask --runtime lithops-agent-admin", check=False)
        FunctionExecutor(config=login.config()).dismantle()
        login.gone_at()


@pytest.fixture(params=[*UNITS])
def login(request: pytest.FixtureRequest, make_login: Callable[[str], Login]) -> Login:
    return make_login(request.param)


def completed_at(login: Login, seconds: float = 0, **standalone: Any) -> float:
    """Run a job and collect it; when it completed, by the wall clock, which all hosts share."""
    with FunctionExecutor(config=login.config(**standalone)) as fexec:
        future = fexec.call_async(hold, seconds)
        future.result(timeout=20)
    return float(future.stats["worker_end_tstamp"])


def start(login: Login, fexec: FunctionExecutor, seconds: float = 60) -> tuple[ResponseFuture, float]:
    """A call of a job that runs, and since when, by the wall clock."""
    mark = f"/tmp/began-{uuid.uuid4().hex}"
    future = fexec.call_async(hold_after, (mark, seconds))
    eventually(lambda: login.host.run(f"test -e {mark}", check=False).returncode == 0, "the start", 10)
    return future, float(login.host.run(f"stat -c %.Y {mark}").stdout)


# ---- the keeper -------------------------------------------------------------------------------------


def test_a_host_without_a_job_ends(make_login: Callable[[str], Login]) -> None:
    login = make_login("none")
    before = time.time()
    login.machine(soft_dismantle_timeout=2).open().close()
    after = time.time()
    gone_at = login.gone_at()
    assert before + 2 <= gone_at <= after + 2 + ACCURACY


def test_soft_counts_from_the_completion_of_the_last_job(login: Login) -> None:
    completed_at(login, soft_dismantle_timeout=3)
    time.sleep(1.5)
    login.gone_in_time(completed_at(login, soft_dismantle_timeout=3) + 3)


def test_soft_does_not_count_from_the_last_poll(
    make_login: Callable[[str], Login], open_executor: OpenExecutor
) -> None:
    login = make_login("none")
    future = open_executor(login.config(soft_dismantle_timeout=3)).call_async(hold, 0)
    future.result(timeout=20)
    # The executor is there, and polls; it may be killed, so that its results stay for another process.
    login.gone_in_time(float(future.stats["worker_end_tstamp"]) + 3, kept=["work"])
    assert login.files() == ["work"]


def test_at_the_hard_deadline_of_a_job_its_calls_end_and_its_results_stay(
    login: Login, open_executor: OpenExecutor
) -> None:
    fexec = open_executor(login.config(soft_dismantle_timeout=60, hard_dismantle_timeout=3))
    slow, began = start(login, fexec)
    quick = fexec.call_async(hold, 0)
    with pytest.raises(HardDismantleTimeout) as raised:
        slow.result(timeout=20)
    assert time.time() - began < 3 + ACCURACY
    assert slow.job_key in str(raised.value)
    assert "standalone.hard_dismantle_timeout (3 s)" in str(raised.value)
    assert quick.result() == 0
    login.gone_in_time(began + 3, kept=["work"])


def test_of_jobs_that_overlap_the_earliest_deadline_counts(
    make_login: Callable[[str], Login], open_executor: OpenExecutor
) -> None:
    login = make_login("none")
    long, _ = start(login, open_executor(login.config(hard_dismantle_timeout=60)))
    short, began = start(login, open_executor(login.config(hard_dismantle_timeout=3)))
    for future in (long, short):
        with pytest.raises(HardDismantleTimeout, match=f"job {short.job_key} reached"):
            future.result(timeout=20)
    login.gone_in_time(began + 3, kept=["work"])


def test_without_auto_dismantle_nothing_counts(login: Login, open_executor: OpenExecutor) -> None:
    fexec = open_executor(
        login.config(auto_dismantle=False, soft_dismantle_timeout=1, hard_dismantle_timeout=1)
    )
    future = fexec.call_async(hold, 2.5)
    assert future.result(timeout=20) == 2.5
    time.sleep(2)
    with status(login.machine().find()) as told:
        assert (told["time_to_dismantle"], told["reason"]) == (None, "")
    assert "fence" not in login.units()
    assert not login.pids("fence")
    assert login.pids("serve")


def test_the_time_that_is_left_is_told_with_its_reason(
    make_login: Callable[[str], Login], open_executor: OpenExecutor
) -> None:
    login = make_login("none")
    fexec = open_executor(login.config(soft_dismantle_timeout=100, hard_dismantle_timeout=200))
    future, _ = start(login, fexec, 1)
    with status(login.machine().find()) as told:
        assert 190 < told["time_to_dismantle"] < 200
        assert told["reason"].startswith(f"hard: job {future.job_key} since ")
    future.result(timeout=20)
    with status(login.machine().find()) as told:
        assert 90 < told["time_to_dismantle"] <= 100
        assert told["reason"].startswith("soft: no job since ")


# ---- each fence alone -------------------------------------------------------------------------------


def test_the_agent_is_killed_and_never_comes_back(login: Login) -> None:
    ended_at = completed_at(login, soft_dismantle_timeout=4)
    time.sleep(1.5)
    login.kill_for_good()
    assert login.files(), "nothing else removed it"
    login.gone_in_time(ended_at + 4)


def test_the_agent_is_killed_while_a_job_runs(login: Login, open_executor: OpenExecutor) -> None:
    fexec = open_executor(login.config(soft_dismantle_timeout=60, hard_dismantle_timeout=5))
    _, began = start(login, fexec)
    time.sleep(1.5)
    fexec._submitter._session.closed = True  # type: ignore[union-attr]  # The script is gone.
    login.kill_for_good()
    login.gone_in_time(began + 5, kept=["work"])


def test_the_agent_stands_still(login: Login) -> None:
    ended_at = completed_at(login, soft_dismantle_timeout=4)
    time.sleep(1.5)
    login.signal("STOP", "serve")
    login.gone_in_time(ended_at + 4)


def test_the_keeper_alone(login: Login) -> None:
    ended_at = completed_at(login, soft_dismantle_timeout=4)
    time.sleep(1.5)
    login.disable_fence()
    login.gone_in_time(ended_at + 4)


def test_an_earlier_deadline_is_told_to_the_fence(login: Login) -> None:
    """The fence is armed for 60 s after the start; then a job says 4."""
    completed_at(login, soft_dismantle_timeout=60)
    ended_at = completed_at(login, soft_dismantle_timeout=4)
    time.sleep(1.5)
    login.kill_for_good()
    login.gone_in_time(ended_at + 4)


def test_a_living_agent_pushes_the_fence_forward(login: Login) -> None:
    """The fence, armed for 2 s after the start, fires while a job runs, and again at the end."""
    ended_at = completed_at(login, 5, soft_dismantle_timeout=2)
    time.sleep(0.5)
    login.kill_for_good()
    login.gone_in_time(ended_at + 2)


# ---- restarts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["system", "user"])
def test_a_restart_of_the_agent_resets_no_soft_countdown(
    unit: str, make_login: Callable[[str], Login]
) -> None:
    login = make_login(unit)
    ended_at = completed_at(login, soft_dismantle_timeout=5)
    for _ in range(2):
        time.sleep(1.2)
        before = login.agent()["pid"]
        login.signal("KILL", "serve")
        eventually(lambda: login.agent()["pid"] != before, "the restart", 3)  # noqa: B023
    login.gone_in_time(ended_at + 5)


def test_a_restart_of_the_agent_resets_no_hard_countdown(
    make_login: Callable[[str], Login], open_executor: OpenExecutor
) -> None:
    login = make_login("system")
    future, began = start(login, open_executor(login.config(hard_dismantle_timeout=5)))
    time.sleep(2)
    login.signal("KILL", "serve")
    with pytest.raises(HardDismantleTimeout):
        future.result(timeout=20)
    login.gone_in_time(began + 5, kept=["work"])


# ---- other releases ---------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["none", "system"])
@pytest.mark.parametrize("release", ["bullseye", "trixie"])
def test_fences_on_other_releases(fresh_host: FreshHost, release: str, unit: str) -> None:
    """With another systemd and another Python: the second fence alone, then the keeper alone."""
    login = Login(fresh_host(release=release), UNITS[unit], unit)
    bundle = build_bundle()
    folder = f"{login.folder}/agent/bundles"
    for alone in (login.kill_for_good, login.disable_fence):
        login.host.run(f"mkdir -p {folder}", user=login.user)
        login.host.hardware.disk.hold(f"{folder}/{bundle.name}").write_bytes(bundle.path.read_bytes())
        login.host.run(f"systemctl unmask --runtime lithops-agent-{login.user}", check=False)
        start = f"start --home {login.folder}/agent --soft 4 --unit {unit}"
        login.host.run(f"python3 {folder}/{bundle.name} {start} </dev/null", user=login.user)
        deadline = time.time() + 4
        time.sleep(1)
        alone()
        login.gone_in_time(deadline, early=2)
