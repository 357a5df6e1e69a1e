"""The images in ``runtimes/``: built by their script with a real engine, and tried with a real worker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops.bootstrap.__main__ import put_bundle
from tests.integration.playbooks import ROOT
from tests.integration.support import works
from tests.testbed import Host, Testbed
from tests.testbed import engine as engines
from tests.testbed.machine import debian_mirror
from tests.testbed.packages import open_mirror

pytestmark = pytest.mark.integration

_OF_DEBIAN = "3.11"
"""The Python of the host's Debian, of which a base is made here: no registry can be reached."""
_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
_OF_NEWER_DEBIAN = ("3.13", "3.14")
_PLACE = "/root/runtimes"


@pytest.fixture(scope="module")
def builder(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with an engine, the folder of the images, a base, and the archive of the worker."""
    host = bed.host("builder", release="engine")
    engines.Engine(host).start()
    there = host.hardware.disk.root / _PLACE.lstrip("/")
    shutil.copytree(ROOT / "runtimes", there)
    shutil.copy(put_bundle(tmp_path_factory.mktemp("bundle"))["worker"], there / "worker.zip")
    with open_mirror(bed, host):
        host.run(f"apt-get -qq update && {_PLACE}/debian-base base:debian", timeout=120)
    yield host
    bed.remove(host)


def fetch(image: str, folder: Path, python: str) -> None:
    """Fetch the wheels on this machine, as who builds an image does."""
    subprocess.run(
        [str(ROOT / "runtimes/build"), "--fetch", image, python],
        env={**os.environ, "WHEELS": str(folder), "PYTHON": sys.executable}, check=True, timeout=120,
    )  # fmt: skip


def build(host: Host, image: str, folder: Path, python: str, base: str) -> None:
    wheels = f"{_PLACE}/wheels-{image}-{python}"
    shutil.copytree(folder, host.hardware.disk.root / wheels.lstrip("/"), dirs_exist_ok=True)
    variables = f"BASE_IMAGE={base} DOCKER_BUILDKIT=0 WHEELS={wheels}"
    host.run(f"{variables} {_PLACE}/build {image} {python}", timeout=300)


def smoke(host: Host, image: str, *modules: str) -> dict[str, Any]:
    line = f"WORKER={_PLACE}/worker.zip {_PLACE}/smoke {image} {' '.join(modules)}"
    found: dict[str, Any] = json.loads(host.run(line, timeout=120).stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("python", ["3.10", "3.14"])
def test_wheels_of_another_python_are_fetched(tmp_path: Path, python: str) -> None:
    fetch("slim", tmp_path, python)
    assert [path.name.partition("-")[0] for path in tmp_path.glob("*.whl")] == ["pip"]
    assert [path.name.partition("-")[0] for path in tmp_path.glob("packages/*")] == ["cloudpickle"]
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.whl"))
    fetch("slim", tmp_path, python)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.whl")) == before


def build_and_try(builder: Host, folder: Path, image: str, python: str, base: str) -> None:
    """What was pinned is in it, and a function finds it."""
    fetch(image, folder, python)
    build(builder, image, folder, python, base)
    modules = ["cloudpickle", "matplotlib", "numpy", "pandas", "scipy", "sklearn"]
    found = smoke(builder, f"lithops-{image}:{python}", *(modules if image == "science" else modules[:1]))
    pinned = (ROOT / f"runtimes/{image}/requirements-{python}.txt").read_text()
    names = {"sklearn": "scikit-learn"}
    for module, version in found["modules"].items():
        assert f"{names.get(module, module)}=={version} " in pinned
    assert found["python"].startswith(f"{python}.")
    assert found["uid"] == 1000


def make_base(bed: Testbed, builder: Host, python: str) -> str:
    """A base with this Python: made of one that this machine has, or of the packages of a newer Debian."""
    name = f"base:{python}"
    try:
        engines.Engine(builder).make_python_image(name, python)
    except LookupError as exc:
        if python not in _OF_NEWER_DEBIAN:
            pytest.skip(str(exc))
        variables = f"SUITE=forky PACKAGE=python{python} MIRROR={debian_mirror().url}"
        # What is being tested at Debian is signed for a week, and a mirror may be older than that.
        builder.run("echo 'Acquire::Check-Valid-Until \"false\";' > /etc/apt/apt.conf.d/91mirror")
        with open_mirror(bed, builder):
            builder.run(f"{variables} {_PLACE}/debian-base {name}", timeout=240)
    return name


@pytest.mark.parametrize("python", _PYTHONS)
def test_a_slim_image_of_each_python(bed: Testbed, builder: Host, tmp_path: Path, python: str) -> None:
    build_and_try(builder, tmp_path, "slim", python, make_base(bed, builder, python))


def test_a_slim_image_on_a_base_of_debian(builder: Host, tmp_path: Path) -> None:
    build_and_try(builder, tmp_path, "slim", _OF_DEBIAN, "base:debian")


def test_an_executor_runs_in_an_image_that_was_built_here(builder: Host, tmp_path: Path) -> None:
    python = engines.LOCAL_PYTHON
    engines.Engine(builder).make_python_image(f"base:{python}")
    fetch("slim", tmp_path, python)
    build(builder, "slim", tmp_path, python, f"base:{python}")
    engines.Engine(builder).allow("user")
    works(builder.lithops_config(runtime=f"lithops-slim:{python}"), 60)


@pytest.mark.skipif(os.environ.get("IMAGES") != "all", reason="takes a minute or two each: IMAGES=all")
@pytest.mark.parametrize("python", _PYTHONS)
def test_a_science_image_of_each_python(bed: Testbed, builder: Host, tmp_path: Path, python: str) -> None:
    build_and_try(builder, tmp_path, "science", python, make_base(bed, builder, python))


def test_a_module_that_an_image_lacks_fails_its_smoke_test(builder: Host) -> None:
    line = f"WORKER={_PLACE}/worker.zip {_PLACE}/smoke base:debian numpy"
    done = builder.run(line, timeout=120, check=False)
    assert done.returncode == 1
    assert "numpy" in done.stderr
