"""Hosts of several Debian releases, agents on several Pythons, and coordinators on others than this one."""

from __future__ import annotations

import configparser
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops.bootstrap.bundle import build_bundle
from lithops.bootstrap.start import ensure_agent
from lithops.errors import PythonNotFound, WorkerDied
from tests.integration.functions import double
from tests.integration.support import AGENT_STATE, HELLO, agent_state, refused, run_script, works
from tests.testbed import Host
from tests.testbed.fixtures import FreshHost
from tests.testbed.interpreter import interpreters

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_login")]

ROOT = Path(__file__).parents[2]
RELEASES = {"bullseye": (3, 9), "bookworm": (3, 11), "trixie": (3, 13)}
HERE = sys.version_info[:2]
_INFO = """\
import json, sys, urllib.request
state = json.load(open(sys.argv[1]))
request = urllib.request.Request(
    "http://127.0.0.1:%d/v1/info" % state["port"], headers={"Authorization": "Bearer " + state["token"]})
print(urllib.request.urlopen(request, timeout=5).read().decode())
"""


def agent_info(host: Host, python: str = "python3") -> dict[str, Any]:
    """What the agent on a host says it is."""
    done = host.run(f"{python} - ~/{AGENT_STATE}", user="user", input=_INFO)
    info: dict[str, Any] = json.loads(done.stdout)
    return info


def start_by_hand(host: Host, python: str) -> None:
    """Start the agent of this checkout with an interpreter of the host, as no coordinator would."""
    bundle = build_bundle()
    folder = "/home/user/.lithops/agent/bundles"
    host.run(f"mkdir -p {folder}", user="user")
    (host.hardware.disk.hold(folder) / bundle.name).write_bytes(bundle.path.read_bytes())
    started = host.run(
        f"{python} {folder}/{bundle.name} start --home ~/.lithops/agent --processes 2 </dev/null", user="user"
    )
    assert json.loads(started.stdout)["bundle"] == bundle.release[:16]


def other_python(version: str) -> Path:
    """An interpreter of this machine; the test is skipped without it."""
    found = [path for name, path in interpreters().items() if name.startswith(f"{version}.")]
    if not found:
        pytest.skip(f"this machine has no Python {version}")
    return found[-1] / "bin" / "python3"


# Hosts of each release, and this coordinator.


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_a_release_with_another_python_than_ours_is_refused_before_anything_is_sent(
    fresh_host: FreshHost, release: str
) -> None:
    host = fresh_host(release=release)
    python = "{}.{}".format(*RELEASES[release])
    if RELEASES[release] == HERE:
        works(host.lithops_config())
        return
    ours = "{}.{}".format(*HERE)
    words = (f"no Python {ours}", f"/usr/bin/python{python}", f"run the script with Python {python}")
    refused(host.lithops_config(), PythonNotFound, host.address, *words)
    assert host.run("diff -r /etc/skel /home/user").stdout == ""


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_agent_and_workers_run_on_the_python_of_each_release(
    fresh_host: FreshHost, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Functions that go by name run on any Python, so with them the host's own one can be used."""
    version = RELEASES[release]
    monkeypatch.setattr("lithops.backends.vm.ensure_agent", functools.partial(ensure_agent, wanted=version))
    host = fresh_host(release=release)
    with FunctionExecutor(config=host.lithops_config()) as fexec:
        assert fexec.map(double, range(50)).get_result() == list(range(0, 100, 2))
        with pytest.raises(ValueError, match="invalid literal"):
            fexec.call_async(int, "seven").result(timeout=10)
        with pytest.raises(WorkerDied, match="code 3"):
            fexec.call_async(os._exit, 3).result(timeout=10)
        assert fexec.call_async(bytes, 1_000_000).result(timeout=10) == bytes(1_000_000)
    assert agent_info(host)["python"].startswith("{}.{}.".format(*version))


# An agent on another Python than its functions.


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_an_agent_on_another_python_runs_functions_of_ours(fresh_host: FreshHost, version: str) -> None:
    other_python(version)
    host = fresh_host()
    if RELEASES["bookworm"] != HERE:
        host.install_python("{}.{}".format(*HERE))
    path = host.install_python(version)
    start_by_hand(host, path)
    assert agent_info(host)["python"].startswith(f"{version}.")
    pid = agent_state(host)["pid"]
    with FunctionExecutor(config=host.lithops_config()) as fexec:
        assert fexec.map(lambda x: (x, sys.version_info[:2]), [1, 2]).get_result() == [(1, HERE), (2, HERE)]
        with pytest.raises(ZeroDivisionError):
            fexec.call_async(lambda: 1 / 0, ()).result(timeout=10)
    assert agent_state(host)["pid"] == pid


def test_a_host_that_is_given_our_python_works(fresh_host: FreshHost) -> None:
    host = fresh_host(release="trixie")
    try:
        path = host.install_python("{}.{}".format(*HERE))
    except LookupError as exc:
        pytest.skip(str(exc))
    works(host.lithops_config())
    works(host.lithops_config(standalone={"runtime": path}))
    assert agent_info(host)["python"].startswith("{}.{}.".format(*HERE))


# A coordinator on another Python than ours.


@pytest.fixture
def environment_of(request: pytest.FixtureRequest) -> Any:
    """Gives the interpreter of an environment with our dependencies, made once and kept for later runs."""

    def make(version: str) -> Path:
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        lines = setup["options"]["install_requires"].splitlines()
        needs = [line for line in lines if line and not line.startswith("#")]
        folder = Path(request.config.cache.mkdir(f"python-{version}"))
        done = folder / "installed"
        if not done.exists() or done.read_text() != repr(needs):
            base = other_python(version)
            subprocess.run([base, "-m", "venv", "--clear", folder / "env"], check=True, timeout=60)
            pip = [str(folder / "env" / "bin" / "pip"), "install", "--quiet"]
            subprocess.run([*pip, *needs], check=True, timeout=300)
            done.write_text(repr(needs))
        return folder / "env" / "bin" / "python"

    return make


@pytest.mark.parametrize(("version", "release"), [("3.10", "bookworm"), ("3.13", "trixie")])
def test_a_coordinator_on_another_python(
    fresh_host: FreshHost, environment_of: Any, tmp_path: Path, home: Path, version: str, release: str
) -> None:
    python = environment_of(version)
    host = fresh_host(release=release)
    if "{}.{}".format(*RELEASES[release]) != version:
        host.install_python(version)
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / ".lithops_config").write_text(json.dumps(host.lithops_config()))
    sources = f"{ROOT / 'coordinator'}:{ROOT / 'agent'}"
    done = run_script(HELLO, folder, home, python=str(python), PYTHONPATH=sources)
    assert (done.returncode, done.stdout) == (0, "Hello World!\n"), done.stderr
    assert agent_info(host)["python"].startswith(f"{version}.")
