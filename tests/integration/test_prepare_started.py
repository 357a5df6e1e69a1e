"""Hosts whose agent runs since they were prepared: a first result finds it, and sends and starts nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import calling, functions
from tests.integration.conftest import OpenExecutor
from tests.integration.support import agent_state, eventually, works
from tests.integration.test_prepare import bundles, exists, other_release, program, ready
from tests.testbed import Host, Testbed
from tests.testbed.fixtures import FreshHost

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def started(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that was prepared by the login `admin`, with the agent running."""
    host = bed.host("started")
    ready(host, tmp_path_factory.mktemp("started"))
    yield host
    bed.remove(host)


def runs(host: Host, user: str = "admin") -> bool:
    """Whether the agent of a login is alive."""
    if not exists(host, f"/home/{user}/.lithops/agent/agent.json"):
        return False
    return exists(host, f"/proc/{agent_state(host, user)['pid']}")


def test_a_first_result_starts_nothing_and_a_second_run_changes_nothing(
    started: Host, tmp_path: Path
) -> None:
    agent = agent_state(started, "admin")
    assert runs(started)
    orders = started.run("cat /home/admin/.lithops/agent/fence.json").stdout
    assert json.loads(orders)["deadline"] is None, "no time-out counts before a script has come with one"
    assert ready(started, tmp_path).changed == 0
    works(started.lithops_config(ssh_username="admin"))
    assert agent_state(started, "admin") == agent
    assert not exists(started, "/home/admin/.lithops/agent/bundles")


def test_it_runs_again_after_a_boot(started: Host) -> None:
    before = agent_state(started, "admin")
    started.reboot()
    eventually(lambda: runs(started) and agent_state(started, "admin") != before, "it runs again", 30)
    works(started.lithops_config(ssh_username="admin"))


def test_it_comes_back_when_it_is_killed(started: Host) -> None:
    before = agent_state(started, "admin")
    started.run(f"kill -9 {before['pid']}")
    eventually(lambda: runs(started) and agent_state(started, "admin") != before, "it runs again", 30)


def test_an_upgrade_waits_for_a_running_job(
    started: Host, tmp_path: Path, open_executor: OpenExecutor
) -> None:
    newer, _ = other_release(tmp_path / "newer")
    fexec = open_executor(started.lithops_config(ssh_username="admin"))
    waiting = fexec.call_async(calling.until_there, "/home/admin/go-on")
    eventually(lambda: waiting.running, "the call runs", 30)
    agent = agent_state(started, "admin")
    ready(started, tmp_path, lithops_bundle=newer)
    assert agent_state(started, "admin") == agent
    started.run("touch /home/admin/go-on")
    waiting.result(timeout=30)
    fexec.clean()

    assert ready(started, tmp_path, lithops_bundle=newer).changed > 0
    assert program(started, "admin").endswith(newer.name)
    assert agent_state(started, "admin")["version"] == "99.0"
    assert bundles(started) == {newer.name}


def test_it_can_be_left_to_scripts_or_to_the_next_boot(fresh_host: FreshHost, tmp_path: Path) -> None:
    host = fresh_host()
    ready(host, tmp_path, lithops_agent_started=False)
    assert not exists(host, "/home/admin/.lithops")
    assert not exists(host, "/etc/systemd/system/lithops-prepared@.service")
    ready(host, tmp_path, lithops_agent_started="boot")
    assert not exists(host, "/home/admin/.lithops")
    host.reboot()
    eventually(lambda: runs(host), "it runs", 30)


def test_a_dismantle_ends_it_and_the_next_script_starts_it(
    started: Host, open_executor: OpenExecutor
) -> None:
    config = started.lithops_config(ssh_username="admin")
    fexec = open_executor(config)
    assert fexec.call_async(functions.double, 4).result(timeout=30) == 8
    fexec.dismantle()
    assert not runs(started)
    works(config)
    assert runs(started)
