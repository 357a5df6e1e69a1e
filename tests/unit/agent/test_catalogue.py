"""What functions can run in on a host, as one list, and the host that stays while more is made ready."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops_agent.catalogue import Catalogue
from lithops_agent.environments.manager import Environments
from lithops_agent.environments.request import Wanted, Wheel
from lithops_agent.protocol import ContainerOptions, RuntimeFailure
from lithops_agent.runtimes.engine import EngineError
from tests.unit.agent.engines import FakeEngine

NAME = "ab" * 32
WANTED = Wanted(NAME, "/nowhere/python3", (), Wheel("uv.whl", "cd" * 32, 1, ""), False)
OPTIONS = ContainerOptions(name="image", python="3.11")


class Host:
    """Notes what it is in use for; refuses when it is ``ending``."""

    def __init__(self, folder: Path) -> None:
        self.uses: list[tuple[str, float | None]] = []
        self.now: list[str] = []
        """What it is in use for at the moment."""
        self.ending = False
        self.environments = Environments(folder, lambda sha: folder / sha, list)
        self.catalogue = Catalogue(self.environments, self.start, self)

    def check(self) -> None:
        if self.ending:
            raise RuntimeError("it is ending")

    @contextlib.contextmanager
    def in_use(self, name: str, timeout: float | None = None) -> Iterator[None]:
        self.check()
        self.uses.append((name, timeout))
        self.now.append(name)
        try:
            yield
        finally:
            self.now.remove(name)

    def start(self, options: ContainerOptions) -> Any:
        raise EngineError(RuntimeFailure.NO_PYTHON, f"started {options.name} while {self.now}")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "environments")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    made = FakeEngine(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.path}")
    yield made
    made.close()


def build(folder: Path) -> None:
    """An environment that is there already."""
    folder.joinpath("bin").mkdir(parents=True)
    folder.joinpath("bin", "python").symlink_to("/usr/bin/env")
    folder.joinpath("ready").touch()


def test_an_environment_that_is_here_needs_nobody_to_wait(host: Host, tmp_path: Path) -> None:
    build(tmp_path / "environments" / "built" / NAME)
    host.ending = True
    assert host.catalogue.environment(WANTED, 0.0) == host.environments.ready(NAME)
    assert host.uses == []


def test_while_an_environment_is_asked_for_the_host_is_in_use(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(wanted: Wanted, wait: float) -> dict[str, Any]:
        return {"wanted": wanted.name, "wait": wait, "while": list(host.now)}

    monkeypatch.setattr(host.environments, "ask", ask)
    use = f"environment {NAME}"
    assert host.catalogue.environment(WANTED, 3.0) == {"wanted": NAME, "wait": 3.0, "while": [use]}
    assert (host.uses, host.now) == ([(use, None)], [])


def test_while_an_image_is_made_ready_the_host_is_in_use_for_an_hour_at_most(
    host: Host, fake: FakeEngine
) -> None:
    fake.answers["GET", "/images/image/json"] = (200, {"Id": "sha256:1"})
    with pytest.raises(EngineError, match=r"started image while \['image r1'\]"):
        host.catalogue.image("r1", OPTIONS, False, None, 10.0)
    assert (host.uses, host.now) == ([("image r1", 3600.0)], [])


def test_a_host_that_ends_makes_nothing_ready(host: Host, fake: FakeEngine) -> None:
    host.ending = True
    with pytest.raises(RuntimeError, match="it is ending"):
        host.catalogue.image("r1", OPTIONS, False, None, 10.0)
    with pytest.raises(RuntimeError, match="it is ending"):
        host.catalogue.environment(WANTED, 10.0)
    assert fake.requests == []


def test_all_that_is_here_is_listed(host: Host, fake: FakeEngine, tmp_path: Path) -> None:
    build(tmp_path / "environments" / "built" / NAME)
    fake.answers["GET", "/images/json"] = (200, [{"Id": "1", "Size": 5, "Created": 7, "RepoTags": ["a:1"]}])
    listed = host.catalogue.listed()
    assert [image["name"] for image in listed["images"]] == ["a:1"]
    assert [environment["name"] for environment in listed["environments"]] == [NAME]
    assert listed["engine"] == ""


def test_environments_are_listed_also_without_an_engine(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    build(tmp_path / "environments" / "built" / NAME)
    listed = host.catalogue.listed()
    assert (listed["images"], len(listed["environments"])) == ([], 1)
    assert listed["engine"]


def test_each_kind_is_removed_where_it_is(host: Host, fake: FakeEngine, tmp_path: Path) -> None:
    build(tmp_path / "environments" / "built" / NAME)
    fake.answers["DELETE", "/images/image"] = (200, [])
    assert host.catalogue.remove("image", "image")
    assert host.catalogue.remove("environment", NAME)
    assert not host.catalogue.remove("environment", NAME)
    assert host.environments.listed() == []
