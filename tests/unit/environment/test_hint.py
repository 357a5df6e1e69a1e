"""What would have brought a module that a function did not find."""

from __future__ import annotations

import importlib.metadata
import pickle
import sys
from pathlib import Path

import pytest

from lithops.environment.hint import hint_for
from lithops.job.results import load_exception
from lithops_agent.outcome import describe


def missing(module: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {module!r}", name=module)


def test_a_module_that_is_installed_here() -> None:
    hint = hint_for(missing("yaml.nodes"), "a")
    version = importlib.metadata.version("PyYAML")
    assert "host a" in hint
    assert f"requirements: [PyYAML=={version}]" in hint


def test_a_file_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_file.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "include_modules: [my_own_file]" in hint_for(missing("my_own_file"), "a")


def test_a_module_that_is_nowhere() -> None:
    assert "not installed here either" in hint_for(missing("no_such_module_anywhere"), "a")


def test_no_hint_for_the_standard_library_or_without_a_name() -> None:
    assert hint_for(missing("tkinter"), "a") == ""
    assert hint_for(ModuleNotFoundError("no name"), "a") == ""


def test_the_exception_keeps_its_class_and_message_and_gets_the_hint() -> None:
    who = {"host": "a", "job_id": "A000", "call_id": "00000"}
    loaded = load_exception(describe(missing("yaml"), skip=0), who)
    assert type(loaded) is ModuleNotFoundError
    assert str(loaded) == "No module named 'yaml'"
    shown = str(loaded.__cause__) if sys.version_info < (3, 11) else "".join(getattr(loaded, "__notes__", []))
    assert "standalone.requirements" in shown
    other = load_exception(describe(ValueError("x"), skip=0), who)
    assert not getattr(other, "__notes__", [])
    assert pickle.loads(pickle.dumps(loaded)).name == "yaml"
