"""A script is killed with SIGKILL, and another process goes on with what it submitted."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lithops
from lithops.errors import JobUnknown
from tests.integration.support import environment, eventually, within
from tests.testbed import Host

pytestmark = pytest.mark.integration

COUNT = 30
SCRIPT = """\
import pathlib, pickle, sys, time, uuid
import lithops

def square(x):
    pathlib.Path(f'/tmp/ran-{x}-{uuid.uuid4().hex}').touch()
    time.sleep(SECONDS)
    return x * x

fexec = lithops.FunctionExecutor(log_level=None)
futures = fexec.map(square, range(COUNT))
pathlib.Path('futures.pickle').write_bytes(pickle.dumps(futures))
print(futures[0].job_key, flush=True)
if READ:
    fexec.get_result()
    print('read', flush=True)
time.sleep(600)
"""


class Script:
    """The script, as a process that can be killed."""

    def __init__(self, config: dict[str, Any], home: Path, folder: Path, seconds: float, read: bool) -> None:
        folder.mkdir(exist_ok=True)
        text = SCRIPT.replace("SECONDS", str(seconds)).replace("COUNT", str(COUNT)).replace("READ", str(read))
        (folder / "script.py").write_text(text)
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "script.py"], cwd=folder, stdout=subprocess.PIPE, text=True,
            env=environment(home, LITHOPS_CONFIG=json.dumps(config)),
        )  # fmt: skip
        self.job_key = self.line()

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


def ran(host: Host) -> list[int]:
    """Which calls have begun on a host; one that began twice is there twice."""
    names = host.run("ls /tmp | grep ^ran- || true").stdout.split()
    return sorted(int(name.split("-")[1]) for name in names)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


def collected(job_key: str, config: dict[str, Any]) -> list[int]:
    with within(30):
        results: list[int] = lithops.attach(job_key, config=config).get_result(timeout=30)
    return results


SQUARES = [x * x for x in range(COUNT)]


def test_killed_as_soon_as_map_has_returned(host: Host, no_login: Path, folder: Path) -> None:
    config = host.lithops_config()
    script = Script(config, no_login, folder, seconds=0.02, read=False)
    script.kill()
    assert collected(script.job_key, config) == SQUARES
    assert ran(host) == list(range(COUNT))


def test_killed_in_the_middle(host: Host, no_login: Path, folder: Path) -> None:
    config = host.lithops_config()
    script = Script(config, no_login, folder, seconds=0.1, read=True)
    eventually(lambda: len(ran(host)) > COUNT // 3, "a third of the calls", 20)
    script.kill()
    assert collected(script.job_key, config) == SQUARES
    assert ran(host) == list(range(COUNT))


def test_killed_when_all_had_been_read(host: Host, no_login: Path, folder: Path) -> None:
    config = host.lithops_config()
    script = Script(config, no_login, folder, seconds=0, read=True)
    assert script.line() == "read"
    script.kill()
    assert collected(script.job_key, config) == SQUARES
    assert ran(host) == list(range(COUNT))


def test_without_a_configuration_that_of_the_script_counts(host: Host, no_login: Path, folder: Path) -> None:
    script = Script(host.lithops_config(), no_login, folder, seconds=0, read=False)
    script.kill()
    with within(30):
        assert lithops.attach(script.job_key).get_result(timeout=30) == SQUARES


def test_futures_that_the_script_pickled(host: Host, no_login: Path, folder: Path) -> None:
    script = Script(host.lithops_config(), no_login, folder, seconds=0.05, read=False)
    futures = pickle.loads((folder / "futures.pickle").read_bytes())
    script.kill()
    with within(30):
        assert [future.result(timeout=30) for future in futures] == SQUARES
    assert ran(host) == list(range(COUNT))


def test_killed_while_two_hosts_run_its_calls(
    two_hosts: tuple[Host, Host], bed: Any, no_login: Path, folder: Path
) -> None:
    config = bed.lithops_config(two_hosts)
    script = Script(config, no_login, folder, seconds=0.1, read=False)
    eventually(lambda: all(len(ran(host)) > 3 for host in two_hosts), "calls on both hosts", 20)
    script.kill()
    assert collected(script.job_key, config) == SQUARES
    assert sorted(ran(two_hosts[0]) + ran(two_hosts[1])) == list(range(COUNT))


def test_what_was_collected_is_forgotten_at_a_normal_end(host: Host, no_login: Path, folder: Path) -> None:
    config = host.lithops_config()
    script = Script(config, no_login, folder, seconds=0, read=False)
    script.kill()
    code = f"import lithops; print(sum(lithops.attach({script.job_key!r}).get_result()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(no_login), capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == str(sum(SQUARES)), done.stderr
    with pytest.raises(JobUnknown, match="collected and are forgotten"):
        lithops.attach(script.job_key)
    assert list((no_login / ".lithops" / "spool").iterdir()) == []
