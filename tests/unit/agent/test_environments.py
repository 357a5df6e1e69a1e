"""The environments of an agent: what is asked for, read; what is kept; and how one is built."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lithops.environment.uv import uv_program
from lithops_agent.environments import keeping, manager
from lithops_agent.environments.build import BuildFailed, build, commands
from lithops_agent.environments.keeping import Kept, to_remove
from lithops_agent.environments.manager import Environments
from lithops_agent.environments.request import Wanted, Wheel, read_wanted
from lithops_agent.protocol import ProtocolError
from tests.unit.agent import messages

PATIENCE = 60.0
DAY = 24 * 3600.0


def make_wheel(folder: Path, name: str = "tiny", body: str = "value = 42\n") -> Path:
    """A wheel of one module, as the standard has it."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", body)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def wheel_of(path: Path, url: str = "") -> Wheel:
    data = path.read_bytes()
    return Wheel(path.name, hashlib.sha256(data).hexdigest(), len(data), url)


class Home:
    """The environments of an agent in a folder, and what is asked of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs"
        self.blobs.mkdir(parents=True)
        self.runtimes: list[str] = []
        self.environments = Environments(
            folder / "environments", lambda sha256: self.blobs / sha256, lambda: self.runtimes
        )

    def wanted(self, *wheels: Wheel, uv: Wheel, fetch: bool = False, name: str = "ab" * 32) -> Wanted:
        return Wanted(name, sys.executable, wheels, uv, fetch)

    def send(self, path: Path) -> None:
        (self.blobs / wheel_of(path).sha256).write_bytes(path.read_bytes())


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A host without a uv of its own."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    return Home(tmp_path / "home")


@pytest.fixture
def uv(tmp_path: Path) -> Path:
    """A wheel that has uv as the real one has it."""
    path = tmp_path / "uv-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(uv_program(), "uv-1.0.data/scripts/uv")
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that a server on the loopback gives out, and its URL."""
    folder = tmp_path / "registry"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


# ---- what is asked for ------------------------------------------------------------------------------


def test_the_fixed_request_is_read() -> None:
    wanted = read_wanted(messages.message("environment")["request"])
    assert (wanted.name, wanted.python, wanted.fetch) == ("ab" * 32, "/usr/bin/python3.11", False)
    assert wanted.wheels[0].file == "six-1.17.0-py2.py3-none-any.whl"
    assert wanted.uv.sha256 == "ef" * 32


@pytest.mark.parametrize(
    "change",
    [
        {"environment": "../../etc"},
        {"environment": None},
        {"python": ""},
        {"wheels": None},
        {"wheels": ["six"]},
        {"uv": None},
        {"uv": {"file": "../uv.whl", "sha256": "ef" * 32, "size": 1, "url": ""}},
        {"uv": {"file": "uv.whl", "sha256": "ef", "size": 1, "url": ""}},
        {"uv": {"file": "uv.whl", "sha256": "ef" * 32, "size": -1, "url": ""}},
    ],
)
def test_what_could_lead_elsewhere_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        read_wanted({**messages.message("environment")["request"], **change})


# ---- what is kept -----------------------------------------------------------------------------------


def test_what_was_not_used_for_long_goes() -> None:
    now = 100 * DAY
    kept = [Kept("old", 1, now - 31 * DAY), Kept("new", 1, now - 29 * DAY)]
    assert to_remove(kept, now, ()) == ["old"]
    assert to_remove(kept, now, {"old"}) == []


def test_beyond_a_size_the_oldest_go() -> None:
    now = 100 * DAY
    kept = [
        Kept("b", 4, now - 2 * DAY),
        Kept("a", 4, now - DAY),
        Kept("d", 4, now - 4 * DAY),
        Kept("c", 4, now - 3 * DAY),
    ]
    assert to_remove(kept, now, (), max_bytes=8) == ["d", "c"]
    assert to_remove(kept, now, {"d"}, max_bytes=8) == ["c"]


def test_what_was_used_a_moment_ago_stays_whatever_its_size() -> None:
    now = 100 * DAY
    assert to_remove([Kept("a", 1 << 50, now - keeping.IN_HAND + 1)], now, ()) == []
    assert to_remove([Kept("a", 1 << 50, now - keeping.IN_HAND - 1)], now, ()) == ["a"]


# ---- building ---------------------------------------------------------------------------------------


def test_the_commands_fetch_nothing() -> None:
    make, fill = commands("/uv", "/usr/bin/python3", Path("/e"), [Path("/w/a.whl")])
    assert make == ["/uv", "venv", "--python", "/usr/bin/python3", "/e"]
    assert {"--no-index", "--no-deps", "/w/a.whl"} <= set(fill)
    assert commands("/uv", "/usr/bin/python3", Path("/e"), []) == [make]


def test_what_uv_says_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="no-such-python"):
        build(uv_program(), "/no-such-python", tmp_path / "e", [], tmp_path / "cache")


