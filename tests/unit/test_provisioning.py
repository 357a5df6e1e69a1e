"""Runtimes on hosts: listed, built and removed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from lithops.errors import ConfigError
from lithops.provisioning import Runtime, build_environment, inventory, pack_context, pull, remove
from tests.unit.clusters import Cluster
from tests.unit.clusters import cluster as cluster

ENVIRONMENT = "abcdef01" * 8
INVENTORY = {
    "images": [
        {"name": "a:latest", "id": "1", "size": 5, "made_at": 1},
        {"name": "b:1", "id": "2", "size": 6, "made_at": 1},
    ],
    "engine": "",
    "environments": [{"name": ENVIRONMENT, "size": 7, "used_at": 9.0, "packages": ["six==1"]}],
}


def test_what_a_host_has(cluster: Cluster) -> None:
    cluster.add("h").inventory = dict(INVENTORY)
    found = inventory(cluster.machines["h"])
    assert [(each.kind, each.name, each.size, each.used_at) for each in found.runtimes] == [
        ("image", "a:latest", 5, None), ("image", "b:1", 6, None), ("environment", ENVIRONMENT, 7, 9.0),
    ]  # fmt: skip
    assert found.runtimes[2] == Runtime(
        host="h", kind="environment", name=ENVIRONMENT, size=7, used_at=9.0, packages=["six==1"]
    )


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("a", ["b:1", ENVIRONMENT]),
        ("b:1", ["a:latest", ENVIRONMENT]),
        ("b", ["a:latest", "b:1", ENVIRONMENT]),
        (ENVIRONMENT[:8], ["a:latest", "b:1"]),
        (ENVIRONMENT[:7], ["a:latest", "b:1", ENVIRONMENT]),
    ],
)
def test_what_is_removed(cluster: Cluster, name: str, left: list[str]) -> None:
    agent = cluster.add("h")
    agent.inventory = dict(INVENTORY)
    assert remove(cluster.machines["h"], name) == 3 - len(left)
    assert [each["name"] for each in (*agent.inventory["images"], *agent.inventory["environments"])] == left


def test_what_needs_another_configuration(cluster: Cluster) -> None:
    cluster.add("h")
    with pytest.raises(ConfigError, match="is an interpreter: there is nothing to pull"):
        pull(cluster.machines["h"], cluster.settings("h"))
    with pytest.raises(ConfigError, match="requirements is not set"):
        build_environment(cluster.machines["h"], cluster.settings("h"))


def test_what_an_image_is_built_from(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    (folder / ".git").mkdir(parents=True)
    (folder / "data").write_text("data")
    (folder / "Dockerfile").write_text("FROM a")
    (tmp_path / "Other").write_text("FROM b")

    def names(dockerfile: Path) -> set[str]:
        with tarfile.open(fileobj=io.BytesIO(pack_context(folder, dockerfile))) as archive:
            return set(archive.getnames())

    assert names(folder / "Dockerfile") == {".", "./data", "./Dockerfile"}
    assert names(tmp_path / "Other") == {".", "./data", "./Dockerfile", "Other"}
