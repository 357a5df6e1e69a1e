"""The conversation with a host about its environment."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lithops.backends.machine import Link
from lithops.environment import prepare
from lithops.environment.cache import LockCache
from lithops.environment.lock import Lock, Wheel
from lithops.environment.prepare import Environments
from lithops.environment.requirements import read_requirements
from lithops.errors import (
    EnvironmentBuildFailed,
    EnvironmentFailed,
    HostDiskFull,
    HostError,
    RequirementsUnavailable,
)

TOLD = {"python": "3.11.2", "implementation": "cpython", "machine": "x86_64", "libc": ["glibc", "2.36"]}
READY = {"state": "ready", "python": "/env/bin/python"}


class FakeClient:
    """A host that answers, in order, what a test says; ``asked`` and ``sent`` have what it was told."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.sent: list[str] = []

    def platform(self, python: str) -> dict[str, Any]:
        return TOLD

    def environment(self, wanted: Mapping[str, Any], wait: float) -> dict[str, Any]:
        self.asked.append(dict(wanted))
        return self.answers.pop(0)

    def send_blob(self, sha256: str, path: Path) -> None:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        self.sent.append(path.name)


@pytest.fixture
def wheels(tmp_path: Path) -> tuple[Wheel, Wheel]:
    """A package and uv, as files of this machine."""
    made = []
    for name in ("six-1-py3-none-any.whl", "uv-1-py3-none-any.whl"):
        path = tmp_path / name
        path.write_bytes(name.encode())
        data = path.read_bytes()
        made.append(Wheel(name, hashlib.sha256(data).hexdigest(), len(data), path.as_uri()))
    return made[0], made[1]


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch, wheels: tuple[Wheel, Wheel]) -> list[str]:
    """What was resolved, for which platform."""
    asked: list[str] = []

    class FakeResolver:
        def __init__(self, *args: Any) -> None:
            pass

        def lock(self, requirements: Any, platform: Any) -> Lock:
            asked.append(f"{' '.join(requirements.lines)} for {platform}")
            return Lock((wheels[0],), wheels[1], time.time())

    monkeypatch.setattr(prepare, "Resolver", FakeResolver)
    return asked


def environments(tmp_path: Path, way: str = "auto") -> Environments:
    return Environments(read_requirements(["six"]), way, tmp_path / "cache")


def run(made: Environments, client: FakeClient, over: bool = False) -> Link:
    link = Link(
        host="a", agent_id="i", token="t", runtime="/usr/bin/python3", opener=lambda timeout: None,  # type: ignore[arg-type, return-value]
        close=lambda: None,
    )  # fmt: skip
    return made.prepare(link, client, lambda: over)


def test_an_environment_that_is_there_takes_one_question(tmp_path: Path, resolved: list[str]) -> None:
    client = FakeClient(READY)
    made = environments(tmp_path)
    assert run(made, client).runtime == "/env/bin/python"
    assert client.asked[0]["fetch"] is True
    assert client.asked[0]["wheels"][0]["url"] == "", "a host has no use for a path of this machine"
    assert client.sent == []
    # The name is the same for the next link, and what was resolved serves it, too.
    again = FakeClient(READY)
    run(environments(tmp_path), again)
    assert again.asked[0]["environment"] == client.asked[0]["environment"]
    assert resolved == ["six for Python 3.11.2 on x86_64 with glibc 2.36"]


def test_only_what_is_missing_is_sent(
    tmp_path: Path, resolved: list[str], wheels: tuple[Wheel, Wheel]
) -> None:
    missing = {"state": "missing", "missing": [wheels[0].sha256], "why": {}}
    client = FakeClient(missing, {"state": "building", "progress": "builds"}, READY)
    run(environments(tmp_path), client)
    assert client.sent == ["six-1-py3-none-any.whl"]
    assert [asked["fetch"] for asked in client.asked] == [True, False, False]


def test_a_host_that_is_to_fetch_is_sent_nothing(
    tmp_path: Path, resolved: list[str], wheels: tuple[Wheel, Wheel]
) -> None:
    sha256 = wheels[0].sha256
    client = FakeClient({"state": "missing", "missing": [sha256], "why": {sha256: "six: no route"}})
    with pytest.raises(EnvironmentFailed, match="six: no route") as caught:
        run(environments(tmp_path, "host"), client)
    assert client.sent == []
    assert (caught.value.host, caught.value.phase) == ("a", "environment")


def test_a_host_that_may_not_fetch_is_told_so(tmp_path: Path, resolved: list[str]) -> None:
    client = FakeClient(READY)
    run(environments(tmp_path, "here"), client)
    assert client.asked[0]["fetch"] is False


def test_a_host_that_loses_everything_is_given_up(
    tmp_path: Path, resolved: list[str], wheels: tuple[Wheel, Wheel]
) -> None:
    missing = {"state": "missing", "missing": [wheels[0].sha256]}
    with pytest.raises(EnvironmentFailed, match="again and again"):
        run(environments(tmp_path), FakeClient(*[missing] * 9))


@pytest.mark.parametrize(("kind", "error"), [("build", EnvironmentBuildFailed), ("no-space", HostDiskFull)])
def test_what_failed_there_is_an_error_of_its_class(
    tmp_path: Path, resolved: list[str], kind: str, error: type[HostError]
) -> None:
    client = FakeClient({"state": "failed", "error": "uv said so", "kind": kind})
    with pytest.raises(error, match=r"host a: .*uv said so") as caught:
        run(environments(tmp_path), client)
    assert type(caught.value) is error


def test_a_session_that_was_closed_waits_no_longer(tmp_path: Path, resolved: list[str]) -> None:
    with pytest.raises(EnvironmentFailed, match="closed"):
        run(environments(tmp_path), FakeClient({"state": "building", "progress": ""}), over=True)


def test_what_is_not_to_be_had_names_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        def __init__(self, *args: Any) -> None:
            pass

        def lock(self, *args: Any) -> Lock:
            raise RequirementsUnavailable("no such thing", phase="environment")

    monkeypatch.setattr(prepare, "Resolver", Refuses)
    made = environments(tmp_path)
    for _ in range(2):
        with pytest.raises(RequirementsUnavailable, match="host a: no such thing"):
            run(made, FakeClient())


def test_an_old_lock_serves_while_the_registry_does_not(
    tmp_path: Path, resolved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(prepare.logger, "warning", lambda text, *words: told.append(text % words))
    run(environments(tmp_path), FakeClient(READY))

    class Silent:
        def __init__(self, *args: Any) -> None:
            pass

        def lock(self, *args: Any) -> Lock:
            raise EnvironmentFailed("the registry is silent", phase="environment")

    monkeypatch.setattr(prepare, "Resolver", Silent)
    monkeypatch.setattr(LockCache.find, "__kwdefaults__", {"max_age": 0.0})
    assert run(environments(tmp_path), FakeClient(READY)).runtime == "/env/bin/python"
    assert "the registry is silent" in "".join(told)