def test_an_environment_is_built_of_what_was_sent(at: Home, uv: Path, tmp_path: Path) -> None:
    tiny = make_wheel(tmp_path)
    wanted = at.wanted(wheel_of(tiny), uv=wheel_of(uv))
    lacking = {wheel_of(tiny).sha256, wheel_of(uv).sha256}
    assert set(at.environments.ask(wanted, 0)["missing"]) == lacking
    at.send(tiny)
    assert at.environments.ask(wanted, 0)["missing"] == [wheel_of(uv).sha256]
    at.send(uv)
    answer = at.environments.ask(wanted, PATIENCE)
    assert answer["state"] == "ready"
    done = subprocess.run(
        [answer["python"], "-c", "import tiny, sys; print(tiny.value, sys.prefix)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["42", str(Path(answer["python"]).parents[1])]
    assert at.environments.ready(wanted.name) == answer
    assert not list(at.blobs.iterdir()), "what was taken is not there twice"


def test_a_wheel_that_is_here_is_not_asked_for_again(at: Home, uv: Path, tmp_path: Path) -> None:
    tiny = make_wheel(tmp_path)
    at.send(tiny)
    at.send(uv)
    assert at.environments.ask(at.wanted(wheel_of(tiny), uv=wheel_of(uv)), PATIENCE)["state"] == "ready"
    more = make_wheel(tmp_path, "more")
    other = at.wanted(wheel_of(tiny), wheel_of(more), uv=wheel_of(uv), name="cd" * 32)
    assert at.environments.ask(other, 0)["missing"] == [wheel_of(more).sha256]


def test_what_was_not_finished_is_built_anew(at: Home, uv: Path, tmp_path: Path) -> None:
    tiny = make_wheel(tmp_path)
    wanted = at.wanted(wheel_of(tiny), uv=wheel_of(uv))
    half = at.folder / "environments" / "built" / wanted.name / "bin"
    half.mkdir(parents=True)
    (half / "python").symlink_to(sys.executable)
    assert at.environments.ready(wanted.name) is None
    at.send(tiny)
    at.send(uv)
    assert at.environments.ask(wanted, PATIENCE)["state"] == "ready"


def test_many_who_ask_at_once_get_one_building(
    at: Home, uv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, go = [], threading.Event()
    real = build

    def slowly(*args: Any) -> None:
        built.append(args)
        assert go.wait(PATIENCE)
        real(*args)

    monkeypatch.setattr(manager, "build", slowly)
    tiny = make_wheel(tmp_path)
    at.send(tiny)
    at.send(uv)
    wanted = at.wanted(wheel_of(tiny), uv=wheel_of(uv))
    assert at.environments.ask(wanted, 0)["state"] == "building"
    answers: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(at.environments.ask(wanted, PATIENCE)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert [answer["state"] for answer in answers] == ["ready"] * 4
    assert len(built) == 1


def test_a_wheel_that_can_not_be_installed_fails_with_what_uv_says(
    at: Home, uv: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"no zip at all")
    at.send(broken)
    at.send(uv)
    wanted = at.wanted(wheel_of(broken), uv=wheel_of(uv))
    answer = at.environments.ask(wanted, PATIENCE)
    assert (answer["state"], answer["kind"]) == ("failed", "build")
    assert "broken" in answer["error"]
    assert at.environments.ready(wanted.name) is None


def test_a_disk_without_room_is_told_before_anything_is_sent(at: Home, uv: Path, tmp_path: Path) -> None:
    huge = Wheel("huge-1-py3-none-any.whl", "00" * 32, 1 << 60, "")
    with pytest.raises(OSError, match="MB are free") as caught:
        at.environments.ask(at.wanted(huge, uv=wheel_of(uv)), 0)
    assert caught.value.errno == 28


def test_what_can_be_fetched_is_not_sent(
    at: Home, uv: Path, tmp_path: Path, registry: tuple[Path, str]
) -> None:
    folder, url = registry
    tiny = make_wheel(folder)
    at.send(uv)
    wanted = at.wanted(wheel_of(tiny, f"{url}/{tiny.name}"), uv=wheel_of(uv), fetch=True)
    assert at.environments.ask(wanted, PATIENCE)["state"] == "ready"


@pytest.mark.parametrize(
    ("file", "why"), [("none.whl", "404"), ("other.whl", "another SHA-256"), (None, "can't be reached")]
)
def test_what_can_not_be_fetched_is_missing_with_the_reason(
    at: Home, uv: Path, tmp_path: Path, registry: tuple[Path, str], file: str | None, why: str
) -> None:
    folder, url = registry
    (folder / "other.whl").write_bytes(b"something else")
    tiny = make_wheel(tmp_path)
    at.send(uv)
    place = f"{url}/{file}" if file else "http://127.0.0.1:9/tiny.whl"
    wanted = at.wanted(wheel_of(tiny, place), uv=wheel_of(uv), fetch=True)
    answer = at.environments.ask(wanted, PATIENCE)
    sha256 = wheel_of(tiny).sha256
    assert (answer["state"], answer["missing"]) == ("missing", [sha256])
    assert why in answer["why"][sha256]


def test_the_platform_is_that_of_the_interpreter(at: Home) -> None:
    told = at.environments.platform(sys.executable)
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    with pytest.raises(ProtocolError, match="/nowhere/python"):
        at.environments.platform("/nowhere/python")


def test_tidying_leaves_what_a_job_runs_in(at: Home) -> None:
    built = at.folder / "environments" / "built"
    for name in ("used", "unused"):
        (built / name / "bin").mkdir(parents=True)
        (built / name / "ready").touch()
        os.utime(built / name / "ready", (0, 0))
    at.runtimes.append(str(built / "used" / "bin" / "python"))
    at.environments.tidy()
    deadline = time.monotonic() + PATIENCE
    while (built / "unused").exists() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert [path.name for path in built.iterdir()] == ["used"]
