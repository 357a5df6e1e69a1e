"""Which registries are asked."""

from __future__ import annotations

from pathlib import Path

from lithops.environment.registry import login_for, pip_options, uv_environment

PIP = {"index-url": "https://one.example/simple", "extra-index-url": "https://a.example\nhttps://b.example"}


def test_uv_asks_the_registries_of_pip() -> None:
    made = uv_environment({"PATH": "/bin"}, {**PIP, "find-links": "/wheels /more"})
    assert made == {
        "PATH": "/bin",
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://a.example https://b.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
    }


def test_what_is_set_for_uv_itself_counts_alone() -> None:
    own = {"UV_INDEX": "https://mine.example"}
    assert uv_environment(own, PIP) == own


def test_the_files_of_pip_are_read_in_order(tmp_path: Path) -> None:
    first, second, broken = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    first.write_text("[global]\nindex-url = https://one\ncert = /cert\n[install]\nno-index = true\n")
    second.write_text("[global]\nindex-url = https://two/%20\n")
    broken.write_text("no section\n")
    options = pip_options({"PIP_CERT": "/other"}, [first, second, broken, tmp_path / "none"])
    assert options == {"index-url": "https://two/%20", "cert": "/other", "no-index": "true"}


def test_a_file_of_a_registry_is_fetched_with_the_login_of_that_registry() -> None:
    environment = {"UV_INDEX": "https://other.example mine=https://me:pass%40word@files.example/simple"}
    assert login_for("https://files.example/x.whl", environment) == ("me", "pass@word")
    assert login_for("https://other.example/x.whl", environment) is None
    assert login_for("https://files.example.evil.example/x.whl", environment) is None
