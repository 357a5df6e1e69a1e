"""Sending the bundle and starting the agent, with the real shell script on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lithops.bootstrap.bundle import Bundle
from lithops.bootstrap.probe import HostFacts
from lithops.bootstrap.start import check_room, ensure_agent, explain, start_command
from lithops.errors import AgentBusy, BootstrapError, HostDiskFull, HostNotWritable
from lithops.ssh.deadline import Deadline
from lithops.ssh.execution import Completed

SHA = "0123456789abcdef"
STATE = {"port": 5, "token": "hush", "agent_id": "a", "version": "1", "bundle": SHA, "pid": 1}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    path = tmp_path / f"agent-{SHA}-{SHA}.zip"
    path.write_bytes(b"PK" + bytes(range(256)) * 100)
    return Bundle(path, SHA + "0" * 48, path.stat().st_size, SHA + "1" * 48)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "my home"
    folder.mkdir()
    return folder


def fake_python(folder: Path, body: str) -> str:
    """An interpreter that writes its arguments down and then does what ``body`` says."""
    path = folder / "python3.99"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = -V ] && echo Python 3.99.1 && exit\necho "$@" >> "{folder}/calls"\n{body}\n'
    )
    path.chmod(0o755)
    return str(path)


class Shell:
    """A connection whose host is this machine, with another home."""

    def __init__(self, home: Path) -> None:
        self.environ = {"HOME": str(home), "PATH": f"{home}:{os.environ['PATH']}", "USER": "user"}
        self.received: list[int] = []

    def run(self, command: str, stdin: bytes = b"", *, deadline: Deadline) -> Completed:
        self.received.append(len(stdin))
        done = subprocess.run(
            ["sh", "-c", command], input=stdin, capture_output=True, env=self.environ, check=False
        )
        return Completed(done.returncode, done.stdout, done.stderr)


def ensure(shell: Shell, bundle: Bundle) -> object:
    return ensure_agent(
        shell, bundle, host="web", deadline=Deadline.after(60), wanted=(3, 99), options=["--soft", "7"]
    )


def test_the_bundle_is_sent_once(home: Path, bundle: Bundle) -> None:
    fake_python(home, f"echo noise; echo '{json.dumps(STATE)}'")
    shell = Shell(home)
    ensure(shell, bundle)
    ensure(shell, bundle)
    there = home / ".lithops/agent/bundles" / bundle.name
    assert there.read_bytes() == bundle.path.read_bytes()
    assert there.stat().st_mode & 0o777 == 0o600
    assert there.parent.stat().st_mode & 0o777 == 0o700
    assert [size for size in shell.received if size in (0, bundle.size)] == [bundle.size, 0]
    call = (home / "calls").read_text().splitlines()[0]
    assert call.startswith(f"{there} start --home {home}/.lithops/agent --unit ")
    assert call.endswith(" --soft 7")


@pytest.mark.parametrize("name", [f"agent-{SHA}-{SHA}.zip", f"agent-{SHA}-{'a' * 16}.zip"])
def test_nothing_is_sent_to_a_host_that_was_prepared(home: Path, bundle: Bundle, name: str) -> None:
    fake_python(home, f"echo '{json.dumps(STATE)}'")
    place = home / ".local/lib/lithops-agent"
    place.mkdir(parents=True)
    shutil.copy(bundle.path, place / name)
    shell = Shell(home)
    ensure(shell, bundle)
    assert bundle.size not in shell.received
    assert (home / "calls").read_text().startswith(f"{place / name} start --home {home}/.lithops/agent ")
    assert not (home / ".lithops/agent/bundles").exists()


@pytest.mark.parametrize(
    ("name", "size"), [(f"agent-{'f' * 16}-{SHA}.zip", None), (f"agent-{SHA}-{SHA}.zip", 7)]
)
def test_another_release_and_half_a_bundle_are_passed_over(
    home: Path, bundle: Bundle, name: str, size: int | None
) -> None:
    fake_python(home, f"echo '{json.dumps(STATE)}'")
    place = home / ".local/lib/lithops-agent"
    place.mkdir(parents=True)
    (place / name).write_bytes(bundle.path.read_bytes()[:size])
    shell = Shell(home)
    ensure(shell, bundle)
    assert bundle.size in shell.received


def test_the_endpoint(home: Path, bundle: Bundle) -> None:
    fake_python(home, f"echo '{json.dumps(STATE)}'")
    endpoint = ensure_agent(Shell(home), bundle, host="web", deadline=Deadline.after(60), wanted=(3, 99))
    assert (endpoint.port, endpoint.token, endpoint.started) == (5, "hush", True)
    assert endpoint.python == f"{home}/python3.99"
    assert "hush" not in repr(endpoint)


def test_nothing_is_sent_to_a_live_agent(home: Path, bundle: Bundle) -> None:
    fake_python(home, "exit 1")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (home / ".lithops/agent").mkdir(parents=True)
    (home / ".lithops/agent/agent.json").write_text(
        json.dumps({**STATE, "pid": os.getpid(), "boot_id": boot})
    )
    shell = Shell(home)
    endpoint = ensure_agent(shell, bundle, host="web", deadline=Deadline.after(60), wanted=(3, 99))
    assert (endpoint.started, len(shell.received)) == (False, 1)


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("echo 'version 1 runs jobs' >&2; exit 75", AgentBusy, "version 1 runs jobs"),
        ("echo 'Traceback: no sqlite3' >&2; exit 1", BootstrapError, "Traceback: no sqlite3"),
        ("echo 'OSError: [Errno 28] No space left on device' >&2; exit 1", HostDiskFull, "free some space"),
        ("echo hello", BootstrapError, "did not say where it listens: hello"),
        ("echo '{}'", BootstrapError, "no usable 'port'"),
    ],
)
def test_starts_that_fail(
    home: Path, bundle: Bundle, body: str, error: type[BootstrapError], words: str
) -> None:
    fake_python(home, body)
    with pytest.raises(error, match=words) as raised:
        ensure(Shell(home), bundle)
    assert raised.value.host == "web"


@pytest.mark.parametrize("code", [2, 91, 92])
def test_what_vanished_while_it_was_used_is_put_there_again_once(
    home: Path, bundle: Bundle, code: int
) -> None:
    """The time of an earlier agent was up at this very moment."""
    gone = f'rm -rf "{home}/.lithops"; exit {code}'
    fake_python(home, f"[ $(wc -l < \"{home}/calls\") = 1 ] && {{ {gone}; }}; echo '{json.dumps(STATE)}'")
    shell = Shell(home)
    ensure(shell, bundle)
    assert shell.received.count(bundle.size) == 2
    fake_python(home, gone)
    with pytest.raises(BootstrapError):
        ensure(Shell(home), bundle)


def test_two_bundles_are_kept(home: Path, bundle: Bundle) -> None:
    fake_python(home, f"echo '{json.dumps(STATE)}'")
    folder = home / ".lithops/agent/bundles"
    folder.mkdir(parents=True)
    for age, letter in enumerate("abc", 1):
        for name in (f"agent-{SHA}-{letter * 16}.zip", f"agent-{SHA}-{letter * 16}-worker.zip"):
            (folder / name).write_bytes(b"old")
            os.utime(folder / name, (1e9 - age, 1e9 - age))
    ensure(Shell(home), bundle)
    kept = {bundle.name, f"agent-{SHA}-{'a' * 16}-worker.zip", f"agent-{SHA}-{'a' * 16}.zip"}
    assert {path.name for path in folder.iterdir()} == kept


def test_half_a_bundle_is_thrown_away(home: Path, bundle: Bundle) -> None:
    facts = HostFacts(home=str(home), user="u", uid=1)
    shell = Shell(home)
    command = start_command(facts, bundle, "/bin/true", "none", [])
    done = shell.run(command, b"short", deadline=Deadline.after(60))
    assert "did not arrive whole" in str(explain(done, facts, "web"))
    assert list((home / ".lithops/agent/bundles").iterdir()) == []


def test_a_home_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    facts = HostFacts(home=f"{tmp_path}/file", user="u", uid=1)
    done = Shell(tmp_path).run(start_command(facts, bundle, "x", "none", []), deadline=Deadline.after(60))
    error = explain(done, facts, "web")
    assert isinstance(error, HostNotWritable)
    assert f"{tmp_path}/file/.lithops" in str(error)


def test_room_is_checked_before_sending(bundle: Bundle) -> None:
    facts = HostFacts(home="/h", user="u", uid=1, free_bytes=1 << 30)
    check_room(facts, bundle, "web")
    with pytest.raises(HostDiskFull, match=r"1\.0 MB are free"):
        check_room(replace(facts, free_bytes=1_000_000), bundle, "web")
    with pytest.raises(HostNotWritable, match="Read-only file system"):
        check_room(replace(facts, writable=False, why_not_writable="Read-only file system"), bundle, "web")
    with pytest.raises(HostDiskFull):
        check_room(replace(facts, writable=False, why_not_writable="No space left on device"), bundle, "web")


def test_the_command_line_survives_other_shells(bundle: Bundle) -> None:
    command = start_command(HostFacts(home="/h", user="u", uid=1), bundle, "/p", "none", [])
    script = command.split("'")[1]
    assert command.count("'") == 2
    assert not set("\n\\!") & set(script)
