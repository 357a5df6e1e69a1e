"""What the probe asks, and what its answer means."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lithops.bootstrap.probe import (
    HostFacts,
    Interpreter,
    check_power,
    choose_python,
    choose_unit,
    parse_probe,
    probe_command,
)
from lithops.errors import BootstrapError, PythonNotFound

ANSWER = """\
Welcome to this host=1
lithops_probe=1
home=/home/user
user=user
uid=1000
alive=0
python=/usr/bin/python3.11
python=/opt/conda/bin/python3.12
python=/usr/bin/python3.11
ok=3.12.4 /opt/conda/bin/python3.12
cpus=4
writable=1
free_kb=2048
bundle_size=7
systemd=1
linger=1
user_manager=1
end=1
"""


def facts(**changes: object) -> HostFacts:
    values = {"home": "/home/user", "user": "user", "uid": 1000, **changes}
    return HostFacts(**values)  # type: ignore[arg-type]


def test_an_answer() -> None:
    assert parse_probe(ANSWER) == facts(
        pythons=(P311, Interpreter("3.12", "/opt/conda/bin/python3.12")),
        working=Interpreter("3.12.4", "/opt/conda/bin/python3.12"),
        cpus=4, free_bytes=2 << 20, bundle_size=7, systemd=True, linger=True, user_manager=True,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "lithops_probe=1\nhome=/\n", "This account is not available.\n"])
def test_an_answer_that_is_not_whole(text: str) -> None:
    with pytest.raises(BootstrapError, match="did not run the probe") as raised:
        parse_probe(text, "web")
    assert raised.value.host == "web"


def test_a_live_agent() -> None:
    state = {"port": 1, "token": "hush"}
    text = ANSWER.replace("alive=0", f"state={json.dumps(state)}\nalive=1")
    assert parse_probe(text).agent == state
    assert "hush" not in repr(parse_probe(text))
    assert parse_probe(text.replace("alive=1", "alive=0")).agent is None
    assert parse_probe(text.replace('"hush"', "")).agent is None


@pytest.mark.parametrize(
    ("changes", "unit"),
    [
        ({"systemd": True, "uid": 0}, "system"),
        ({"systemd": True, "sudo": True}, "system"),
        ({"systemd": True, "linger": True, "user_manager": True}, "user"),
        ({"systemd": True, "linger": True}, "none"),
        ({"systemd": True}, "none"),
        ({"uid": 0}, "none"),
    ],
)
def test_who_keeps_the_agent_running(changes: dict[str, object], unit: str) -> None:
    assert choose_unit(facts(**changes)) == unit


def test_a_login_that_cannot_switch_off_is_refused() -> None:
    check_power(facts(root=True))
    with pytest.raises(BootstrapError, match="poweroff needs root, and the login user") as raised:
        check_power(facts(sudo=True), "web")
    assert (raised.value.host, raised.value.phase) == ("web", "probe")


@pytest.mark.parametrize(("code", "root"), [(0, True), (1, False)])
def test_the_probe_looks_for_sudo_when_asked_to(tmp_path: Path, code: int, root: bool) -> None:
    programs = {"id": "echo 1000", "sudo": f"exit {code}"}
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environ = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}", "USER": "user"}
    for asked in (True, False):
        command, stdin = probe_command("agent-0123456789abcdef.zip", (3, 99), "python3", root=asked)
        done = subprocess.run(
            ["sh", "-c", command], input=stdin, capture_output=True, env=environ, check=True
        )
        assert parse_probe(done.stdout.decode()).root is (root and asked)


P311, P38 = Interpreter("3.11", "/usr/bin/python3.11"), Interpreter("3.8", "/usr/bin/python3.8")


def test_the_matching_interpreter() -> None:
    found = facts(working=Interpreter("3.12.1", "/x/python3.12"))
    assert choose_python(found, (3, 12), "python3") == "/x/python3.12"


@pytest.mark.parametrize(
    ("changes", "runtime", "words"),
    [
        ({}, "python3", ["no Python 3 on it", "apt-get install python3.12"]),
        ({"pythons": (P38,)}, "python3", ["too old", "/usr/bin/python3.8", "3.9"]),
        ({"pythons": (P311, P38)}, "python3", ["no Python 3.12", "/usr/bin/python3.11", "with Python 3.11"]),
        (
            {"pythons": (P311,)},
            "/v/bin/python",
            ["'/v/bin/python' is not an interpreter", "/usr/bin/python3.11"],
        ),
        ({"explicit": Interpreter("3.11.2", "/v/python")}, "/v/python", ["Python 3.11.2", "need 3.12"]),
    ],
)
def test_no_interpreter_fits(changes: dict[str, object], runtime: str, words: list[str]) -> None:
    with pytest.raises(PythonNotFound) as raised:
        choose_python(facts(**changes), (3, 12), runtime, "web")
    assert str(raised.value).startswith("host web: ")
    for word in words:
        assert word in str(raised.value)


def test_an_explicit_interpreter() -> None:
    found = facts(explicit=Interpreter("3.12.9", "/v/bin/python"))
    assert choose_python(found, (3, 12), "/v/bin/python") == "/v/bin/python"


@pytest.mark.parametrize("changes", [{"pythons": (P38, P311)}, {"working": P311}])
def test_the_agent_of_an_image_runs_with_any_python_that_is_new_enough(changes: dict[str, object]) -> None:
    assert choose_python(facts(**changes), (3, 12), "python:3.12-slim") == P311.path


def test_without_any_python_an_image_does_not_help() -> None:
    with pytest.raises(PythonNotFound):
        choose_python(facts(pythons=(P38,)), (3, 12), "python:3.12-slim")


def fake_python(folder: Path, minor: int) -> Path:
    folder.mkdir(parents=True)
    path = folder / f"python3.{minor}"
    path.write_text(f"#!/bin/sh\necho Python 3.{minor}.7\n")
    path.chmod(0o755)
    return path


def ask(home: Path, runtime: str = "python3", bundle: str = "agent-0123456789abcdef.zip") -> HostFacts:
    command, stdin = probe_command(bundle, (3, 99), runtime)
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "USER": "user"}
    done = subprocess.run(["sh", "-c", command], input=stdin, capture_output=True, env=environ, check=True)
    assert done.stderr == b""
    return parse_probe(done.stdout.decode())


def test_the_probe_on_this_machine(tmp_path: Path) -> None:
    found = ask(tmp_path)
    assert (found.home, found.user, found.uid) == (str(tmp_path), "user", os.getuid())
    assert found.writable
    assert found.free_bytes
    assert found.cpus
    assert found.agent is None
    assert found.working is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [".pyenv/versions/3.99.7/bin", "miniforge3/envs/my env/bin",
                                    ".local/share/uv/python/cpython-3.99.7-linux/bin"])  # fmt: skip
def test_the_probe_finds_interpreters(tmp_path: Path, folder: str) -> None:
    path = fake_python(tmp_path / folder, 99)
    assert ask(tmp_path).working == Interpreter("3.99.7", str(path))


def test_the_probe_looks_at_a_named_interpreter(tmp_path: Path) -> None:
    path = fake_python(tmp_path / "my venv", 98)
    assert ask(tmp_path, str(path)).explicit == Interpreter("3.98.7", str(path))
    assert ask(tmp_path, "~/my venv/python3.98").explicit == Interpreter("3.98.7", str(path))
    assert ask(tmp_path, "/nowhere/it's/python").explicit is None


def test_the_probe_sees_a_live_agent_of_this_boot(tmp_path: Path) -> None:
    folder = tmp_path / ".lithops/agent"
    (folder / "bundles").mkdir(parents=True)
    (folder / "bundles" / "agent-0123456789abcdef.zip").write_bytes(b"12345")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    state = {"port": 5, "pid": os.getpid(), "bundle": "0123456789abcdef", "boot_id": boot}
    (folder / "agent.json").write_text(json.dumps(state))
    assert ask(tmp_path).agent == state
    other = ask(tmp_path, bundle="agent-ffffffffffffffff.zip")
    assert (other.agent, other.bundle_size) == (state, 0)
    (folder / "agent.json").write_text(json.dumps({**state, "boot_id": "earlier"}))
    assert ask(tmp_path).agent is None
    assert ask(tmp_path).bundle_size == 5
