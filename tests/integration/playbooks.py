"""Runs the playbooks of the project as a user does: ansible-playbook with a plain inventory."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.integration.support import environment
from tests.testbed import Host

ROOT = Path(__file__).resolve().parents[2]
PLACE = "/usr/local/lib/lithops-agent"
_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


def _environment(home: Path) -> dict[str, str]:
    sockets = _folder_of_sockets(home).name
    return environment(home, ANSIBLE_NOCOLOR="1", LC_ALL="C.UTF-8", ANSIBLE_SSH_CONTROL_PATH_DIR=sockets)


@functools.cache
def _folder_of_sockets(home: Path) -> tempfile.TemporaryDirectory[str]:
    """For the connections of one home; the path of a socket can't be as long as those of tests are."""
    return tempfile.TemporaryDirectory(prefix="ssh-")


@dataclass(frozen=True)
class Played:
    """What a playbook did on the one host of its inventory."""

    output: str
    changed: int
    failed: int


def write_inventory(folder: Path, host: Host, user: str) -> Path:
    """The file that Ansible and ``vm.hosts`` both take."""
    path = folder / f"{host.name}-{user}.ini"
    known = f"-o UserKnownHostsFile={host.credentials.known_hosts} -o IdentitiesOnly=yes"
    path.write_text(
        f"[workers]\n{host.name} ansible_host={host.address}\n\n[workers:vars]\nansible_user={user}\n"
        f"ansible_ssh_private_key_file={host.key_filename}\n"
        f"ansible_ssh_common_args='{known}'\n"
    )
    return path


def ad_hoc(module: str, arguments: str, inventory: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run one module on the hosts of an inventory."""
    program = Path(sys.executable).with_name("ansible")
    return subprocess.run(
        [str(program), "all", "-i", str(inventory), "-m", module, "-a", arguments],
        cwd=ROOT / "ansible", env=_environment(home),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def play(name: str, inventory: Path, home: Path, **variables: object) -> Played:
    """Run a playbook with ``home`` as the user's home here; it may fail on the host, but must not break."""
    program = Path(sys.executable).with_name("ansible-playbook")
    extra = json.dumps(variables, default=str)
    done = subprocess.run(
        [str(program), "-i", str(inventory), name, "-e", extra],
        cwd=ROOT / "ansible", env=_environment(home),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    recap = _RECAP.findall(done.stdout)
    assert len(recap) == 1, done.stdout + done.stderr
    _, _, changed, unreachable, failed = recap[0]
    assert unreachable == "0", done.stdout
    return Played(done.stdout, int(changed), int(failed))
