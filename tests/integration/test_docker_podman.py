"""Podman in the place of Docker: its service answers as Docker's engine does, at the same socket."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

import pytest

from tests.integration import calling
from tests.integration.conftest import OpenExecutor
from tests.integration.functions import double
from tests.testbed import Testbed
from tests.testbed import engine as engines
from tests.testbed.fixtures import FreshHost
from tests.testbed.packages import open_mirror
from tests.testbed.python_image import local_python, python_image

pytestmark = pytest.mark.integration

_IMAGE = "localhost/lithops-test/python:1"
# A host of the testbed is a container itself: no overlay in overlay, and groups that systemd does not manage.
_SETTINGS = {
    "storage.conf": '[storage]\ndriver="vfs"\nrunroot="/run/podman"\ngraphroot="/var/lib/docker/podman"\n',
    "containers.conf": '[containers]\ndefault_sysctls=[]\n[engine]\ncgroup_manager="cgroupfs"\n',
    "policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}',
}
_SERVE = """\
systemd-run --quiet --unit=podman-api podman system service --time=0 unix:///run/docker.sock
for i in $(seq 200); do test -S /run/docker.sock && break; sleep 0.1; done
chgrp docker /run/docker.sock && chmod 660 /run/docker.sock
"""


def test_podman_serves_as_well(bed: Testbed, fresh_host: FreshHost, open_executor: OpenExecutor) -> None:
    host = fresh_host(release="engine")
    engine = engines.Engine(host)
    engine.start()
    engine.allow()
    host.run("systemctl stop docker.socket docker; rm -f /run/docker.sock", check=False)
    with open_mirror(bed, host):
        install = "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends podman crun"
        host.run(f"apt-get -qq update && {install}", timeout=240)
    for name, text in _SETTINGS.items():
        host.run(f"mkdir -p /etc/containers && printf %s {shlex.quote(text)} > /etc/containers/{name}")
    host.run(_SERVE)
    with tempfile.TemporaryDirectory() as work:
        archive = python_image(local_python(engines.LOCAL_PYTHON), Path(work))
    host.hardware.disk.hold("/root/image.tar").write_bytes(archive)
    host.run(f"podman import /root/image.tar {_IMAGE}", timeout=120)

    fexec = open_executor(host.lithops_config(standalone={"runtime": _IMAGE, "docker_env": {"A": "b"}}))
    told = fexec.call_async(calling.identity, ("/tmp/made",)).result(timeout=60)
    assert (told["uid"], int(told["capabilities"], 16)) == (host.uid("user"), 0)
    assert fexec.call_async(calling.environment, ("A",)).result(timeout=30)["zygote"] == "b"
    assert fexec.get_result(fexec.map(double, range(100))) == [2 * x for x in range(100)]
    assert len(host.run("podman ps --quiet").stdout.split()) == 1
    fexec.dismantle()
    assert host.run("podman ps --all --quiet").stdout == ""
