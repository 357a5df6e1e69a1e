"""What functions can run in on a host: listed, and removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_agent.environments.manager import Environments, InUse
from lithops_agent.protocol import RuntimeUnusable
from lithops_agent.runtimes.inventory import images, remove_image
from tests.unit.agent.engines import FakeEngine

NAME = "ab" * 32


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    made = FakeEngine(tmp_path)
    yield made
    made.close()


def test_images_by_each_of_their_names(fake: FakeEngine) -> None:
    plain = {"Id": "sha256:1", "Size": 5, "Created": 7}
    listed = [
        {**plain, "RepoTags": ["a:1", "a:2"]},
        {**plain, "RepoTags": ["<none>:<none>"]},
        {**plain, "RepoTags": None},
    ]
    fake.answers["GET", "/images/json"] = (200, listed)
    found = {"id": "sha256:1", "size": 5, "made_at": 7}
    assert images(fake.engine) == [{"name": "a:1", **found}, {"name": "a:2", **found}]


def test_images_are_removed(fake: FakeEngine) -> None:
    fake.answers["DELETE", "/images/registry:5000/a@sha256:1"] = (200, [])
    fake.answers["DELETE", "/images/gone"] = (404, {"message": "No such image: gone"})
    fake.answers["DELETE", "/images/busy"] = (409, {"message": "conflict: container 1 is using it"})
    assert remove_image(fake.engine, "registry:5000/a@sha256:1")
    assert not remove_image(fake.engine, "gone")
    with pytest.raises(RuntimeUnusable, match="container 1 is using it"):
        remove_image(fake.engine, "busy")


def environments(folder: Path, runtimes: list[str]) -> Environments:
    return Environments(folder, lambda sha: folder / sha, lambda: runtimes)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The folder of an environment that is whole, beside one that is not."""
    for name in (NAME, "half"):
        folder = tmp_path / "built" / name
        (folder / "bin").mkdir(parents=True)
        python = folder / "bin" / "python"
        python.write_text("#!/bin/sh\n")
        python.chmod(0o755)
        for package in ("six-1.17.0", "typing_extensions-4.1"):
            (folder / "lib/python3.11/site-packages" / f"{package}.dist-info").mkdir(parents=True)
    (tmp_path / "built" / NAME / "ready").touch()
    os.utime(tmp_path / "built" / NAME / "ready", (50, 50))
    return tmp_path / "built" / NAME


def test_whole_environments_are_listed_with_their_packages(tmp_path: Path, built: Path) -> None:
    (found,) = environments(tmp_path, []).listed()
    assert found["name"] == NAME
    assert found["packages"] == ["six==1.17.0", "typing_extensions==4.1"]
    assert found["used_at"] == 50
    assert found["size"] > 0
    assert environments(tmp_path / "nowhere", []).listed() == []


def test_an_environment_is_removed_unless_a_job_uses_it(tmp_path: Path, built: Path) -> None:
    with pytest.raises(InUse, match="a job uses the environment"):
        environments(tmp_path, [str(built / "bin" / "python")]).remove(NAME)
    assert environments(tmp_path, []).remove(NAME)
    assert not built.exists()
    assert not environments(tmp_path, []).remove(NAME)
    assert not environments(tmp_path, []).remove("half")
