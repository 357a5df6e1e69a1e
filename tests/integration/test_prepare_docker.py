"""The role `docker`: Docker from the archive, started, usable by the login, and gone again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.playbooks import play, write_inventory
from tests.testbed import Testbed
from tests.testbed import engine as engines
from tests.testbed.fixtures import FreshHost
from tests.testbed.packages import open_mirror

pytestmark = pytest.mark.integration


def test_docker_is_installed_and_removed(bed: Testbed, fresh_host: FreshHost, tmp_path: Path) -> None:
    host = fresh_host(release="engine")
    engines.Engine(host).start()
    # What a host of the testbed needs so that an engine runs in it stays; Docker itself goes.
    host.run("systemctl stop docker.socket docker containerd; cp -a /etc/docker /root/settings", check=False)
    host.run("DEBIAN_FRONTEND=noninteractive apt-get -qq purge -y docker.io containerd runc", timeout=60)
    host.run("groupdel docker; rm -rf /etc/docker; cp -a /root/settings /etc/docker", check=False)
    assert host.run("command -v dockerd", check=False).returncode != 0
    packages = host.run("dpkg-query --show").stdout
    inventory = write_inventory(tmp_path, host, "admin")

    with open_mirror(bed, host):
        first = play("prepare.yml", inventory, tmp_path, lithops_docker=True)
        assert first.failed == 0, first.output
    assert host.ssh("docker info --format '{{.ServerVersion}}'", user="admin").stdout.strip()
    assert host.run("systemctl is-enabled docker").stdout.strip() == "enabled"
    again = play("prepare.yml", inventory, tmp_path, lithops_docker=True)
    assert (again.changed, again.failed) == (0, 0), again.output

    removed = play("remove.yml", inventory, tmp_path)
    assert removed.failed == 0, removed.output
    assert host.run("dpkg-query --show").stdout == packages
    assert "docker" not in host.run("id -nG admin").stdout.split()
    assert host.run("getent group docker", check=False).stdout == ""
    # The folder itself is mounted from outside here.
    assert host.run("ls -A /var/lib/docker").stdout == ""
    assert not host.run("pgrep -a 'dockerd|containerd'", check=False).stdout
