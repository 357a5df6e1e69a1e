"""The disk of a host is full: nothing new is taken, nothing that was accepted is lost."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops.errors import HostDiskFull
from lithops.futures_list import FuturesList
from tests.integration.conftest import OpenExecutor
from tests.integration.functions import double
from tests.integration.host_functions import GO, MARKS, bytes_of, marked
from tests.integration.support import agent_state, eventually, within
from tests.testbed import Host
from tests.testbed.fixtures import FreshHost

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_login")]

WORK = "/home/user/.lithops/agent/work"


def marks(host: Host) -> Counter[int]:
    """How often each call has begun."""
    return Counter(map(int, host.run(f"cat {MARKS} 2>/dev/null", check=False).stdout.split()))


def blocked(host: Host, fexec: FunctionExecutor, sizes: list[int]) -> FuturesList:
    """Calls whose results have these sizes; the first ones run, and none ends before `go`."""
    assert fexec.call_async(double, 1).result(timeout=15) == 2
    futures: FuturesList = fexec.map(marked, list(enumerate(sizes)))
    eventually(lambda: len(marks(host)) >= 2, "calls that run", 15)
    eventually(lambda: waiting(host) >= len(sizes) - 2, "all calls in the journal", 15)
    return futures


def waiting(host: Host) -> int:
    """How many calls the agent holds that have not ended."""
    return int(query(host, "SELECT count(*) FROM calls"))


def query(host: Host, statement: str) -> str:
    connect = f"sqlite3.connect('file:{WORK}/journal.db?mode=ro', uri=True)"
    program = f"import sqlite3; print({connect}.execute('{statement}').fetchone()[0])"
    return host.run(f'python3 -c "{program}"').stdout.strip()


def go(host: Host) -> None:
    host.run(f"touch {GO}")


def check(futures: FuturesList, sizes: list[int], seconds: float = 20) -> None:
    with within(seconds):
        for number, (future, size) in enumerate(zip(futures, sizes)):
            found: Any = future.result(timeout=seconds)
            assert (int.from_bytes(found[:4], "big"), len(found)) == (number, size + 4)


def children(host: Host, pid: int) -> list[str]:
    return host.run(f"pgrep -P {pid}", check=False).stdout.split()


def answers(host: Host, port: int) -> bool:
    """Whether something refuses a request without a token there."""
    get = f"urllib.request.urlopen('http://127.0.0.1:{port}/v1/info', timeout=2)"
    program = f"import urllib.request\ntry: {get}\nexcept urllib.error.HTTPError as e: print(e.code)"
    return host.run(f'python3 -c "{program}"', check=False).stdout.strip() == "401"


def has_ballast(host: Host) -> bool:
    return host.run(f"test -e {WORK}/ballast", check=False).returncode == 0


@pytest.fixture
def small_host(fresh_host: FreshHost) -> Host:
    return fresh_host(disk="64M")


def test_what_was_accepted_ends_and_nothing_new_is_taken(
    small_host: Host, open_executor: OpenExecutor
) -> None:
    host, sizes = small_host, [10] * 40 + [60_000] * 10
    fexec = open_executor(host.lithops_config())
    futures = blocked(host, fexec, sizes)
    agent = agent_state(host)
    assert has_ballast(host)
    host.fill_disk()
    go(host)
    check(futures, sizes)
    assert not has_ballast(host)
    with within(10), pytest.raises(HostDiskFull, match="full") as raised:
        fexec.call_async(double, 2).result(timeout=15)
    assert host.address in str(raised.value)
    assert "free some space" in str(raised.value)
    host.free_disk()
    eventually(lambda: has_ballast(host), "the ballast is there again", 10)
    assert fexec.call_async(double, 3).result(timeout=15) == 6
    assert marks(host) == Counter(range(50))
    assert agent_state(host) == agent


def test_more_results_than_there_is_space_for_wait_for_it(
    small_host: Host, open_executor: OpenExecutor
) -> None:
    """About 12 MB; the ballast is 4 MB."""
    host, sizes = small_host, [60_000] * 200
    fexec = open_executor(host.lithops_config())
    futures = blocked(host, fexec, sizes)
    agent = agent_state(host)
    host.fill_disk()
    go(host)
    eventually(lambda: sum(future.done for future in futures) >= 20, "results on the last space", 15)
    eventually(lambda: stands_still(host), "nothing more is begun", 20)
    assert len(marks(host)) < 200
    host.free_disk()
    check(futures, sizes)
    assert marks(host) == Counter(range(200))
    assert agent_state(host) == agent


def stands_still(host: Host) -> bool:
    """Whether no call was begun for a second."""
    before = len(marks(host))
    time.sleep(1)
    return len(marks(host)) == before


def test_a_result_that_needs_a_file_fails_its_call_alone(
    small_host: Host, open_executor: OpenExecutor
) -> None:
    """Even the space that was kept is too small for it."""
    host, sizes = small_host, [10, 6_000_000, 10, 6_000_000, 10]
    futures = blocked(host, fexec := open_executor(host.lithops_config()), sizes)
    host.fill_disk()
    go(host)
    for future, size in zip(futures, sizes):
        if size > 1000:
            with pytest.raises(HostDiskFull, match="full"):
                future.result(timeout=15)
        else:
            assert len(future.result(timeout=15)) == size + 4
    host.free_disk()
    assert len(fexec.call_async(bytes_of, (300_000,)).result(timeout=15)) == 300_000


def test_an_agent_that_is_killed_on_a_full_disk_goes_on(
    small_host: Host, open_executor: OpenExecutor
) -> None:
    host, sizes = small_host, [60_000] * 120
    fexec = open_executor(host.lithops_config())
    futures = blocked(host, fexec, sizes)
    agent = agent_state(host)
    host.fill_disk()
    go(host)
    eventually(lambda: sum(future.done for future in futures) >= 20, "results on the last space", 15)
    kept = int(query(host, "SELECT count(*) FROM results"))
    before = children(host, agent["pid"])
    host.run(f"kill -9 {' '.join(before)}")
    eventually(lambda: set(children(host, agent["pid"])) - set(before) != set(), "another process", 10)
    eventually(lambda: answers(host, agent["port"]), "an answer of the agent", 10)
    assert int(query(host, "SELECT count(*) FROM results")) >= kept
    eventually(lambda: stands_still(host), "nothing more is begun", 20)
    host.free_disk()
    check(futures, sizes, 30)
    again = marks(host)
    assert sorted(again) == list(range(120))
    assert max(again.values()) <= 3
    assert agent_state(host)["agent_id"] == agent["agent_id"]


def test_a_disk_that_is_full_for_good_is_told_with_the_next_call(
    small_host: Host, open_executor: OpenExecutor, tmp_path: Path
) -> None:
    """Large data, many calls, and a large function: each is refused, and the host is as it was."""
    host = small_host
    fexec = open_executor(host.lithops_config(lithops={"data_limit": False}))
    assert fexec.call_async(double, 1).result(timeout=15) == 2
    host.fill_disk()
    for size in (10, 3_000_000):
        for future in fexec.map(len, [bytes(size)] * 20):
            with pytest.raises(HostDiskFull, match="full"):
                future.result(timeout=15)
    assert host.run(f"find {WORK}/jobs -type f").stdout == ""
    host.free_disk()
    assert fexec.call_async(double, 2).result(timeout=15) == 4
