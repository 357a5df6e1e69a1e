"""Environments that are built for a job, on hosts without internet and with a registry of their own."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops.environment.uv import uv_version
from lithops.errors import (
    EnvironmentFailed,
    HostDiskFull,
    PackageIndexUnreachable,
    RequirementsUnavailable,
)
from tests.integration.conftest import OpenExecutor
from tests.integration.package_functions import mean, own_and_six, where_six_is
from tests.integration.support import eventually, run_script, within
from tests.testbed import Host, Testbed
from tests.testbed.fixtures import FreshHost

pytestmark = pytest.mark.integration

PATIENCE = 60.0
BUILT = "/home/user/.lithops/agent/environments/built"
SIX = "six==1.17.0"


@pytest.fixture(autouse=True)
def own_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was fetched stays from one run of the tests to the next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(request.config.cache.mkdir("bundles")))


@pytest.fixture
def steps(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told of environments while a test runs."""
    told: list[str] = []
    monkeypatch.setattr(
        "lithops.environment.prepare.logger.info", lambda text, *values: told.append(text % values)
    )
    return told


def needs(host: Host, requirements: Any, **standalone: Any) -> dict[str, Any]:
    return host.lithops_config(standalone={"requirements": requirements, **standalone})


def answer(fexec: FunctionExecutor, function: Any, *arguments: Any) -> Any:
    return fexec.call_async(function, arguments).result(timeout=PATIENCE)


# ---- this machine sends -----------------------------------------------------------------------------


def test_a_host_without_internet_gets_packages_from_here(
    warm: Host, open_executor: OpenExecutor, steps: list[str]
) -> None:
    version, python = answer(open_executor(needs(warm, [SIX])), where_six_is)
    assert version == "1.17.0"
    assert python.startswith(BUILT)
    assert any("sending" in step for step in steps)
    # A later job finds it there, and is sent nothing.
    del steps[:]
    assert answer(open_executor(needs(warm, [SIX])), where_six_is) == (version, python)
    assert steps == []
    # Another environment is sent only what is not there yet: neither this package nor uv.
    assert answer(open_executor(needs(warm, [SIX, "idna==3.10"])), where_six_is)[1] != python
    assert any("sending 1 packages" in step for step in steps), steps


def test_compiled_packages_are_those_of_the_hosts_platform(warm: Host, open_executor: OpenExecutor) -> None:
    assert answer(open_executor(needs(warm, ["numpy==2.*"])), mean, 5) == 2.0


def test_many_executors_at_once_build_it_once(warm: Host, open_executor: OpenExecutor) -> None:
    fexecs = [open_executor(needs(warm, [SIX, "toolz==1.0.0"])) for _ in range(3)]
    futures = [fexec.call_async(where_six_is, ()) for fexec in fexecs]
    assert len({future.result(timeout=PATIENCE)[1] for future in futures}) == 1


