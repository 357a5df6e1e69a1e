"""What is removed of an agent, and what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_agent import clearing, cloud
from lithops_agent.clearing import KEEP, POWEROFF, REMOVE
from lithops_agent.journal import Journal
from tests.unit.agent.journals import job
from tests.unit.agent.pools import is_alive, within


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What an agent has put on a host."""
    folder = tmp_path / ".lithops" / "agent"
    (folder / "bundles").mkdir(parents=True)
    for name in (
        "bundles/agent-1-2.zip",
        "agent.json",
        "fence.json",
        "armed.json",
        "agent.log",
        "start.lock",
    ):
        (folder / name).write_text("x")
    Journal(folder / "work").close()
    return folder


def with_jobs(home: Path) -> Path:
    journal = Journal(home / "work")
    journal.add_job(job())
    journal.close()
    return home


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_all_is_removed_with_the_empty_folders_above(home: Path) -> None:
    clearing.clear(str(home), REMOVE, with_work=False)
    assert not home.parent.exists()
    clearing.clear(str(home), REMOVE, with_work=False)


def test_what_others_have_put_beside_it_stays(home: Path) -> None:
    (home.parent / "state.db").write_text("x")
    clearing.clear(str(home), REMOVE, with_work=False)
    assert names(home.parent) == {"state.db"}


@pytest.mark.parametrize(("ending", "kept"), [(REMOVE, set()), (KEEP, {"bundles"})])
def test_results_that_nobody_has_collected_stay(home: Path, ending: str, kept: set[str]) -> None:
    with_jobs(home)
    clearing.clear(str(home), ending, with_work=False)
    assert names(home) == {"work", *kept}
    clearing.clear(str(home), ending, with_work=True)
    assert names(home) == kept


@pytest.mark.parametrize("ending", [POWEROFF, "stop", "delete"])
def test_a_host_that_goes_off_keeps_what_it_needs_for_that(home: Path, ending: str) -> None:
    before = names(with_jobs(home))
    clearing.clear(str(home), ending, with_work=False)
    assert names(home) == before - {"agent.json"}
    clearing.clear(str(home), ending, with_work=True)
    assert names(home) == before - {"agent.json", "work"}


def test_a_journal_that_cannot_be_read_is_not_thrown_away(home: Path) -> None:
    (home / "work" / "journal.db").write_bytes(b"no database" * 1000)
    assert clearing.has_jobs(str(home))


@pytest.mark.parametrize("when", ["rename", "_remove"])
def test_work_is_there_whole_or_not_at_all(home: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    with_jobs(home)
    with monkeypatch.context() as patch:
        patch.setattr(os if when == "rename" else clearing, when, killed)
        with pytest.raises(KeyboardInterrupt):
            clearing.drop_work(str(home))
    assert clearing.has_jobs(str(home))
    clearing.drop_work(str(home))
    assert "work" not in names(home)
    assert "work.gone" not in names(home)


def killed(*arguments: object) -> None:
    raise KeyboardInterrupt


# ---- processes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("/usr/bin/python3 /h/bundles/agent-1-2.zip serve --home /h --soft 5", "/h"),
        ("python3 -I /h/agent-1-2.zip serve --home /h", "/h"),
        ("python3 -I -S /h/agent-1-2.zip fence --home /h", None),
        ("python3 /h/agent-1-2.zip start --home /h", None),
        ("vi serve --home /h", None),
        ("tail -f /h/agent.log", None),
        ("serve --home", None),
        ("", None),
    ],
)
def test_which_command_lines_are_agents(words: str, found: str | None) -> None:
    assert clearing.home_of(words.split()) == found


SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def processes(home: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Processes of this home, of another one, and of nobody."""
    program = home / "bundles" / "agent-1-2.zip"
    program.write_text(SLEEP)
    started = {}
    for name, folder in (("mine", str(home)), ("other", "/another/home")):
        for role in ("serve", "fence"):
            command = [sys.executable, str(program), role, "--home", folder]
            started[f"{name} {role}"] = subprocess.Popen(command)
        marked = {**os.environ, clearing.HOME_VARIABLE: folder}
        started[f"{name} worker"] = subprocess.Popen([sys.executable, "-c", SLEEP], env=marked)
    started["tail"] = subprocess.Popen([sys.executable, "-c", SLEEP, str(home / "agent.log")])
    within(10, lambda: all(_has_begun(process.pid) for process in started.values()))
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def _has_begun(pid: int) -> bool:
    """Whether it is what it was started as, not the copy of this process that becomes it."""
    return (
        SLEEP.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        or b"--home" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def test_only_what_belongs_to_a_home_is_killed(
    home: Path, processes: dict[str, subprocess.Popen[bytes]]
) -> None:
    pids = {process.pid: name for name, process in processes.items()}
    assert {pids.get(pid) for pid in clearing.processes_of(str(home))} == {
        "mine serve", "mine fence", "mine worker",
    }  # fmt: skip
    assert [pids[pid] for pid in clearing.processes_of(str(home), ("fence",))] == ["mine fence"]
    assert clearing.others_alive(str(home))
    clearing.kill_processes(str(home))
    # One that is killed has no command line any more a moment before it has ended.
    within(10, lambda: not any(is_alive(each.pid) for name, each in processes.items() if "mine" in name))
    assert all(is_alive(each.pid) for name, each in processes.items() if "mine" not in name)


@pytest.mark.parametrize("ending", [POWEROFF, "delete"])
def test_the_end_of_the_machine_waits_for_other_agents_and_for_none_of_its_own(
    home: Path, processes: dict[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    asked: list[str] = []
    pids = {process.pid for process in processes.values()}
    all_lines = clearing._command_lines
    # Other programs on this machine may run agents, too.
    monkeypatch.setattr(
        clearing, "_command_lines", lambda uid: (line for line in all_lines(uid) if line[0] in pids)
    )
    monkeypatch.setattr(clearing, "power_off", lambda: asked.append("off"))

    def ask(home: str, how: str) -> str:
        asked.append(how)
        return "no"

    monkeypatch.setattr(cloud, "end_instance", ask)
    clearing.end_machine_when_alone(str(home), ending)
    assert asked == [], "an agent of this home keeps the host on"
    processes["mine serve"].kill()
    processes["mine serve"].wait()

    def other_ends(seconds: float) -> None:
        if len(asked) > 2:
            raise KeyboardInterrupt
        processes["other serve"].kill()
        processes["other serve"].wait()

    monkeypatch.setattr("time.sleep", other_ends)
    with pytest.raises(KeyboardInterrupt):
        clearing.end_machine_when_alone(str(home), ending)
    assert asked == (["off"] * 3 if ending == POWEROFF else ["delete", "off", "off"])
