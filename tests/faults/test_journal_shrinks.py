"""What a script leaves on a host when it ends as it should: nothing but an agent."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.integration.support import eventually, run_script
from tests.testbed import Host

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_login")]

SCRIPT = """\
import lithops

def double(x):
    return 2 * x

def large(size):
    return bytes(size)

def main():
    fexec = lithops.FunctionExecutor(log_level=None)
    doubled = fexec.get_result(fexec.map(double, range(COUNT)), show_progressbar=False)
    assert sum(doubled) == COUNT * (COUNT - 1)
    assert len(fexec.call_async(large, 1_000_000).result()) == 1_000_000

if __name__ == '__main__':
    main()
"""


def journal_rows(host: Host) -> int:
    path = host.hardware.disk.hold("/home/user/.lithops/agent/work/journal.db")
    tables = ("jobs", "calls", "results", "garbage")
    journal = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return sum(journal.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)
    finally:
        journal.close()


def journal_size(host: Host) -> int:
    folder = host.hardware.disk.hold("/home/user/.lithops/agent/work")
    return sum(path.stat().st_size for path in folder.glob("journal.db*"))


def test_the_journal_is_empty_and_small_after_the_end_of_a_script(
    host: Host, home: Path, tmp_path: Path
) -> None:
    """Its executor is a variable of a function, and so is gone before the exit of the program."""
    script = SCRIPT.replace("COUNT", "30_000")
    config = json.dumps(host.lithops_config())
    ended = run_script(script, tmp_path, home, timeout=60, LITHOPS_CONFIG=config)
    assert ended.returncode == 0, ended.stderr
    eventually(lambda: journal_rows(host) == 0, "the end of all rows", 10)
    eventually(lambda: journal_size(host) < 6_000_000, "a small journal", 10)
    folder = host.hardware.disk.hold("/home/user/.lithops/agent/work/jobs")
    eventually(lambda: not list(folder.iterdir()), "the end of all files", 10)
