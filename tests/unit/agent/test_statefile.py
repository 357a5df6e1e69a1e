"""The file by which the agent of a user is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lithops_agent.statefile import StateFile, boot_id

STATE = {"port": 1234, "token": "secret", "pid": os.getpid(), "boot_id": boot_id(), "bundle": "b"}


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path)


def ended_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_what_was_written_is_read(file: StateFile) -> None:
    assert file.read() is None
    assert file.written_at() == 0
    file.write(STATE)
    assert file.read() == STATE
    assert file.written_at() == file.path.stat().st_mtime_ns


def test_nobody_else_can_read_it(file: StateFile) -> None:
    before = os.umask(0)
    try:
        file.write(STATE)
        file.write(STATE)
    finally:
        os.umask(before)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.home.iterdir()] == ["agent.json"], "a temporary file was left"


@pytest.mark.parametrize(
    "change",
    [
        {"boot_id": "of another boot"},
        {"boot_id": None},
        {"pid": None},
        {"pid": "1"},
        {"pid": 2**40},
    ],
)
def test_a_state_that_names_no_living_process_of_this_boot_is_none(
    file: StateFile, change: dict[str, Any]
) -> None:
    file.write({**STATE, **change})
    assert file.read() is None
    assert file.token() == "secret", "the token outlives the agent"


def test_a_state_of_a_process_that_ended_is_none(file: StateFile) -> None:
    file.write({**STATE, "pid": ended_process()})
    assert file.read() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '"text"', "\x00\x01"])
def test_a_damaged_file_is_none(file: StateFile, text: str) -> None:
    file.path.write_text(text)
    assert file.read() is None
    assert file.token() is None


def test_bytes_that_are_no_text_are_none(file: StateFile) -> None:
    file.path.write_bytes(b"\xff\xfe\xfd")
    assert file.read() is None
    assert file.token() is None


def test_removing_twice(file: StateFile) -> None:
    file.write(STATE)
    file.remove()
    file.remove()
    assert file.read() is None


def test_a_reader_never_sees_half_a_file(file: StateFile) -> None:
    done = threading.Event()

    def write() -> None:
        for number in range(300):
            file.write({**STATE, "padding": "x" * (number * 50)})
        done.set()

    file.write(STATE)
    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert file.read() is not None
    writer.join()


HOLDER = """
import sys
from pathlib import Path
from lithops_agent.statefile import StateFile
lock = StateFile(Path(sys.argv[1])).lock("start")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_by_one_process_and_goes_with_it(file: StateFile) -> None:
    acquired = threading.Event()

    def acquire() -> None:
        with file.lock("start"):
            acquired.set()

    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        waiting = threading.Thread(target=acquire)
        waiting.start()
        with file.lock("serve"):
            assert not acquired.wait(0.05), "two hold the same lock"
        holder.kill()
    assert acquired.wait(10)
    waiting.join()


def test_the_boot_has_a_name() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip() != ""


def test_it_is_json(file: StateFile) -> None:
    """Both sides read it, of any release."""
    file.write(STATE)
    assert json.loads(file.path.read_text()) == STATE
