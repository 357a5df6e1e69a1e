"""`lithops runtime`, `hello` and `test`, on agents in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.conftest import Lithops
from tests.unit.clusters import Cluster
from tests.unit.clusters import cluster as cluster


@pytest.fixture(autouse=True)
def configured(lithops: Lithops, cluster: Cluster) -> None:
    """Two hosts."""
    for name in ("a", "b"):
        cluster.add(name)
    Path(".lithops_config").write_text(
        yaml.safe_dump({"lithops": {"backend": "vm"}, "vm": {"hosts": ["a", "b"]}})
    )


def give(cluster: Cluster) -> None:
    cluster.agents[0].inventory = {
        "images": [{"name": "science:1", "id": "x", "size": 2_000_000, "made_at": 1}],
        "engine": "",
        "environments": [{"name": "ab" * 32, "size": 10, "used_at": 1.0, "packages": ["six==1", "idna==2"]}],
    }


def test_runtimes_are_listed(lithops: Lithops, cluster: Cluster) -> None:
    done = lithops("runtime", "list")
    assert (done.exit_code, done.stderr) == (3, "Error: 2 hosts: no image and no environment\n")
    give(cluster)
    done = lithops("runtime", "list")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[1][:6] == ["a", "image", "science:1", "2.0", "MB", "-"]
    assert rows[2][:5] == ["a", "environment", "ab" * 8, "10", "B"]
    assert "six==1 idna==2" in done.stdout
    assert [each["kind"] for each in json.loads(lithops("runtime", "list", "--json").stdout)] == [
        "image", "environment",
    ]  # fmt: skip


def test_runtimes_are_removed(lithops: Lithops, cluster: Cluster) -> None:
    give(cluster)
    done = lithops("runtime", "remove", "science:1")
    assert (done.exit_code, done.stdout) == (0, "removed from a\n")
    done = lithops("runtime", "remove", "science:1")
    assert (done.exit_code, "no host has an image or an environment" in done.stderr) == (3, True)


WRONG = [
    (("pull",), "the runtime is python3, no image"),
    (("pull", "python3"), "is an interpreter, and not the name of an image"),
    (("build", "x:1", "-f", "nowhere"), "there is no Dockerfile nowhere"),
    (("build", "-f", "nowhere"), "say what the image is to be called"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_is_asked_wrongly(arguments: tuple[str, ...], message: str, lithops: Lithops) -> None:
    done = lithops("runtime", *arguments)
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_there_is_nothing_to_build(lithops: Lithops) -> None:
    done = lithops("runtime", "build")
    assert done.exit_code == 1
    assert "standalone.requirements is not set" in done.stderr


def test_checks_are_listed_and_chosen_by_name(lithops: Lithops) -> None:
    listed = json.loads(lithops("test", "--list", "-t", "map", "--json").stdout)
    assert [each["name"] for each in listed] == ["map"]
    done = lithops("test", "-t", "mop")
    assert (done.exit_code, "there is no check 'mop'; there are call_async, map" in done.stderr) == (2, True)
