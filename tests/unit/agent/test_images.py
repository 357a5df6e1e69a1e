"""Images: what an engine's errors mean, pulls that are shared, logins that go with one pull, and labels."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import platform
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from lithops_agent.protocol import ContainerOptions, ProtocolError, RuntimeFailure
from lithops_agent.runtimes.docker import ContainerZygote, Place, container_request
from lithops_agent.runtimes.engine import Engine, EngineError, classify
from lithops_agent.runtimes.images import Images, Progress, Puller, split_name
from lithops_agent.runtimes.removal import LABEL, label_of, remove_containers
from tests.unit.agent.engines import FakeEngine

OPTIONS = ContainerOptions(name="reg:5000/some/image:1", python="3.11")
INSPECT = ("GET", f"/images/{OPTIONS.name}/json")
PULL = ("POST", "/images/create")
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
FOUND = {
    "Id": "sha256:1d",
    "RepoDigests": ["other@sha256:00", "reg:5000/some/image@sha256:d1"],
    "Architecture": MACHINE,
}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    fake = FakeEngine(tmp_path)
    yield fake
    fake.close()


class Started:
    """The zygote of a container that has started, or has failed to."""

    def __init__(self, error: EngineError | None = None) -> None:
        self.settled = threading.Event()
        self.settled.set()
        self.error = error
        self.python = "3.11.2"


class Desk:
    """Images of a fake engine, with what they started."""

    def __init__(self, fake: FakeEngine, zygote: Started | None = None) -> None:
        self.started: list[ContainerOptions] = []
        self.occupied: list[str] = []
        self._zygote = zygote or Started()
        self.images = Images(self._start, self._occupied, fake.engine)

    def _start(self, options: ContainerOptions) -> ContainerZygote:
        self.started.append(options)
        return cast(ContainerZygote, self._zygote)

    @contextlib.contextmanager
    def _occupied(self, request: str) -> Iterator[None]:
        self.occupied.append(request)
        yield
        self.occupied.remove(request)

    def prepare(
        self, request: str = "r", pull: bool = False, wait: float = 10, auth: Any = None
    ) -> dict[str, Any]:
        return self.images.prepare(request, OPTIONS, pull, auth, wait)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('Get "http://r:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', "registry-unreachable"),
        ("Get https://r/v2/: dial tcp: lookup r: no such host", "registry-unreachable"),
        ('Head "http://r/v2/py/manifests/1": no basic auth credentials', "unauthorized"),
        ("unauthorized: authentication required", "unauthorized"),
        ("manifest for r/py:2 not found: manifest unknown: manifest unknown", "no-such-image"),
        (
            "pull access denied for x, repository does not exist or may require 'docker login'",
            "no-such-image",
        ),
        ("No such image: x:latest", "no-such-image"),
        ("invalid reference format: repository name must be lowercase", "no-such-image"),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", "no-space"),
        ("no matching manifest for linux/amd64 in the manifest list entries", "architecture"),
        ('exec: "python3": executable file not found in $PATH: unknown', "no-python"),
        ("cannot start: daemon is shutting down", "no-engine"),
        ("could not select device driver with capabilities: [[gpu]]", "engine"),
    ],
)
def test_what_an_error_means(message: str, kind: str) -> None:
    error = classify(500, message)
    assert error.kind == kind
    assert message in str(error)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("python", ("python", "latest")),
        ("python:3.11", ("python", "3.11")),
        ("reg:5000/a/b", ("reg:5000/a/b", "latest")),
        ("reg:5000/a/b:1", ("reg:5000/a/b", "1")),
        ("a/b@sha256:12", ("a/b", "sha256:12")),
        ("reg:5000/a:1@sha256:12", ("reg:5000/a", "sha256:12")),
    ],
)
def test_a_name_and_its_tag(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as raised:
        Engine(str(tmp_path / "none")).get("/version")
    assert raised.value.kind == RuntimeFailure.NO_ENGINE


# ---- pulls ------------------------------------------------------------------------------------------


def test_an_image_that_is_there_is_not_pulled(fake: FakeEngine) -> None:
    fake.answers[INSPECT] = 200, FOUND
    desk = Desk(fake)
    expected = {"image": "sha256:1d", "digest": "reg:5000/some/image@sha256:d1", "python": "3.11.2"}
    assert desk.prepare() == {"ready": True, **expected}
    assert [options.image for options in desk.started] == ["sha256:1d"], "the job is tied to this very image"
    assert [request[:2] for request in fake.requests] == [INSPECT]


def test_jobs_that_want_an_image_at_the_same_time_share_a_pull(fake: FakeEngine) -> None:
    go_on = threading.Event()
    fake.answers[INSPECT] = 200, FOUND
    layer = {"id": "l1", "status": "Downloading", "progressDetail": {"current": 5, "total": 20}}
    fake.answers[PULL] = [layer, go_on, {"id": "l1", "status": "Pull complete"}]
    desk = Desk(fake)
    assert not any(desk.prepare(f"r{number}", pull=True, wait=0)["ready"] for number in range(5))
    assert not desk.prepare("r0", pull=True, wait=0)["ready"], "asked again, it is not begun again"
    go_on.set()
    assert all(desk.prepare(f"r{number}", pull=True)["ready"] for number in range(5))
    assert [request[0] for request in fake.requests].count("POST") == 1


def test_how_far_a_pull_is() -> None:
    progress = Progress()
    for event in (
        {"id": "1", "status": "Pulling from some/image"},
        {"id": "a", "status": "Pulling fs layer"},
        {"id": "b", "status": "Already exists"},
        {"id": "a", "status": "Downloading", "progressDetail": {"current": 5, "total": 20}},
    ):
        progress.heard(event)
    assert progress.to_json() == {"layers": [1, 2], "bytes": [5, 20]}
    progress.heard({"id": "a", "status": "Download complete"})
    progress.heard({"id": "a", "status": "Pull complete"})
    assert progress.to_json() == {"layers": [2, 2], "bytes": [20, 20]}


def test_a_login_goes_with_the_pull_and_nowhere_else(fake: FakeEngine) -> None:
    fake.answers[INSPECT] = 200, FOUND
    fake.answers[PULL] = [{"status": "done"}]
    login = {"serveraddress": "reg:5000", "username": "me", "password": "sesame"}
    assert Desk(fake).prepare(pull=True, auth=login)["ready"]
    ((_, path, headers, body),) = [request for request in fake.requests if request[0] == "POST"]
    assert json.loads(base64.urlsafe_b64decode(headers["X-Registry-Auth"])) == login
    assert "sesame" not in path
    assert b"sesame" not in body


def test_a_failed_pull_is_told_and_tried_again_when_asked_again(fake: FakeEngine) -> None:
    fake.answers[INSPECT] = 200, FOUND
    fake.answers[PULL] = [{"error": "no space left on device", "errorDetail": {}}]
    desk = Desk(fake)
    with pytest.raises(EngineError) as raised:
        desk.prepare(pull=True)
    assert raised.value.kind == RuntimeFailure.NO_SPACE
    assert desk.started == []
    fake.answers[PULL] = [{"status": "done"}]
    assert desk.prepare(pull=True)["ready"]


def test_a_host_is_occupied_while_it_pulls(fake: FakeEngine) -> None:
    go_on = threading.Event()
    fake.answers[INSPECT] = 200, FOUND
    fake.answers[PULL] = [go_on]
    desk = Desk(fake)
    desk.prepare(pull=True, wait=0.05)
    assert desk.occupied == ["r"]
    go_on.set()
    assert desk.prepare(pull=True)["ready"]
    assert desk.occupied == []


def test_an_image_for_other_machines_is_not_started(fake: FakeEngine) -> None:
    fake.answers[INSPECT] = 200, {**FOUND, "Architecture": "s390x"}
    desk = Desk(fake)
    with pytest.raises(EngineError, match="s390x") as raised:
        desk.prepare()
    assert raised.value.kind == RuntimeFailure.ARCHITECTURE
    assert desk.started == []


def test_a_container_that_does_not_start_is_told(fake: FakeEngine) -> None:
    fake.answers[INSPECT] = 200, FOUND
    desk = Desk(fake, Started(EngineError(RuntimeFailure.OTHER_PYTHON, "it has Python 3.9.2")))
    with pytest.raises(EngineError, match=r"3\.9\.2"):
        desk.prepare()


def test_a_pull_that_its_registry_leaves_waiting_ends(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lithops_agent.runtimes.images._SILENCE", 0.05)
    fake.answers[PULL] = [threading.Event()]
    with pytest.raises(EngineError) as raised:
        Puller(fake.engine).pull("image", None)
    assert raised.value.kind == RuntimeFailure.REGISTRY_UNREACHABLE


# ---- containers -------------------------------------------------------------------------------------


def test_limits_are_of_all_workers_together(tmp_path: Path) -> None:
    options = ContainerOptions(name="i", python="3.11", memory=64_000_000, gpu=True, volumes=["/a:/a"])
    made = container_request(options, Place(tmp_path, "/w.zip", 3), tmp_path / "c", "python3.11")
    host = made["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (192_000_000, 192_000_000)
    assert "NanoCpus" not in host
    assert host["DeviceRequests"][0]["Capabilities"] == [["gpu"]]
    assert host["Binds"] == ["/a:/a"]
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert made["User"] == f"{os.getuid()}:{os.getgid()}"


def test_a_job_that_says_how_many_work_has_memory_and_cpus_for_these(tmp_path: Path) -> None:
    options = ContainerOptions(name="i", python="3.11", memory=64_000_000, cpus=1)
    host = container_request(options, Place(tmp_path, "/w.zip", 3), tmp_path / "c", "python3.11")[
        "HostConfig"
    ]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64_000_000, 64_000_000, 10**9)


def test_variables_are_not_for_the_engine_to_keep(tmp_path: Path) -> None:
    options = ContainerOptions(name="i", python="3.11", env={"TOKEN": "sesame"})
    made = container_request(options, Place(tmp_path, "/w.zip", 3), tmp_path / "c", "python3.11")
    assert "sesame" not in json.dumps(made)
    assert "sesame" not in repr(options)


def test_without_limits_there_are_none(tmp_path: Path) -> None:
    made = container_request(OPTIONS, Place(tmp_path, "/w.zip", 3), tmp_path / "c", "python3.11")
    assert not {"Memory", "NanoCpus", "DeviceRequests"} & set(made["HostConfig"])


def test_containers_of_an_agent_are_found_by_their_label_and_removed(fake: FakeEngine) -> None:
    fake.answers["DELETE", "/containers/c0"] = 204, None
    listed = [(200, [{"Id": "c0"}]), (200, [])]

    class Listing(dict[tuple[str, str], Any]):
        def __getitem__(self, key: tuple[str, str]) -> Any:
            return listed.pop(0) if key == ("GET", "/containers/json") else super().__getitem__(key)

    fake.answers = Listing(fake.answers)
    remove_containers("/home/me/.lithops/agent", fake.engine)
    assert [request[0] for request in fake.requests] == ["GET", "DELETE", "GET"]
    assert f"{os.getuid()}%3A%2Fhome%2Fme" in fake.requests[0][1]
    assert LABEL in fake.requests[0][1]
    assert label_of("/h") == f"{os.getuid()}:/h"


def test_an_engine_that_is_away_keeps_nobody_from_ending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remove_containers("/home/me", Engine(str(tmp_path / "none")))
    assert "containers may be left" in capsys.readouterr().err


def test_options_come_back() -> None:
    options = ContainerOptions(
        name="i", python="3.11", volumes=("/a:/a",), env={"A": "b"}, memory=1, gpu=True
    )
    read = ContainerOptions.from_json(json.loads(json.dumps({**options.to_json(), "new": 1})))
    assert read.key == options.key


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"name": "i"},
        {"name": 1, "python": "3"},
        {"name": "i", "python": "3", "volumes": [1]},
        {"name": "i", "python": "3", "env": {"A": 1}},
    ],
)
def test_options_of_wrong_types_are_refused(wrong: object) -> None:
    with pytest.raises(ProtocolError):
        ContainerOptions.from_json(wrong)
