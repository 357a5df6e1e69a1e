"""Engines, registries and images that don't do what they should: the error has the cause, and what to do."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from lithops import FunctionExecutor
from lithops.dispatch import images
from lithops.errors import (
    DockerNotFound,
    DockerPermissionError,
    HostDiskFull,
    HostError,
    ImageArchitectureError,
    ImageError,
    ImageNotFound,
    ImagePythonError,
    RegistryUnauthorized,
    RegistryUnreachable,
)
from tests.integration.conftest import IMAGE, InImage
from tests.integration.functions import double
from tests.integration.support import eventually
from tests.testbed import Host
from tests.testbed.engine import LOCAL_PYTHON, PRIVATE, REGISTRY, USER, Engine

pytestmark = pytest.mark.integration

_NAME = "lithops-test/python:1"
_LARGE = "import os; open('/large', 'wb').write(os.urandom(60_000_000))"


def run_python(script: str) -> str:
    """The line of a Dockerfile that runs a script, in an image that has nothing but Python."""
    return f"RUN {json.dumps(['python3', '-c', script])}"


def fails(fexec: FunctionExecutor, error: type[HostError], *words: str) -> str:
    """A call fails with this very class, and with a message that has these words; returns it."""
    with pytest.raises(HostError) as raised:
        fexec.call_async(double, 21).result(timeout=30)
    message = str(raised.value)
    assert type(raised.value) is error, message
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    return message


@pytest.fixture(scope="module")
def registry(engine: Engine) -> Engine:
    """The engine, with an image in the registry for everybody and in the private one."""
    engine.start_registry()
    engine.start_private_registry()
    engine.push(IMAGE, f"{REGISTRY}/{_NAME}")
    engine.push(IMAGE, f"{PRIVATE}/{_NAME}", login=True)
    return engine


@pytest.fixture
def progress(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What users see."""
    with caplog.at_level(logging.INFO, "lithops"):
        logging.getLogger("lithops").addHandler(caplog.handler)
        yield caplog
        logging.getLogger("lithops").removeHandler(caplog.handler)


# ---- pulls ------------------------------------------------------------------------------------------


def test_a_missing_image_is_pulled_once(registry: Engine, in_image: InImage) -> None:
    """Two jobs want it at the same time."""
    name = f"{REGISTRY}/{_NAME}"
    registry.docker(f"rmi -f {name}", check=False)
    executors = [in_image(name, pull_runtime=True) for _ in range(3)]
    futures = [fexec.call_async(double, 21) for fexec in executors]
    assert [future.result(timeout=60) for future in futures] == [42] * 3
    digest = registry.docker(f"inspect --format '{{{{index .RepoDigests 0}}}}' {name}")
    assert {future.stats["runtime_digest"] for future in futures} == {digest}


def test_an_image_is_pulled_again_when_that_is_wanted(registry: Engine, in_image: InImage) -> None:
    name = f"{REGISTRY}/lithops-test/changing:1"
    registry.push(IMAGE, name)
    assert in_image(name).call_async(double, 21).result(timeout=30) == 42
    before = registry.docker(f"inspect --format '{{{{.Id}}}}' {name}")
    registry.make_image_of("lithops-test/changed", IMAGE, "ENV CHANGED=1")
    registry.docker(f"tag {name} lithops-test/kept")
    registry.push("lithops-test/changed", name)
    registry.docker(f"tag lithops-test/kept {name}")
    assert in_image(name).call_async(double, 21).result(timeout=30) == 42
    assert registry.docker(f"inspect --format '{{{{.Id}}}}' {name}") == before
    assert in_image(name, pull_runtime=True).call_async(double, 21).result(timeout=30) == 42
    assert registry.docker(f"inspect --format '{{{{.Id}}}}' {name}") != before


def test_an_image_by_its_digest_is_that_one_whatever_the_tag_is(registry: Engine, in_image: InImage) -> None:
    name = f"{REGISTRY}/lithops-test/by-digest"
    registry.push(IMAGE, f"{name}:1")
    registry.docker(f"pull -q {name}:1")
    digest = registry.docker(f"inspect --format '{{{{index .RepoDigests 0}}}}' {name}:1")
    registry.docker(f"rmi {name}:1")
    future = in_image(digest).call_async(double, 21)
    assert future.result(timeout=60) == 42
    assert future.stats["runtime_digest"] == digest


def test_a_private_image_needs_the_login_and_leaves_no_trace_of_it(
    registry: Engine, in_image: InImage
) -> None:
    name = f"{PRIVATE}/{_NAME}"
    fails(in_image(name), RegistryUnauthorized, PRIVATE, "docker_user")
    fails(in_image(name, docker_user=USER, docker_password="wrong"), RegistryUnauthorized, "docker_password")
    fexec = in_image(name, docker_user=USER, docker_password=registry.password)
    assert fexec.call_async(double, 21).result(timeout=30) == 42
    found = registry.host.run(
        f"grep -rlaF -e '{registry.password}' /home/user /root/.docker /var/lib/docker/containers /run /tmp "
        "/etc/docker 2>/dev/null; journalctl --no-pager | grep -F -e '" + registry.password + "'",
        check=False,
    )
    assert found.stdout == ""