def test_a_file_of_requirements_and_a_project_of_ones_own(
    warm: Host, open_executor: OpenExecutor, tmp_path: Path
) -> None:
    project = tmp_path / "mine"
    (project / "src" / "mine_only").mkdir(parents=True)
    (project / "pyproject.toml").write_text(
        '[project]\nname = "mine-only"\nversion = "3"\ndependencies = ["six"]\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    module = project / "src" / "mine_only" / "__init__.py"
    module.write_text("value = 'first'\n")
    (tmp_path / "requirements.txt").write_text(f"-c constraints.txt\n{project.as_uri()}\n")
    (tmp_path / "constraints.txt").write_text("six==1.16.0\n")

    config = needs(warm, str(tmp_path / "requirements.txt"))
    assert answer(open_executor(config), own_and_six) == ("first", "1.16.0")
    module.write_text("value = 'second'\n")
    assert answer(open_executor(config), own_and_six) == ("second", "1.16.0")


def test_what_the_script_imports_of_what_is_installed_here(warm: Host, tmp_path: Path, home: Path) -> None:
    config = repr(needs(warm, "local-imports"))
    script = (
        "import lithops\n"
        "def f(x):\n    import sortedcontainers\n    return list(sortedcontainers.SortedList(x))\n"
        f"fexec = lithops.FunctionExecutor(config={config})\n"
        "print(fexec.call_async(f, ([2, 1],)).result())\n"
    )
    done = run_script(script, tmp_path, home, timeout=PATIENCE)
    assert done.stdout.strip() == "[1, 2]", done.stderr


def test_this_machine_has_environments_too(this_machine: dict[str, Any], open_executor: OpenExecutor) -> None:
    config = {**this_machine, "standalone": {"requirements": [SIX]}}
    version, python = answer(open_executor(config), where_six_is)
    assert version == "1.17.0"
    assert "/environments/built/" in python


def test_it_stays_for_the_next_agent_when_the_agent_is_kept(
    fresh_host: FreshHost, open_executor: OpenExecutor, steps: list[str]
) -> None:
    host = fresh_host()
    fexec = open_executor(needs(host, [SIX], keep_agent=True))
    python = answer(fexec, where_six_is)[1]
    fexec.dismantle()
    assert any("sending" in step for step in steps)
    del steps[:]
    fexec = open_executor(needs(host, [SIX]))
    assert answer(fexec, where_six_is)[1] == python
    assert steps == []
    fexec.dismantle()
    assert host.run("ls -A /home/user/.lithops", check=False).returncode != 0


# ---- the host fetches -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """A registry that hosts can reach, with six and uv: its URL, and the paths that were asked for."""
    folder = tmp_path_factory.mktemp("registry")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, SIX, f"uv=={uv_version()}"], check=True)
    for file in list(folder.glob("*.whl")):
        page = folder / "simple" / file.name.split("-")[0] / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="/{file.name}">{file.name}</a>')
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            if self.client_address[0] != bed.bridge.gateway:
                asked.append(self.path)

    handler = functools.partial(Handler, directory=str(folder))
    server = ThreadingHTTPServer((str(bed.bridge.gateway), 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://{bed.bridge.gateway}:{server.server_address[1]}/simple", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("way", ["auto", "host"])
def test_a_host_fetches_what_it_can_reach(
    fresh_host: FreshHost, open_executor: OpenExecutor, registry: tuple[str, list[str]], way: str,
    monkeypatch: pytest.MonkeyPatch, steps: list[str],
) -> None:  # fmt: skip
    url, asked = registry
    del asked[:]
    monkeypatch.setenv("UV_DEFAULT_INDEX", url)
    fexec = open_executor(needs(fresh_host(), [SIX], requirements_from=way))
    assert answer(fexec, where_six_is)[0] == "1.17.0"
    assert len([path for path in asked if path.endswith(".whl")]) == 2
    assert not any("sending" in step for step in steps), steps


def test_an_index_that_only_the_host_reaches(
    fresh_host: FreshHost, open_executor: OpenExecutor, registry: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch, steps: list[str], tmp_path: Path,
) -> None:  # fmt: skip
    url, asked = registry
    del asked[:]
    host, parts = fresh_host(), urllib.parse.urlsplit(url)
    host.run(f"echo '{parts.hostname} only-there.test' >> /etc/hosts")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://only-there.test:{parts.port}/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    fexec = open_executor(needs(host, [SIX]))
    assert answer(fexec, where_six_is)[0] == "1.17.0"
    assert len([path for path in asked if path.startswith("/simple/")]) >= 2
    assert any("by way of this host" in step for step in steps)
    assert not any("sending" in step for step in steps), steps


def test_a_host_that_may_not_fetch_is_sent_all(
    fresh_host: FreshHost, open_executor: OpenExecutor, registry: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    url, asked = registry
    del asked[:]
    monkeypatch.setenv("UV_DEFAULT_INDEX", url)
    fexec = open_executor(needs(fresh_host(), [SIX], requirements_from="here"))
    assert answer(fexec, where_six_is)[0] == "1.17.0"
    assert asked == []


# ---- errors -----------------------------------------------------------------------------------------


def fails(config: dict[str, Any], open_executor: OpenExecutor, error: type[Exception], *words: str) -> str:
    """A call fails with this very class, and with a message that has these words."""
    future = open_executor(config).call_async(where_six_is, ())
    with within(PATIENCE), pytest.raises(error) as raised:
        future.result(timeout=PATIENCE)
    assert type(raised.value) is error
    assert not [word for word in words if word not in str(raised.value)], str(raised.value)
    return str(raised.value)


def test_a_distribution_without_a_wheel_for_the_host_is_named(
    warm: Host, open_executor: OpenExecutor
) -> None:
    words = ("pywin32", "Python 3.", "glibc", "no wheels with a matching platform tag")
    fails(needs(warm, ["pywin32==306"]), open_executor, RequirementsUnavailable, *words)


def test_a_distribution_that_does_not_exist_is_named(warm: Host, open_executor: OpenExecutor) -> None:
    config = needs(warm, ["lithops-standalone-does-not-exist==1"])
    fails(config, open_executor, RequirementsUnavailable, "lithops-standalone-does-not-exist", "not found")


def test_a_host_that_can_not_fetch_says_so_when_it_has_to(
    fresh_host: FreshHost, open_executor: OpenExecutor
) -> None:
    config = needs(fresh_host(), [SIX], requirements_from="host")
    fails(config, open_executor, EnvironmentFailed, "six-1.17.0", "can't be reached", "requirements_from")


def test_a_registry_that_is_not_there_is_told_with_what_uv_says(
    warm: Host, open_executor: OpenExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://me:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    words = ("127.0.0.1:9", "by way of the host", "UV_DEFAULT_INDEX")
    message = fails(needs(warm, ["six==1.15.0"]), open_executor, PackageIndexUnreachable, *words)
    assert "secret" not in message


def test_a_disk_without_room_is_told(fresh_host: FreshHost, open_executor: OpenExecutor) -> None:
    config = needs(fresh_host(disk="64M"), ["numpy==2.*"])
    fails(config, open_executor, HostDiskFull, "MB are free", "free some space")


def test_a_module_that_is_missing_comes_with_what_would_have_brought_it(
    warm: Host, open_executor: OpenExecutor
) -> None:
    future = open_executor(warm.lithops_config()).call_async(mean, 3)
    with pytest.raises(ModuleNotFoundError, match="numpy") as raised:
        future.result(timeout=PATIENCE)
    shown = "".join(getattr(raised.value, "__notes__", [str(raised.value.__cause__)]))
    assert "standalone.requirements: [numpy==" in shown


def test_the_agent_that_was_killed_while_it_built_builds_it_anew(
    fresh_host: FreshHost, open_executor: OpenExecutor
) -> None:
    host = fresh_host()
    future = open_executor(needs(host, ["numpy==2.*"])).call_async(mean, 5)
    eventually(lambda: host.run(f"ls {BUILT}/*/bin/python", check=False).returncode == 0, "a beginning", 30)
    host.run("pkill -KILL -u user -f 'agent-.*zip serve'", check=False)
    assert future.result(timeout=PATIENCE) == 2.0
