"""Finding an agent without starting one, and ending what is left of one: the real shell script."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lithops.bootstrap.end import Look, look, parse_look
from lithops.errors import BootstrapError
from lithops.ssh.deadline import Deadline
from lithops_agent.statefile import boot_id
from tests.unit.bootstrap.test_start import Shell

STATE = {"port": 5, "token": "hush", "agent_id": "a", "pid": os.getpid(), "boot_id": boot_id()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "my home"
    (folder / ".lithops/agent/bundles").mkdir(parents=True)
    return folder


def agent(home: Path) -> Path:
    return home / ".lithops" / "agent"


def at(home: Path, end: str = "") -> Look:
    return look(Shell(home), host="web", deadline=Deadline.after(60), end=end)


@pytest.mark.parametrize("end", ["", "remove", "keep", "poweroff"])
def test_a_living_agent_is_found_and_left_alone(home: Path, end: str) -> None:
    (agent(home) / "agent.json").write_text(json.dumps(STATE))
    found = at(home, end)
    assert found.agent == STATE
    assert (agent(home) / "agent.json").exists()
    assert "hush" not in repr(found)


@pytest.mark.parametrize("change", [{"boot_id": "earlier"}, {"pid": 2**22 + 1}, {"pid": None}])
def test_an_agent_that_is_dead_has_left_something(home: Path, change: dict[str, object]) -> None:
    (agent(home) / "agent.json").write_text(json.dumps({**STATE, **change}))
    assert at(home) == Look(None, True)
    assert at(home, "remove") == Look()
    assert list(home.iterdir()) == []


def test_nothing_was_ever_there(tmp_path: Path) -> None:
    assert at(tmp_path) == at(tmp_path, "remove") == Look()


def test_bundles_that_are_to_be_kept_are_nothing_left(home: Path) -> None:
    (agent(home) / "bundles" / "agent-1-2.zip").write_text("x")
    (agent(home) / "work").mkdir()
    (agent(home) / ".hidden").write_text("x")
    assert at(home, "keep") == Look()
    assert [path.name for path in agent(home).iterdir()] == ["bundles"]
    assert at(home, "remove") == Look()
    assert list(home.iterdir()) == []


def test_what_lies_beside_the_agent_stays(home: Path) -> None:
    (home / ".lithops" / "state.db").write_text("x")
    assert at(home, "remove") == Look()
    assert [path.name for path in (home / ".lithops").iterdir()] == ["state.db"]


def test_a_fence_that_is_left_is_ended_by_its_program(home: Path) -> None:
    program = agent(home) / "bundles" / "agent-1-2.zip"
    program.write_text(f'echo "$@" > "{home}/calls"; rm -rf "{home}/.lithops"')
    (agent(home) / "fence.json").write_text(json.dumps({"python": "/bin/sh", "program": str(program)}))
    assert at(home, "remove") == Look()
    assert (home / "calls").read_text() == f"end --home {agent(home)} --ending remove\n"


def test_a_program_that_fails_holds_nothing_up(home: Path) -> None:
    program = agent(home) / "bundles" / "agent-1-2.zip"
    program.write_text("exit 1")
    (agent(home) / "fence.json").write_text(json.dumps({"python": "/bin/sh", "program": str(program)}))
    assert at(home, "remove") == Look()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("text", ["", "lithops_look=1\n", "This account is not available.\n"])
def test_an_answer_that_is_not_whole(text: str) -> None:
    with pytest.raises(BootstrapError, match="did not run the script") as raised:
        parse_look(text, "web")
    assert (raised.value.host, raised.value.phase) == ("web", "dismantle")
