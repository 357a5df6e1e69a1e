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
from tests.testbed.packages import open_mirror

pytestmark = pytest.mark.integration

_PYTHON = "3.11"
"""The Python of the host's Debian, which is the base here: no registry can be reached."""
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
        host.run(f"apt-get -qq update && {_PLACE}/debian-base base:{_PYTHON}", timeout=120)
    yield host
    bed.remove(host)


def fetch(image: str, folder: Path, python: str = _PYTHON) -> None:
    """Fetch the wheels on this machine, as who builds an image does."""
    subprocess.run(
        [str(ROOT / "runtimes/build"), "--fetch", image, python],
        env={**os.environ, "WHEELS": str(folder), "PYTHON": sys.executable}, check=True, timeout=120,
    )  # fmt: skip


def build(host: Host, image: str, folder: Path) -> None:
    wheels = f"{_PLACE}/wheels-{image}"
    shutil.copytree(folder, host.hardware.disk.root / wheels.lstrip("/"), dirs_exist_ok=True)
    variables = f"BASE_IMAGE=base:{_PYTHON} DOCKER_BUILDKIT=0 WHEELS={wheels}"
    host.run(f"{variables} {_PLACE}/build {image} {_PYTHON}", timeout=180)


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


_SLOW = pytest.mark.skipif(os.environ.get("IMAGES") != "all", reason="takes a minute or two: IMAGES=all")


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        ("slim", ["cloudpickle"]),
        pytest.param(
            "science", ["cloudpickle", "matplotlib", "numpy", "pandas", "scipy", "sklearn"], marks=_SLOW
        ),
    ],
)
def test_a_pickled_function_runs_in_it(builder: Host, tmp_path: Path, image: str, modules: list[str]) -> None:
    fetch(image, tmp_path)
    build(builder, image, tmp_path)
    found = smoke(builder, f"lithops-{image}:{_PYTHON}", *modules)
    pinned = (ROOT / f"runtimes/{image}/requirements-{_PYTHON}.txt").read_text()
    names = {"sklearn": "scikit-learn"}
    for module, version in found["modules"].items():
        assert f"{names.get(module, module)}=={version} " in pinned
    assert found["python"].startswith(f"{_PYTHON}.")
    assert found["uid"] == 1000


@pytest.mark.skipif(
    f"{sys.version_info[0]}.{sys.version_info[1]}" != _PYTHON, reason=f"pickles for Python {_PYTHON} only"
)
def test_an_executor_runs_in_an_image_that_was_built_here(builder: Host, tmp_path: Path) -> None:
    fetch("slim", tmp_path)
    build(builder, "slim", tmp_path)
    engines.Engine(builder).allow("user")
    works(builder.lithops_config(runtime=f"lithops-slim:{_PYTHON}"), 60)


def test_a_module_that_an_image_lacks_fails_its_smoke_test(builder: Host) -> None:
    line = f"WORKER={_PLACE}/worker.zip {_PLACE}/smoke base:{_PYTHON} numpy"
    done = builder.run(line, timeout=120, check=False)
    assert done.returncode == 1
    assert "numpy" in done.stderr
