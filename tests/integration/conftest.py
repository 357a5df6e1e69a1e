"""Fixtures of the integration tests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops import FunctionExecutor
from tests.integration.support import end_local_agent
from tests.testbed import Host, Testbed
from tests.testbed.engine import LOCAL_PYTHON, Engine

OpenExecutor = Callable[..., FunctionExecutor]
InImage = Callable[..., FunctionExecutor]
IMAGE = f"lithops-test/python:{LOCAL_PYTHON}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home folder for scripts; the agent that they start on this machine is ended."""
    folder = tmp_path / "home"
    folder.mkdir()
    yield folder
    end_local_agent(folder)


@pytest.fixture
def no_login(home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """This process, too, has an empty home: no keys, no ~/.ssh/config, no ssh agent."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(request.config.cache.mkdir("bundles")))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


@pytest.fixture(scope="module")
def warm(bed: Testbed) -> Iterator[Host]:
    """A host of one file of tests, whose agent goes on from test to test."""
    host = bed.host("warm")
    yield host
    bed.remove(host)


@pytest.fixture
def open_executor() -> Iterator[OpenExecutor]:
    """Makes executors that are closed at the end, whatever has become of their calls."""
    made: list[FunctionExecutor] = []

    def make(config: dict[str, Any], **options: Any) -> FunctionExecutor:
        made.append(FunctionExecutor(config=config, **options))
        return made[-1]

    yield make
    for fexec in made:
        for future in fexec.futures:
            if not future.done:
                future.cancel()
        fexec.__exit__()


@pytest.fixture
def fexec(warm: Host, open_executor: OpenExecutor) -> FunctionExecutor:
    """An executor on the warm host."""
    return open_executor(warm.lithops_config())


@pytest.fixture(scope="module")
def this_machine(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Any]]:
    """A configuration of this machine; its agent, in a home folder of its own, goes on from test to test."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(request.config.cache.mkdir("bundles")))
        patch.setenv("HOME", str(folder))
        yield {"lithops": {"backend": "localhost"}, "localhost": {"worker_processes": 2}}
    end_local_agent(folder)


@pytest.fixture(params=["host", "localhost"])
def anywhere(request: pytest.FixtureRequest, open_executor: OpenExecutor) -> FunctionExecutor:
    """An executor on the warm host, and one on this machine."""
    if request.param == "localhost":
        return open_executor(request.getfixturevalue("this_machine"))
    return open_executor(request.getfixturevalue("warm").lithops_config())


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What the library logs at WARNING or above during the test."""
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logging.getLogger("lithops").addHandler(handler)
    yield told
    logging.getLogger("lithops").removeHandler(handler)


@pytest.fixture(scope="session")
def engine(bed: Testbed) -> Iterator[Engine]:
    """A host with an engine that the login may use, and an image with the Python of these tests."""
    host = bed.host("engine", release="engine")
    found = Engine(host)
    found.start()
    found.allow()
    found.make_python_image(IMAGE)
    yield found
    bed.remove(host)


@pytest.fixture
def in_image(engine: Engine, open_executor: OpenExecutor) -> InImage:
    """Makes executors whose calls run in an image; no agent and no container is there before."""
    engine.host.clean_home()
    engine.remove_containers()

    def make(runtime: str = IMAGE, vm: dict[str, Any] | None = None, **standalone: Any) -> FunctionExecutor:
        config = engine.host.lithops_config(standalone={"runtime": runtime, **standalone}, vm=vm or {})
        return open_executor(config)

    return make
