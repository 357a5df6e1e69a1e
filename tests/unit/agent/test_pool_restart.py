"""What goes on when a zygote, or the whole agent, was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_agent import zygotes as zygotes_module
from lithops_agent.protocol import JobSpec, Status
from tests.unit.agent import functions
from tests.unit.agent.pools import PATIENCE, Workshop, is_alive, within


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(tmp_path / "agent", processes=4)
    shop.pool.start()
    yield shop
    shop.close()


def test_calls_of_a_zygote_that_was_killed_run_again(shop: Workshop, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    job = shop.submit(functions.wait_for, [(str(go), str(begun))] + [(str(go),)] * 5)
    pid = int(within(10, lambda: begun.exists() and begun.read_text()))
    os.kill(shop.zygote_pid(), signal.SIGKILL)
    within(10, lambda: not is_alive(pid), "the end of the worker")
    within(10, lambda: begun.read_text() not in ("", str(pid)), "the second attempt")
    go.touch()
    results = shop.wait(job)
    assert [results.value(number) for number in range(6)] == ["it came"] * 6
    assert results.stat(0)["attempt"] == 2


def test_calls_that_come_right_after_the_death_of_the_zygote_are_run(shop: Workshop) -> None:
    """The pool has not heard of it yet; the news of it waits behind the lock that the test holds."""
    assert shop.run(functions.double, 1).value() == 2
    zygote = shop.zygote_pid()
    with shop.pool._lock:
        os.kill(zygote, signal.SIGKILL)
        within(10, lambda: not is_alive(zygote))
        job = shop.submit(functions.double, [(number,) for number in range(20)])
    results = shop.wait(job)
    assert [results.value(number) for number in range(20)] == [2 * number for number in range(20)]


def test_calls_that_kill_their_zygote_again_and_again_are_given_up(shop: Workshop) -> None:
    def kill_zygote() -> None:
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()

    results = shop.run(kill_zygote)
    assert results.status() == Status.WORKER_DIED
    assert shop.run(functions.double, 3).value() == 6


def test_a_runtime_that_is_not_there_is_told_by_an_agent_that_runs_nothing_else(shop: Workshop) -> None:
    """Nothing wakes the pool in this case but its own plan."""
    results = shop.run(functions.double, 1, runtime="/no/such/python")
    assert results.status() == Status.WORKER_DIED
    assert "/no/such/python can't be started" in results.why()


def test_an_idle_zygote_ends_and_a_later_call_has_a_new_one(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zygotes_module, "_LINGER", 0.0)
    job = shop.submit(functions.double, [(1,)])
    assert shop.wait(job).value() == 2
    pid = shop.zygote_pid()
    within(10, lambda: not is_alive(pid), "the end of the zygote")
    assert shop.run(functions.double, 2).value() == 4


def test_stopping_ends_all_processes_and_keeps_the_calls(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    shop = Workshop(tmp_path / "agent")
    shop.pool.start()
    shop.submit(functions.wait_for, [("/never", str(begun)), ("/never",)])
    pid = int(within(10, lambda: begun.exists() and begun.read_text()))
    zygote = shop.zygote_pid()
    shop.pool.stop()
    within(10, lambda: not is_alive(pid) and not is_alive(zygote), "the end of worker and zygote")
    assert [numbers for _, numbers in shop.journal.unfinished()] == [[0, 1]]
    shop.journal.close()


AGENT = """
import sys, time
from pathlib import Path
from tests.unit.agent import functions
from tests.unit.agent.pools import Workshop
folder, go = Path(sys.argv[1]), sys.argv[2]
shop = Workshop(folder)
shop.pool.start()
quick = shop.submit(functions.double, [(n,) for n in range(20)])
shop.wait(quick)
slow = shop.submit(functions.wait_for, [(go, go + ".begun")] + [(go,)] * 9)
print(quick.job, slow.job, shop.zygote_pid(), flush=True)
time.sleep(600)
"""


def test_an_agent_that_was_killed_goes_on_from_its_journal(tmp_path: Path) -> None:
    go, begun = tmp_path / "go", tmp_path / "go.begun"
    command = [sys.executable, "-c", AGENT, str(tmp_path / "agent"), str(go)]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        quick, slow, zygote = process.stdout.readline().split()
        pid = int(within(PATIENCE, lambda: begun.exists() and begun.read_text()))
        process.kill()
    within(10, lambda: not is_alive(pid) and not is_alive(int(zygote)), "the end of the old workers")
    shop = Workshop(tmp_path / "agent")
    try:
        assert [(spec.job, numbers) for spec, numbers in shop.journal.unfinished()] == [(slow, [*range(10)])]
        shop.pool.start()
        within(10, lambda: begun.read_text() not in ("", str(pid)), "the second attempt")
        go.touch()
        again = shop.wait(spec_of(shop, slow))
        assert [again.value(number) for number in range(10)] == ["it came"] * 10
        assert again.stat(0)["attempt"] == 2
        assert again.stat(9)["attempt"] == 1, "it had not begun"
        kept = shop.wait(spec_of(shop, quick))
        assert [kept.value(number) for number in range(20)] == [2 * number for number in range(20)]
    finally:
        shop.close()


SURVIVOR = """
import sys, time
from pathlib import Path
from tests.unit.agent.pools import Workshop
shop = Workshop(Path(sys.argv[1]))
shop.pool.start()
job = next(spec for spec in shop.journal.specs())
shop.wait(job)
shop.close()
"""


def test_a_call_that_kills_the_agent_does_so_three_times_and_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    shop = Workshop(folder)
    job = shop.add(functions.kill_the_agent_if, [(n == 1,) for n in range(40)])
    shop.close()
    command = [sys.executable, "-c", SURVIVOR, str(folder)]
    codes = []
    while 0 not in codes:
        agent = subprocess.run(command, cwd=Path(__file__).parents[3], timeout=PATIENCE, check=False)
        codes.append(agent.returncode)
        assert len(codes) <= 4, "it kills one agent after the other"
    assert codes == [-signal.SIGKILL] * 3 + [0]
    shop = Workshop(folder)
    results = shop.wait(job)
    shop.close()
    assert results.status(1) == Status.WORKER_DIED
    assert "was killed 3 times while this call ran" in results.why(1)
    assert {results.value(number) for number in range(40) if number != 1} == {"fine"}


def test_what_was_printed_and_noted_by_workers_goes_with_them(shop: Workshop) -> None:
    assert shop.run(functions.double, 1).value() == 2
    work = shop.folder / "work"
    within(10, lambda: not list((work / "notes").iterdir()) and not list((work / "logs").iterdir()))


def test_an_end_in_peace_is_no_crash(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    go = tmp_path / "go"
    for attempt in range(1, 6):
        shop = Workshop(tmp_path / "agent")
        if attempt == 1:
            job = shop.add(functions.wait_for, [(str(go), str(begun))])
        shop.pool.start()
        within(10, begun.exists)
        if attempt == 5:
            go.touch()
            assert shop.wait(job).stat()["attempt"] == 5
        shop.close()
        begun.unlink()


def spec_of(shop: Workshop, job: str) -> JobSpec:
    spec = shop.journal.spec(job)
    assert spec is not None
    return spec
