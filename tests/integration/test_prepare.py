"""Hosts that are prepared by the playbooks, and what is left of that afterwards."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lithops
from tests.integration import calling, functions
from tests.integration.conftest import OpenExecutor
from tests.integration.playbooks import PLACE, ROOT, Played, ad_hoc, play, write_inventory
from tests.integration.support import agent_state, environment, eventually, run_script, works
from tests.testbed import Host, Testbed
from tests.testbed.fixtures import FreshHost
from tests.testbed.packages import open_mirror

pytestmark = pytest.mark.integration

# Programs write there whatever the playbooks do.
_WANDERING = (
    r"/var/log/|/var/cache/|/var/lib/systemd/|/var/lib/apt/|/var/lib/dpkg/|/tmp/systemd-"
    r"|\.sudo_as_admin|\.pyc$|/__pycache__$"
)
_NEEDY = """\
d=$(mktemp -d) && mkdir -p $d/needy/DEBIAN && cat >$d/needy/DEBIAN/control <<'END'
Package: needy
Version: 1
Architecture: all
Maintainer: nobody
Description: needs a package that the host was prepared with
Depends: netbase
END
dpkg-deb --build $d/needy >/dev/null && dpkg -i $d/needy.deb; rm -r $d
"""


@pytest.fixture(scope="module")
def bare(bed: Testbed) -> Iterator[Host]:
    """The host of this file, on which nobody has done anything yet."""
    host = bed.host("prepared")
    yield host
    bed.remove(host)


@pytest.fixture
def prepared(bare: Host, tmp_path: Path) -> Host:
    """The host of this file, prepared; no agent runs on it."""
    bare.clean_home("user")
    if not exists(bare, PLACE):
        ready(bare, tmp_path)
    return bare


def ready(host: Host, tmp_path: Path, user: str = "admin", **variables: object) -> Played:
    played = play("prepare.yml", write_inventory(tmp_path, host, user), tmp_path, **variables)
    assert played.failed == 0, played.output
    return played


def bundles(host: Host, place: str = PLACE) -> set[str]:
    names = host.run(f"ls {place}").stdout.split()
    return {name for name in names if name.endswith(".zip") and not name.endswith("-worker.zip")}


def exists(host: Host, path: str) -> bool:
    return host.run(f"test -e {path}", check=False).returncode == 0


def program(host: Host, user: str = "user") -> str:
    """What the agent of a login was started from."""
    orders = json.loads(host.run(f"cat /home/{user}/.lithops/agent/fence.json").stdout)
    return str(orders["program"])


def files(host: Host) -> set[str]:
    """All files of a host but those that come and go by themselves."""
    found = host.run("find /etc /home /opt /root /srv /tmp /usr /var -xdev").stdout.splitlines()
    return {path for path in found if not re.search(_WANDERING, path)}


def other_release(folder: Path) -> tuple[Path, str]:
    """A newer lithops-standalone: its bundle, and the PYTHONPATH of scripts that run with it."""
    for package in ("coordinator", "agent"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    version = folder / "agent/lithops_agent/version.py"
    version.write_text(version.read_text() + '\n__version__ = "99.0"\n')
    python_path = f"{folder}/coordinator:{folder}/agent"
    made = subprocess.run(
        [sys.executable, "-m", "lithops.bootstrap", "--bundle", str(folder / "made")],
        env=environment(folder, PYTHONPATH=python_path), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return Path(json.loads(made.stdout)["bundle"]), python_path


def test_a_first_result_sends_nothing_and_a_second_run_changes_nothing(bare: Host, tmp_path: Path) -> None:
    prepared = bare
    assert ready(prepared, tmp_path).changed > 0
    (name,) = bundles(prepared)
    works(prepared.lithops_config())
    assert program(prepared) == f"{PLACE}/{name}"
    assert not exists(prepared, "/home/user/.lithops/agent/bundles")
    again = ready(prepared, tmp_path)
    assert again.changed == 0, again.output


def test_a_dismantle_leaves_what_the_host_was_prepared_with(
    prepared: Host, tmp_path: Path, open_executor: OpenExecutor
) -> None:
    before = bundles(prepared)
    fexec = open_executor(prepared.lithops_config())
    assert fexec.call_async(functions.double, 4).result(timeout=30) == 8
    fexec.dismantle()
    assert not exists(prepared, "/home/user/.lithops")
    assert bundles(prepared) == before


def test_the_bundle_alone_is_enough(prepared: Host) -> None:
    prepared.run(f"mkdir /root/aside && mv {PLACE}/*-worker.zip /root/aside")
    try:
        works(prepared.lithops_config())
    finally:
        prepared.run(f"mv /root/aside/* {PLACE} && rmdir /root/aside")
    assert program(prepared).startswith(PLACE)


def test_the_inventory_is_what_vm_hosts_takes(prepared: Host, tmp_path: Path, bed: Testbed) -> None:
    inventory = write_inventory(tmp_path, prepared, "admin")
    vm = {"hosts": str(inventory), "known_hosts": bed.known_hosts}
    with lithops.FunctionExecutor(config={"lithops": {"backend": "vm"}, "vm": vm}) as fexec:
        assert fexec.call_async(functions.double, 4).result(timeout=30) == 8
        assert program(prepared, "admin").startswith(PLACE)
        fexec.dismantle()


def test_an_upgrade_leaves_a_running_job_alone(
    prepared: Host, tmp_path: Path, home: Path, open_executor: OpenExecutor
) -> None:
    (old,) = bundles(prepared)
    newer, python_path = other_release(tmp_path / "newer")
    fexec = open_executor(prepared.lithops_config())
    waiting = fexec.call_async(calling.until_there, "/home/user/go-on")
    eventually(lambda: waiting.running, "the call runs", 30)
    agent = agent_state(prepared)

    ready(prepared, tmp_path, lithops_bundle=newer)
    assert bundles(prepared) == {old, newer.name}
    assert agent_state(prepared) == agent
    prepared.run("touch /home/user/go-on")
    waiting.result(timeout=30)

    # The agent is idle: whoever comes with the new release has it replaced, and nothing is sent for that.
    text = f"""\