def test_a_pull_shows_how_far_it_is(
    registry: Engine, in_image: InImage, progress: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This registry is so near that a pull is over before users would want to hear of it.
    monkeypatch.setattr(images, "_WAIT", 0.05)
    monkeypatch.setattr(images, "_SHOWN_EVERY", 0.1)
    name = f"{REGISTRY}/lithops-test/large:1"
    registry.make_image_of("lithops-test/large", IMAGE, run_python(_LARGE))
    registry.push("lithops-test/large", name)
    registry.docker("rmi lithops-test/large")
    assert in_image(name).call_async(double, 21).result(timeout=60) == 42
    told = [line for line in progress.messages if name in line]
    assert any(
        re.search(r"pulling the image: . of 2 layers, \d+\.\d of \d\d\.\d MB", line) for line in told
    ), told
    assert told[-1].endswith("is ready")


# ---- errors -----------------------------------------------------------------------------------------


def test_no_such_image(registry: Engine, in_image: InImage) -> None:
    fails(in_image(f"{REGISTRY}/lithops-test/nothing:1"), ImageNotFound, "lithops-test/nothing:1", "tag")


def test_a_registry_that_does_not_answer(engine: Engine, in_image: InImage) -> None:
    fails(
        in_image("127.0.0.1:5019/some/image:1"), RegistryUnreachable, "127.0.0.1:5019", "connection refused"
    )


def test_an_image_without_python(engine: Engine, in_image: InImage) -> None:
    engine.make_bare_image("lithops-test/bare")
    fails(in_image("lithops-test/bare"), ImagePythonError, "no Python", LOCAL_PYTHON)
    eventually(lambda: engine.containers() == [], "the container is gone")


def test_an_image_with_another_python(engine: Engine, in_image: InImage) -> None:
    engine.make_image_of("lithops-test/other", IMAGE, run_python(_RENAME))
    fails(in_image("lithops-test/other"), ImagePythonError, "Python 3.9.2", LOCAL_PYTHON)
    eventually(lambda: engine.containers() == [], "the container is gone")


_WRAPPER = """\
#!/bin/sh
exec /usr/local/bin/real -c "import sys; sys.version_info = (3, 9, 2)
$2" $3
"""
"""An interpreter that says that it is another version."""
_RENAME = f"""\
import os, sys
os.chdir("/usr/local/bin")
os.rename(os.path.realpath(sys.executable), "real")
os.unlink("python3")
open("python3", "w").write({_WRAPPER!r})
os.chmod("python3", 0o755)
"""


def test_an_image_for_other_machines(engine: Engine, in_image: InImage) -> None:
    engine.make_foreign_image("lithops-test/foreign", IMAGE)
    fails(in_image("lithops-test/foreign"), ImageArchitectureError, "arm64", "amd64")


def test_no_room_for_an_image(registry: Engine, in_image: InImage) -> None:
    name = f"{REGISTRY}/lithops-test/roomy:1"
    registry.make_image_of("lithops-test/roomy", IMAGE, run_python(_LARGE))
    registry.push("lithops-test/roomy", name)
    registry.docker("rmi lithops-test/roomy")
    with registry.little_room():
        fails(in_image(name), HostDiskFull, "roomy", "docker image prune")


def test_no_gpu(engine: Engine, in_image: InImage) -> None:
    fails(in_image(use_gpu=True), ImageError, "gives no GPU", "NVIDIA Container Toolkit", "use_gpu")
    eventually(lambda: engine.containers() == [], "the container is gone")


def test_no_engine(bed_host: Host) -> None:
    with FunctionExecutor(config=bed_host.lithops_config(standalone={"runtime": IMAGE})) as fexec:
        fails(fexec, DockerNotFound, "docker.sock", "install Docker")
    assert bed_host.processes(), "the agent goes on, for what needs no engine"


def test_a_login_that_may_not_use_the_engine(engine: Engine, in_image: InImage) -> None:
    in_image()
    config = engine.host.lithops_config(standalone={"runtime": IMAGE}, vm={"ssh_username": "user2"})
    with FunctionExecutor(config=config) as fexec:
        fails(fexec, DockerPermissionError, "docker.sock", "usermod -aG docker")


@pytest.fixture
def bed_host(host: Host) -> Host:
    """A host without an engine."""
    return host


def test_an_engine_that_does_not_run(engine: Engine, in_image: InImage) -> None:
    engine.host.run("systemctl stop docker.socket docker")
    try:
        fails(in_image(), DockerNotFound, "systemctl start docker")
    finally:
        engine.host.run("systemctl start docker.socket docker")
        engine.wait()
