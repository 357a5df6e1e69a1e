"""Wheels on this machine: fetched, checked, built and kept."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from lithops.environment import fetch, uv
from lithops.environment.fetch import Wheelhouse
from lithops.environment.lock import Source, Wheel
from lithops.environment.platforms import this_platform
from lithops.errors import EnvironmentFailed, RequirementsUnavailable
from tests.unit.environment.test_platforms import platform


@pytest.fixture
def house(tmp_path: Path) -> Wheelhouse:
    return Wheelhouse(tmp_path / "wheels", {"UV_INDEX": "https://me:secret@files.example/simple"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "six-1-py3-none-any.whl"
    path.write_bytes(b"six")
    return path


def test_a_wheel_is_fetched_once(house: Wheelhouse, file: Path) -> None:
    wheel = Wheel(file.name, hashlib.sha256(b"six").hexdigest(), 3, file.as_uri())
    path = house.path(wheel)
    assert path.read_bytes() == b"six"
    file.unlink()
    assert house.path(wheel) == path


def test_other_bytes_than_were_named_are_refused(house: Wheelhouse, file: Path) -> None:
    with pytest.raises(EnvironmentFailed, match="nothing is installed from it"):
        house.path(Wheel(file.name, "00" * 32, 3, file.as_uri()))


def test_what_is_not_there_is_named(house: Wheelhouse) -> None:
    with pytest.raises(EnvironmentFailed, match="can't be fetched from file"):
        house.path(Wheel("six-1-py3-none-any.whl", "", 0, "file:///nowhere/six-1-py3-none-any.whl"))


def test_what_a_registry_does_not_tell_is_found_out(house: Wheelhouse, file: Path) -> None:
    complete = house.complete(Wheel(file.name, "", 0, file.as_uri()), platform())
    assert (complete.sha256, complete.size) == (hashlib.sha256(b"six").hexdigest(), 3)
    on_web = Wheel("a.whl", "ab" * 32, 0, "https://files.example/a.whl")
    assert house.complete(on_web, platform()) == on_web, "a hash is enough, and nothing is fetched"


def test_the_login_of_a_registry_goes_to_that_registry_only(house: Wheelhouse) -> None:
    own = house._request("https://files.example/a.whl")
    assert "Authorization" not in own.headers, "it would go along to where the registry redirects"
    assert base64.b64decode(own.unredirected_hdrs["Authorization"].split()[1]) == b"me:secret"
    assert not house._request("https://other.example/a.whl").unredirected_hdrs


def test_a_source_is_built_until_it_changes(house: Wheelhouse, tmp_path: Path) -> None:
    project = tmp_path / "mine"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    # A backend of the project's own needs no registry.
    (project / "backend.py").write_text(
        "import os, zipfile\n"
        "def build_wheel(folder, *rest):\n"
        "    name = os.environ.get('WHEEL', 'mine-1-py3-none-any.whl')\n"
        "    with zipfile.ZipFile(os.path.join(folder, name), 'w') as archive:\n"
        "        archive.writestr('mine.py', open('value').read())\n"
        "    return name\n"
    )
    (project / "value").write_text("1")
    source = Source("mine", str(project), True)
    first = house.complete(source, platform())
    assert first.file == "mine-1-py3-none-any.whl"
    assert house.complete(source, platform()) == first
    (project / "value").write_text("22")
    assert house.complete(source, platform()).sha256 != first.sha256


def test_compiled_code_is_not_sent_where_it_does_not_run(
    house: Wheelhouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(arguments: list[str], environment: object) -> str:
        out = Path(arguments[arguments.index("--out-dir") + 1])
        out.mkdir()
        (out / "mine-1-cp311-cp311-linux_x86_64.whl").write_bytes(b"compiled")
        return ""

    monkeypatch.setattr(uv, "run", build)
    source = Source("mine", str(tmp_path), True)
    assert house.complete(source, this_platform()).file == "mine-1-cp311-cp311-linux_x86_64.whl"
    with pytest.raises(RequirementsUnavailable, match="mine 1 has compiled code"):
        house.complete(source, platform(python="3.99.0"))


def test_what_was_not_used_for_a_month_goes(
    house: Wheelhouse, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = house.path(Wheel(file.name, "", 0, file.as_uri()))
    used = path.stat().st_mtime
    monkeypatch.setattr("lithops.environment.fetch.time.time", lambda: used + fetch._MAX_AGE - 1)
    house.forget_old()
    assert path.exists()
    os.utime(path, (used, used))
    monkeypatch.setattr("lithops.environment.fetch.time.time", lambda: used + fetch._MAX_AGE + 1)
    house.forget_old()
    assert not path.exists()
