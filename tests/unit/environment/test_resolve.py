"""From requirements to wheels, with a uv that answers as a test says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from lithops.environment import uv
from lithops.environment.cache import LockCache, lock_key
from lithops.environment.lock import Lock, Source, Wheel
from lithops.environment.platforms import HostPlatform
from lithops.environment.requirements import Requirements, read_requirements
from lithops.environment.resolve import Resolver
from lithops.errors import EnvironmentFailed, PackageIndexUnreachable, RequirementsUnavailable
from tests.unit.environment.test_lock import PYLOCK, SIX, UV
from tests.unit.environment.test_platforms import platform

SIX_ALONE = PYLOCK.partition('[[packages]]\nname = "docopt"')[0]
NO_WHEELS = "error: No solution found\n  cause: all versions of x have no usable wheels"

Answer = Callable[[Sequence[str], str], str]


class FakeUv:
    """Takes the place of `uv.run`; ``asked`` has the arguments and the input of each run."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[Sequence[str], str]] = []

    def __call__(
        self, arguments: Sequence[str], environment: Mapping[str, str], *, stdin: str = "",
        folder: str | None = None,
    ) -> str:  # fmt: skip
        self.asked.append((arguments, stdin))
        return self.answer(arguments, stdin)


def resolver(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> tuple[Resolver, FakeUv]:
    fake = FakeUv(answer)
    monkeypatch.setattr(uv, "run", fake)
    return Resolver({}, complete), fake


def complete(package: Wheel | Source, platform: HostPlatform) -> Wheel:
    if isinstance(package, Source):
        return Wheel(f"{package.name}-1-py3-none-any.whl", "11" * 32, 1, "")
    return package


def test_wheels_for_the_platform_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made, fake = resolver(monkeypatch, lambda arguments, stdin: SIX_ALONE)
    lock = made.lock(read_requirements(["six"]), platform())
    assert lock.wheels == (SIX,)
    arguments, stdin = fake.asked[0]
    assert stdin == "six"
    assert " ".join(arguments).count("--python-version 3.11 --python-platform x86_64-manylinux_2_36") == 1
    assert "--only-binary" in arguments


def test_without_wheels_a_source_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(arguments: Sequence[str], stdin: str) -> str:
        if "--only-binary" in arguments and not stdin.startswith("uv=="):
            raise uv.UvFailed(NO_WHEELS)
        return PYLOCK.partition('[[packages]]\nname = "git"')[0]

    made, _ = resolver(monkeypatch, answer)
    lock = made.lock(read_requirements(["six", "docopt"]), platform())
    assert [wheel.file for wheel in lock.wheels][:2] == [SIX.file, "docopt-1-py3-none-any.whl"]
    assert [folder for folder, _ in lock.folders] == ["/src/mine"]


@pytest.mark.parametrize(
    "text",
    [
        "error: Request failed after 3 retries\n  cause: error sending request for url (http://index/six/)",
        "error: No solution found\nhint: Packages were unavailable because the network was disabled.",
    ],
)
def test_without_an_index_it_says_which_machine_needs_one(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def answer(arguments: Sequence[str], stdin: str) -> str:
        raise uv.UvFailed(text)

    made, _ = resolver(monkeypatch, answer)
    with pytest.raises(PackageIndexUnreachable, match="this machine reaches no package index") as raised:
        made.lock(read_requirements(["six"]), platform())
    assert text in str(raised.value)


def test_what_comes_from_version_control_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = resolver(monkeypatch, lambda arguments, stdin: PYLOCK)
    with pytest.raises(RequirementsUnavailable, match="git: it comes from version control"):
        made.lock(read_requirements(["git+https://files.example/git"]), platform())


def test_each_that_is_not_to_be_had_is_named_when_all_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(arguments: Sequence[str], stdin: str) -> str:
        if "bad" in stdin:
            raise uv.UvFailed(f"No solution found: of {stdin.split()[-1]}")
        return SIX_ALONE

    made, _ = resolver(monkeypatch, answer)
    pinned = Requirements("local", lines=("bad==1", "good==1", "bad==2"))
    with pytest.raises(RequirementsUnavailable) as caught:
        made.lock(pinned, platform())
    assert "bad==1: No solution" in str(caught.value)
    assert "bad==2: No solution" in str(caught.value)
    assert "good" not in str(caught.value)


def test_a_registry_that_fails_is_another_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(arguments: Sequence[str], stdin: str) -> str:
        raise uv.UvFailed("error: Failed to fetch")

    made, _ = resolver(monkeypatch, answer)
    with pytest.raises(EnvironmentFailed, match="Failed to fetch") as caught:
        made.lock(read_requirements(["six"]), platform())
    assert type(caught.value) is EnvironmentFailed


@pytest.mark.parametrize("other", [platform(machine="s390x"), platform(implementation="pypy")])
def test_a_platform_without_wheels_is_refused(other: HostPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    made, fake = resolver(monkeypatch, lambda arguments, stdin: SIX_ALONE)
    with pytest.raises(RequirementsUnavailable, match="no environment can be made"):
        made.lock(read_requirements(["six"]), other)
    assert fake.asked == []


@pytest.mark.parametrize("sha256", [SIX.sha256, "99" * 32])
def test_a_lock_is_held_to_its_hashes(tmp_path: Path, sha256: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(
        '[[packages]]\nname = "six"\nversion = "1.17.0"\n'
        f'wheels = [{{ url = "u", hashes = {{ sha256 = "{sha256}" }} }}]\n'
    )
    made, fake = resolver(monkeypatch, lambda arguments, stdin: SIX_ALONE)
    if sha256 == SIX.sha256:
        assert made.lock(read_requirements(str(path)), platform()).wheels == (SIX,)
        assert fake.asked[0][1] == "six==1.17.0"
    else:
        with pytest.raises(RequirementsUnavailable, match="another file"):
            made.lock(read_requirements(str(path)), platform())


# ---- what is remembered -----------------------------------------------------------------------------


def test_a_lock_is_found_again_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, lock = LockCache(tmp_path), Lock((SIX,), UV, 1000.0)
    assert cache.find("key") is None
    cache.keep("key", lock)
    for age, expected in ((0.0, lock), (86399.0, lock), (86400.0, None), (-1.0, None)):
        monkeypatch.setattr("lithops.environment.cache.time.time", lambda age=age: 1000.0 + age)
        assert cache.find("key") == expected, age
    assert cache.find("key", max_age=1e9) is None, "it is of the future"


def test_a_lock_of_a_folder_that_has_changed_does_not_count(tmp_path: Path) -> None:
    from lithops.environment.fetch import folder_fingerprint

    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.py").write_text("1")
    cache = LockCache(tmp_path / "cache")
    lock = Lock((SIX,), UV, time.time(), ((str(folder), folder_fingerprint(str(folder))),))
    cache.keep("key", lock)
    assert cache.find("key") == lock
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").touch()
    assert cache.find("key") == lock, "what is not a source does not count"
    (folder / "b.py").touch()
    assert cache.find("key") is None


def test_what_can_not_be_read_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    cache = LockCache(tmp_path)
    (tmp_path / "key.json").write_text('{"wheels": 1}')
    assert cache.find("key") is None
    assert cache.last_platform("a") is None
    cache.keep_platform("a", platform())
    assert cache.last_platform("a") == platform()
    assert cache.last_platform("b") is None


def test_the_key_has_all_that_the_lock_depends_on() -> None:
    six = read_requirements(["six"])
    keys = {
        lock_key(six, platform(), {}, "1"),
        lock_key(read_requirements(["six<2"]), platform(), {}, "1"),
        lock_key(six, platform(python="3.12.1"), {}, "1"),
        lock_key(six, platform(machine="aarch64"), {}, "1"),
        lock_key(six, platform(), {"UV_INDEX": "https://files.example"}, "1"),
        lock_key(six, platform(), {}, "2"),
    }
    assert len(keys) == 6
    assert lock_key(six, platform(python="3.11.9"), {"HOME": "/"}, "1") in keys