import lithops
with lithops.FunctionExecutor(config={prepared.lithops_config()!r}) as fexec:
    print(fexec.call_async(lambda x: lithops.__version__, 0).result(timeout=30))
"""
    done = run_script(text, tmp_path, home, PYTHONPATH=python_path)
    assert (done.returncode, done.stdout) == (0, "99.0\n"), done.stderr
    assert program(prepared) == f"{PLACE}/{newer.name}"
    assert ready(prepared, tmp_path, lithops_bundle=newer).changed == 1
    assert bundles(prepared) == {newer.name}


def test_removal_leaves_nothing(
    bed: Testbed, fresh_host: FreshHost, tmp_path: Path, open_executor: OpenExecutor
) -> None:
    host = fresh_host()
    before, packages = files(host), host.run("dpkg-query --show").stdout
    with open_mirror(bed, host):
        ready(host, tmp_path, lithops_linger=True, lithops_python_packages=["python3", "netbase"])
    assert exists(host, "/etc/protocols")
    assert exists(host, "/var/lib/systemd/linger/admin")
    for user in ("user", "admin"):
        config = host.lithops_config(ssh_username=user, auto_dismantle=False)
        fexec = open_executor(config)
        assert fexec.call_async(functions.double, 4).result(timeout=30) == 8
    pids = [int(agent_state(host, user)["pid"]) for user in ("user", "admin")]
    assert files(host) > before

    inventory = write_inventory(tmp_path, host, "admin")
    host.run(_NEEDY)
    kept = play("remove.yml", inventory, tmp_path)
    assert kept.failed == 1
    assert "needed by others by now: needy" in kept.output
    host.run("dpkg --purge needy")
    played = play("remove.yml", inventory, tmp_path)
    assert played.failed == 0, played.output
    assert not [pid for pid in pids if exists(host, f"/proc/{pid}")]
    assert not exists(host, "/var/lib/systemd/linger/admin")
    assert host.run("dpkg-query --show").stdout == packages
    assert files(host) ^ before == set()
    again = play("remove.yml", inventory, tmp_path)
    assert (again.changed, again.failed) == (0, 0), again.output


def test_a_login_without_root_prepares_for_itself(host: Host, tmp_path: Path) -> None:
    before = files(host)
    first = ready(host, tmp_path, "user", lithops_scope="login")
    assert first.changed > 0
    assert ready(host, tmp_path, "user", lithops_scope="login").changed == 0
    place = "/home/user/.local/lib/lithops-agent"
    works(host.lithops_config())
    assert program(host) == f"{place}/{bundles(host, place).pop()}"
    played = play("remove.yml", write_inventory(tmp_path, host, "user"), tmp_path, lithops_scope="login")
    assert played.failed == 0, played.output
    assert files(host) - before == set()


def test_another_distribution_is_refused(fresh_host: FreshHost, tmp_path: Path) -> None:
    host = fresh_host(release="bullseye")
    before = files(host)
    played = play("prepare.yml", write_inventory(tmp_path, host, "admin"), tmp_path)
    assert (played.changed, played.failed) == (0, 1)
    said = " ".join(played.output.split())
    assert f"{host.name} is debian 11" in said
    assert "debian 12, debian 13, ubuntu 22.04, ubuntu 24.04" in said
    assert {path for path in files(host) - before if "/.ansible" not in path} == set()


def test_debian_13(fresh_host: FreshHost, tmp_path: Path) -> None:
    host = fresh_host(release="trixie")
    ready(host, tmp_path, "root")
    assert len(bundles(host)) == 1


def test_without_the_package_it_says_what_to_do(prepared: Host, tmp_path: Path) -> None:
    venv = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    played = play(
        "prepare.yml",
        write_inventory(tmp_path, prepared, "admin"),
        tmp_path,
        lithops_python=venv / "bin/python",
    )
    assert played.failed == 1
    assert "No module named" in played.output
    assert "Set lithops_python" in " ".join(played.output.split())


@pytest.mark.parametrize(
    ("release", "is_supported"),
    [("22.04", True), ("24.04", True), ("20.04", False), ("24.10", False)],
)
def test_releases_of_ubuntu(bare: Host, tmp_path: Path, release: str, is_supported: bool) -> None:
    """By their names alone: no host of the testbed is Ubuntu. No other role looks at the distribution."""
    bare.run("cp /etc/os-release /root/os-release")
    bare.run("rm /etc/os-release; cat > /etc/os-release", input=f'ID=ubuntu\nVERSION_ID="{release}"\n')
    try:
        done = ad_hoc("include_role", "name=supported", write_inventory(tmp_path, bare, "user"), tmp_path)
    finally:
        bare.run("rm /etc/os-release; mv /root/os-release /etc/os-release")
    assert (done.returncode == 0) == is_supported, done.stdout + done.stderr
    assert (
        f"{bare.name} is ubuntu {release}, and hosts are" in " ".join(done.stdout.split())
    ) != is_supported
