"""Locks: read from what uv writes, kept, and named."""

from __future__ import annotations

import json

import pytest

from lithops.environment.lock import Lock, Source, Wheel, lines_of_pylock, read_pylock, without_login
from tests.unit.environment.test_platforms import platform

SIX = Wheel(
    "six-1.17.0-py2.py3-none-any.whl",
    "cd" * 32,
    11050,
    "https://files.example/six-1.17.0-py2.py3-none-any.whl",
)
UV = Wheel("uv-0.9.0-py3-none-any.whl", "ef" * 32, 5, "")
PYLOCK = f"""
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "six"
version = "1.17.0"
wheels = [{{ url = "{SIX.url}", size = 11050, hashes = {{ sha256 = "{SIX.sha256}" }} }}]

[[packages]]
name = "docopt"
sdist = {{ url = "https://files.example/docopt-0.6.2.tar.gz", hashes = {{ sha256 = "{"ab" * 32}" }} }}

[[packages]]
name = "mine"
directory = {{ path = "/src/mine" }}

[[packages]]
name = "direct"
archive = {{ url = "https://files.example/direct-1%2B2-py3-none-any.whl" }}

[[packages]]
name = "git"
vcs = {{ type = "git", url = "https://files.example/git" }}
"""


def test_what_uv_writes_is_read() -> None:
    six, docopt, mine, direct, git = read_pylock(PYLOCK)
    assert six == SIX
    assert docopt == Source("docopt", "https://files.example/docopt-0.6.2.tar.gz", False, "ab" * 32)
    assert mine == Source("mine", "/src/mine", True)
    url = "https://files.example/direct-1%2B2-py3-none-any.whl"
    assert direct == Wheel("direct-1+2-py3-none-any.whl", "", 0, url)
    assert isinstance(git, Source)
    assert "version control" in git.unsupported


def test_a_lock_is_kept_as_it_is() -> None:
    lock = Lock((SIX,), UV, 12.5, (("/src/mine", "mark"),))
    assert Lock.from_json(json.loads(json.dumps(lock.to_json()))) == lock


def test_the_name_is_that_of_the_content() -> None:
    """Not of the order, of the place, of uv or of the time; but of the Python and the platform."""
    other = Wheel("idna-3.0-py3-none-any.whl", "00" * 32, 1, "")
    name = Lock((SIX, other), UV, 1.0).name(platform(), "/usr/bin/python3")
    moved = Wheel(SIX.file, SIX.sha256, SIX.size, "file:///elsewhere")
    assert Lock((other, moved), SIX, 2.0).name(platform(), "/usr/bin/python3") == name
    assert Lock((SIX,), UV, 1.0).name(platform(), "/usr/bin/python3") != name
    assert Lock((SIX, other), UV, 1.0).name(platform(python="3.11.3"), "/usr/bin/python3") != name
    assert Lock((SIX, other), UV, 1.0).name(platform(), "/opt/python") != name


def test_hosts_are_told_no_logins_and_no_paths_of_this_machine() -> None:
    assert without_login("https://me:secret@files.example/a@b.whl") == "https://files.example/a@b.whl"
    secret = Wheel("a.whl", "", 0, "https://me:secret@files.example/a.whl")
    assert secret.to_json()["url"] == "https://files.example/a.whl"
    assert Wheel("a.whl", "", 0, "file:///home/me/a.whl").to_json()["url"] == ""


def test_any_lock_is_read_as_requirements() -> None:
    text = """
[[packages]]
name = "six"
version = "1.17.0"
marker = "python_version >= '3.8'"

[[packages]]
name = "mine"
directory = { path = "./mine" }
"""
    assert lines_of_pylock(text) == ["six==1.17.0 ; python_version >= '3.8'", "mine @ ./mine"]
    with pytest.raises(KeyError):
        lines_of_pylock("")
