"""The command, run in this process, in a home and a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from lithops.cli.main import cli


class Lithops(Protocol):
    """Runs the command with these arguments."""

    def __call__(self, *arguments: str, input: str = "") -> Result: ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the user who runs the command."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("LITHOPS_CONFIG", "LITHOPS_CONFIG_FILE", "LITHOPS_WORKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def lithops(home: Path) -> Lithops:
    """The command."""

    def run(*arguments: str, input: str = "") -> Result:
        return CliRunner(mix_stderr=False).invoke(cli, arguments, input=input, prog_name="lithops")

    return run
