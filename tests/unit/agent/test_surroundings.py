"""The way into what the calls of a job see, and one call that is run again there."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from lithops.job.serialize import dump_function
from lithops_agent.surroundings import Surroundings, exports, write_entrance
from tests.unit.agent import functions
from tests.unit.agent.pools import Workshop, worker_path

SHELL = {"HOME": "/nonexistent", "SHELL": "/bin/sh", "PATH": os.environ["PATH"], "TERM": "dumb"}


def run(entrance: Path, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(entrance), *command],
        env=SHELL,
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def entrance_of(shop: Workshop, **spec: Any) -> Path:
    job = shop.add(functions.double, [(1,)], **spec)
    return write_entrance(shop.journal.job_folder(job.job) / "shell", shop.pool.surroundings(job))


def test_a_command_sees_what_a_call_sees(shop: Workshop, tmp_path: Path) -> None:
    modules = shop.journal.modules_path("cd" * 32)
    modules.mkdir(parents=True)
    (modules / "shipped_along.py").write_text("NAME = 'it is me'\n")
    look = "import os, sys, json; " + "print(json.dumps([{}, sys.executable, os.getcwd(), os.environ['A']]))"
    told = look.format("__import__('shipped_along').NAME")
    entrance = entrance_of(
        shop, modules="cd" * 32, cwd=str(tmp_path), env={"A": "it's $HOME\n", "no-name": "x"}
    )
    for name in ("python", "python3"):
        done = run(entrance, name, "-c", told)
        assert json.loads(done.stdout) == ["it is me", sys.executable, str(tmp_path), "it's $HOME\n"], done


def test_a_shell_is_one_of_the_job(shop: Workshop) -> None:
    entrance = entrance_of(shop, env={"A": "seen"})
    done = run(entrance, given="echo $A; echo $PS1; python -c 'import cloudpickle'; exit 3\n")
    assert done.returncode == 3, done
    assert done.stdout.startswith("seen\n(job-")


def test_a_folder_that_is_not_there_is_the_home(shop: Workshop, tmp_path: Path) -> None:
    found = Surroundings("j", sys.executable, {}, [], "/nonexistent", str(tmp_path))
    assert run(write_entrance(tmp_path / "shell", found), "pwd").stdout == f"{tmp_path}\n"


def test_nobody_else_reads_the_variables(tmp_path: Path) -> None:
    folder = tmp_path / "shell"
    write_entrance(folder, Surroundings("j", sys.executable, {"PASSWORD": "x"}, [], "/", "/"))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in [folder, *files])


def test_in_a_container_its_own_python_is_used() -> None:
    found = Surroundings("j", None, {"A": "b"}, ["/m", "/w.zip"], "/", "/")
    assert exports(found, Path("/bin")) == "export A=b\nexport PYTHONPATH=/m:/w.zip\n"


# ---- one call again ---------------------------------------------------------------------------------


def again(
    tmp_path: Path, function: Callable[..., Any], *args: Any, given: str = "", sources: Any = None
) -> subprocess.CompletedProcess[str]:
    """Run a call as `lithops debug` has it run."""
    names = ["function", "data", "sources"]
    (tmp_path / "function").write_bytes(dump_function(function)[0])
    (tmp_path / "data").write_bytes(cloudpickle.dumps((args, {})))
    (tmp_path / "sources").write_text(json.dumps(sources or {}))
    return subprocess.run(
        [sys.executable, "-m", "lithops_agent.postmortem", *(str(tmp_path / name) for name in names)],
        env={**SHELL, "PYTHONPATH": worker_path(tmp_path)}, input=given,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_it_stops_where_the_call_fails(tmp_path: Path) -> None:
    done = again(tmp_path, functions.fail, "the message", given="p message\nq\n")
    assert done.returncode == 1
    assert "ValueError: the message" in done.stdout
    assert "'the message'" in done.stdout.rpartition("(Pdb)")[0]
    assert "postmortem.py" not in done.stdout


def test_lines_of_a_file_that_is_not_here_are_shown(tmp_path: Path) -> None:
    name, text = "/nonexistent/script.py", "def f(x):\n    y = x + 1\n    raise ValueError(y)\n"
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), scope)
    done = again(tmp_path, scope["f"], 41, given="p y\nlist\nq\n", sources={name: text})
    assert "-> raise ValueError(y)" in done.stdout
    assert "42\n" in done.stdout
    assert "  2  \t    y = x + 1" in done.stdout


def test_a_call_that_does_not_fail_this_time(tmp_path: Path) -> None:
    done = again(tmp_path, functions.double, 21)
    assert (done.returncode, done.stdout) == (0, "It did not fail this time. It returned:\n42\n")


def test_a_call_that_can_not_begin(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"no pickle")
    (tmp_path / "function").write_bytes(pickle.dumps(len))
    done = subprocess.run(
        [sys.executable, "-m", "lithops_agent.postmortem", tmp_path / "function", tmp_path / "data"],
        env={**SHELL, "PYTHONPATH": worker_path(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "never began" in done.stderr


@pytest.mark.parametrize(
    ("value", "shown"), [("x" * 3000, "… (3002 characters)"), (functions.Stubborn(), "Stubborn")]
)
def test_a_result_is_shown_as_far_as_it_can_be(value: Any, shown: str) -> None:
    from lithops_agent import postmortem

    assert shown in postmortem._shown(value)
