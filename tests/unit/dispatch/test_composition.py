"""What a session is made of, by the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from lithops.config import resolve
from lithops.dispatch import open_session


@pytest.mark.parametrize(
    ("workers", "most"),
    [
        (None, {}),
        (1, {"a": 1}),
        (2, {"a": 1, "b": 1}),
        (3, {"a": 1, "b": 1, "c": 1}),
        (8, {"a": 3, "b": 3, "c": 2}),
    ],
)
def test_workers_are_shared_out_among_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None, most: dict[str, int]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config = {"lithops": {"backend": "vm", "workers": workers}, "vm": {"hosts": ["a", "b", "c"]}}
    session = open_session(resolve(config), "x-0")
    assert {name: session.hosts.most_on(name) for name in most} == most
    assert list(session.hosts.runners) == (list(most) or ["a", "b", "c"])
    session.close()


def test_data_that_is_not_cleaned_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    session = open_session(resolve({"lithops": {"data_cleaner": False}}), "x-0")
    assert session.options.keep_jobs
    session.close()
