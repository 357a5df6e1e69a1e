"""The way into a job on a host: as the agent holds it, or brought there again; and the hold meanwhile."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops.config import resolve
from lithops.errors import JobUnknown
from lithops.shell import holding
from lithops.shell.holding import Hold
from lithops.shell.sources import changed_since, read_sources, source_files
from lithops.shell.visiting import Entrance, kept_job, visit
from lithops.state.keepsakes import Call, Keepsakes
from lithops.state.spool import SpooledJob
from lithops.testing_agent import FakeAgent
from lithops.testing_machine import FakeMachine
from lithops_agent import protocol
from tests.unit.state.test_spool import a_job, info, write

KEY = "x-0-M000"
SETTINGS = resolve({"lithops": {"backend": "vm"}, "vm": {"hosts": ["10.0.0.1"]}})


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    agent = FakeAgent()
    yield agent
    agent.close()


def kept(**payloads: bytes) -> SpooledJob:
    job = a_job(modules=True)
    return SpooledJob(
        job=job, info=info(job), payloads={int(name[1:]): data for name, data in payloads.items()}
    )


def test_a_job_that_was_forgotten_is_brought_again_and_goes_at_the_end(agent: FakeAgent) -> None:
    with visit(FakeMachine("a", agent), SETTINGS, KEY, kept()) as found:
        (name,) = agent.specs
        spec = agent.specs[name]
        assert (spec.function, spec.modules, spec.env) == ("f" * 64, "e" * 64, {"A": "b"})
        assert found.entrance.enter == f"/enter/{name}"
        path = found.send(b"the data")
        assert agent.blobs[path.rpartition("/")[2]] == b"the data"
    assert agent.requests(protocol.RELEASE) == [{"jobs": [name]}]
    assert not agent.calls


def test_a_job_that_is_there_is_left_alone(agent: FakeAgent) -> None:
    machine = FakeMachine("a", agent)
    with visit(machine, SETTINGS, KEY, kept()):
        (name,) = agent.specs
        with visit(machine, SETTINGS, name, None) as found:
            assert found.entrance.enter == f"/enter/{name}"
        assert list(agent.specs) == [name]


def test_a_job_of_which_nothing_is_left(agent: FakeAgent) -> None:
    told = "host a has forgotten job x-0-M000"
    with pytest.raises(JobUnknown, match=told), visit(FakeMachine("a", agent), SETTINGS, KEY, None):
        pass


@pytest.mark.parametrize(
    ("container", "words", "command"),
    [
        (None, [], "exec sh '/a b/enter'"),
        (None, ["python", "-c", "print(1)"], "exec sh '/a b/enter' python -c 'print(1)'"),
        ("c0ffee", ["id"], "exec docker exec -it c0ffee sh '/a b/enter' id"),
    ],
)
def test_the_command_that_enters(container: str | None, words: list[str], command: str) -> None:
    entrance = Entrance(enter="/a b/enter", container=container, function="f", blobs="b")
    assert entrance.command(words, with_terminal=True).rpartition("; ")[2] == command


def test_without_the_command_docker_it_says_so() -> None:
    entrance = Entrance(enter="/enter", container="c0ffee", function="f", blobs="b")
    line = entrance.command([], with_terminal=False)
    done = subprocess.run(
        ["/bin/sh", "-c", line], env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 127
    assert "no command docker" in done.stderr
    assert shlex.split(line)[-5:] == ["exec", "-i", "c0ffee", "sh", "/enter"]


# ---- what is kept here -------------------------------------------------------------------------------


def test_the_data_of_calls_come_from_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kept_job(KEY, "x-0") is None
    job, folder = a_job(), tmp_path / ".lithops"
    Keepsakes(folder).keep_failed([Call(job, info(job), 3, b"failed")])
    found = kept_job(KEY, "x-0")
    assert found is not None
    assert found.payloads == {3: b"failed"}
    write(folder / "spool" / "x-0", (job, [(4, b"spooled")]))
    found = kept_job(KEY, "x-0")
    assert found is not None
    assert found.payloads == {3: b"failed", 4: b"spooled"}


def test_the_sources_of_a_function_are_found_without_opening_it(tmp_path: Path) -> None:
    from lithops.job.serialize import dump_function

    script = tmp_path / "script.py"
    script.write_text("def f():\n    return 1\n")
    scope: dict[str, object] = {"__name__": "__main__"}
    exec(compile(script.read_text(), str(script), "exec"), scope)
    pickled, _ = dump_function(scope["f"])  # type: ignore[arg-type]
    named = source_files(pickled)
    assert str(script) in named
    assert source_files(pickled[: len(pickled) // 2]) <= named
    assert source_files(b"no pickle") == set()
    sources = read_sources({str(script), str(tmp_path / "none")})
    assert sources == {str(script): script.read_text()}
    changed_at = script.stat().st_mtime
    assert changed_since(sources, changed_at - 1) == [str(script)]
    assert changed_since(sources, changed_at + 1) == []


# ---- the hold ----------------------------------------------------------------------------------------


class Entered:
    """A host that was entered, and on which an agent runs or not."""

    name = "a"

    def __init__(self, machine: FakeMachine | None) -> None:
        self.machine = machine

    def agent(self) -> object:
        return None if self.machine is None else self.machine.find()


def test_a_hold_is_said_again_and_ends(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "_AGAIN", 0.01)
    agent.hard_in = 90.0
    with Hold(Entered(FakeMachine("a", agent))) as hold:  # type: ignore[arg-type]
        assert (hold.held, hold.hard_in) == (True, 90.0)
        agent.wait_for(lambda: len(agent.requests(protocol.HOLD)) > 2)
    told = agent.requests(protocol.HOLD)
    assert len({each["name"] for each in told}) == 1
    assert [each["seconds"] for each in told[:-1]] == [holding.LASTS] * (len(told) - 1)
    assert told[-1]["seconds"] == 0


def test_a_host_without_an_agent_is_held_once_there_is_one(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "_AGAIN", 0.01)
    entered = Entered(None)
    with Hold(entered) as hold:  # type: ignore[arg-type]
        assert not hold.held
        entered.machine = FakeMachine("a", agent)
        agent.wait_for(lambda: bool(agent.requests(protocol.HOLD)))


def test_nothing_is_held_where_nobody_answers() -> None:
    machine = FakeMachine("a", FakeAgent())
    machine.agent.close()
    with Hold(Entered(machine)) as hold:  # type: ignore[arg-type]
        assert not hold.held
