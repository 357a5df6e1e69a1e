"""What the configuration asks for, read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lithops.environment.requirements import is_lock, normalised, read_requirements
from lithops.errors import ConfigError


def test_a_list_is_the_same_in_any_order_and_with_comments() -> None:
    first = read_requirements(["numpy==2.*", "six"])
    assert first.lines == ("numpy==2.*", "six")
    assert first.fingerprint() == read_requirements(["six  # why", " numpy==2.*", "", "six"]).fingerprint()
    assert first.fingerprint() != read_requirements(["numpy==2.1.*", "six"]).fingerprint()


def test_a_hash_in_a_url_is_no_comment() -> None:
    line = "six @ https://files.example/six-1.0-py3-none-any.whl#sha256=00"
    assert normalised([line]) == (line,)


@pytest.mark.parametrize("word", ["local", "local-imports"])
def test_words(word: str) -> None:
    assert read_requirements(word).form == word


def test_a_file_counts_with_those_that_it_includes(tmp_path: Path) -> None:
    path, more = tmp_path / "requirements.txt", tmp_path / "more" / "base.txt"
    more.parent.mkdir()
    more.write_text("six\n-r ../requirements.txt\n")
    path.write_text("idna\n-r more/base.txt\n")
    before = read_requirements(str(path))
    assert (before.form, before.path) == ("file", str(path))
    more.write_text("six==1.17\n")
    assert read_requirements(str(path)).fingerprint() != before.fingerprint()


def test_a_file_may_be_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    assert read_requirements("~/pyproject.toml").path == str(tmp_path / "pyproject.toml")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/requirements\.txt can't be read"):
        read_requirements("/nowhere/requirements.txt")


def test_locks_of_other_tools_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "poetry.lock").touch()
    with pytest.raises(ConfigError, match="poetry export"):
        read_requirements(str(tmp_path / "poetry.lock"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("uv.lock", True), ("pylock.toml", True), ("pylock.dev.toml", True), ("pyproject.toml", False)],
)
def test_locks_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_lock(name) is expected
