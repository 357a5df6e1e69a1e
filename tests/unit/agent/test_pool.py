"""Calls in real workers on this machine: how each can end."""

from __future__ import annotations

import errno
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from lithops_agent import printed as printed_module
from lithops_agent import processes as processes_module
from lithops_agent.protocol import INLINE_LIMIT, Status
from tests.unit.agent import functions
from tests.unit.agent.pools import Workshop, is_alive, within


@pytest.fixture(scope="module")
def shop(busy_shop: Workshop) -> Workshop:
    """Tests that disturb no others share it: a new job has new workers."""
    return busy_shop


# ---- results ----------------------------------------------------------------------------------------


def test_results_of_many_calls(shop: Workshop) -> None:
    results = shop.wait(shop.submit(functions.double, [(number,) for number in range(500)]))
    assert [results.value(number) for number in range(500)] == [2 * number for number in range(500)]


def test_what_a_result_tells_of_its_call(shop: Workshop) -> None:
    before = time.time()
    results = shop.run(functions.nap, 0.02)
    stat = results.stat()
    assert before <= stat["worker_start_tstamp"] <= stat["worker_func_start_tstamp"]
    assert stat["worker_func_end_tstamp"] - stat["worker_func_start_tstamp"] >= 0.02
    assert stat["worker_func_end_tstamp"] <= stat["worker_end_tstamp"] <= time.time()
    assert stat["worker_pid"] == results.value() != os.getpid()
    assert stat["attempt"] == 1
    assert 1 << 20 < stat["worker_func_rss"] <= stat["worker_peak_memory_end"] * 1.1


def test_a_worker_serves_one_job_only(shop: Workshop) -> None:
    first = shop.wait(shop.submit(functions.nap, [(0.005,)] * 8))
    second = shop.wait(shop.submit(functions.nap, [(0.005,)] * 8))
    pids = [{results.value(number) for number in range(8)} for results in (first, second)]
    assert 1 <= len(pids[0]) <= 2
    assert not pids[0] & pids[1]


@pytest.mark.parametrize("size", [INLINE_LIMIT - 100, INLINE_LIMIT + 100, 3_000_000])
def test_data_and_results_of_any_size(shop: Workshop, size: int) -> None:
    assert shop.run(functions.length, bytes(size)).value() == size
    results = shop.run(functions.make, size)
    assert results.value() == bytes(size)
    assert (results.records[0].body is None) is (size > INLINE_LIMIT)


def test_large_files_go_when_they_are_not_needed_any_more(shop: Workshop) -> None:
    job = shop.submit(lambda data: data, [(bytes(300_000),), (bytes(300_000),)])
    shop.wait(job)
    folder = shop.journal.job_folder(job.job)
    assert sorted(path.name.rpartition("-")[0] for path in folder.iterdir()) == ["result-0", "result-1"]
    shop.pool.release([job.job])
    within(10, lambda: not folder.exists(), "the deletion of its files")


# ---- exceptions -------------------------------------------------------------------------------------


def test_an_exception_comes_with_its_text_and_itself(shop: Workshop) -> None:
    results = shop.run(functions.fail, "what is wrong")
    assert results.status() == Status.EXCEPTION
    account = results.account()
    assert (account["type"], account["message"]) == ("builtins.ValueError", "what is wrong")
    assert "in fail\n" in account["traceback"]
    assert "worker.py" not in account["traceback"]
    again = pickle.loads(account["exception"])
    assert type(again) is ValueError
    assert again.args == ("what is wrong",)


@pytest.mark.parametrize(
    ("function", "name", "message"),
    [
        (functions.raise_stubborn, "Stubborn", "its text can't be made"),
        (functions.raise_asymmetric, "Asymmetric", "one"),
    ],
)
def test_an_exception_that_can_not_be_pickled_is_told_as_text(
    shop: Workshop, function: Any, name: str, message: str
) -> None:
    account = shop.run(function).account()
    assert account["type"].endswith(f".{name}")
    assert message in account["message"]
    assert "in raise_" in account["traceback"]
    assert account["exception"] is None


def test_an_exception_of_any_size(shop: Workshop) -> None:
    assert shop.run(functions.fail, "x" * 200_000).account()["message"] == "x" * 200_000


def test_a_recursion_without_end_is_an_exception(shop: Workshop) -> None:
    assert shop.run(functions.recurse).account()["type"] == "builtins.RecursionError"


def test_a_result_that_can_not_be_pickled(shop: Workshop) -> None:
    results = shop.run(functions.return_lock)
    assert results.status() == Status.BAD_RESULT
    assert "lock" in results.account()["message"]


@pytest.mark.parametrize(
    ("how", "name"), [("sys.exit", "builtins.SystemExit"), ("interrupt", "builtins.KeyboardInterrupt")]
)
def test_a_call_that_wants_to_end_the_interpreter_ends_only_itself(
    tmp_path: Path, how: str, name: str
) -> None:
    shop = Workshop(tmp_path, processes=1)
    shop.pool.start()
    results = shop.wait(shop.submit(functions.leave, [(how,), ("stay",), (how,), ("stay",)]))
    shop.pool.stop()
    assert [results.account(number)["type"] for number in (0, 2)] == [name, name]
    assert {results.value(1), results.value(3)} == {results.stat(0)["worker_pid"]}


def test_data_that_can_not_be_unpickled_fail_their_call(shop: Workshop) -> None:
    job = shop.add(functions.double, [(1,)])
    shop.journal.add_calls(job.job, [shop_call(1)])
    shop.pool.submit(job, [0, 1])
    results = shop.wait(job, 2)
    assert results.value(0) == 2
    assert results.account(1)["type"] == "builtins.ModuleNotFoundError"


def shop_call(number: int) -> Any:
    from lithops_agent.journal import CallData

    return CallData(number, b"cno_such_module\nname\n.", None)


# ---- deaths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("exit 3", "exited with code 3"),
        ("exit 3", "the last it printed:\nthese are my last words"),
        ("segfault", "SIGSEGV (Segmentation fault)"),
        ("segfault", "in leave"),
    ],
)
def test_a_call_that_ends_its_worker_fails_alone_and_says_how(shop: Workshop, how: str, why: str) -> None:
    results = shop.wait(shop.submit(functions.leave, [("stay",), (how,), ("stay",), ("stay",)]))
    assert results.status(1) == Status.WORKER_DIED
    assert why in results.why(1)
    assert all(results.value(number) for number in (0, 2, 3))


def test_a_call_whose_worker_died_is_run_again_if_it_may(shop: Workshop, tmp_path: Path) -> None:
    job = shop.submit(functions.die_at_first, [(str(tmp_path / "marker"),)], retries=1)
    results = shop.wait(job)
    assert results.value() == "survived"
    assert results.stat()["attempt"] == 2
    marker = tmp_path / "attempts"
    results = shop.run(functions.die, str(marker), retries=2)
    assert results.status() == Status.WORKER_DIED
    assert "SIGKILL" in results.why()
    assert marker.read_text() == "xxx"


def test_a_call_is_killed_at_its_timeout_with_all_it_started(shop: Workshop, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    started = time.monotonic()
    job = shop.submit(functions.hang_with_child, [(str(begun),)], timeout=0.3)
    child = int(within(10, lambda: begun.exists() and begun.read_text()))
    results = shop.wait(job)
    assert time.monotonic() - started >= 0.3
    assert results.status() == Status.TIMED_OUT
    within(10, lambda: not is_alive(child), "the end of the child")


def test_a_timeout_is_for_each_call(shop: Workshop) -> None:
    results = shop.wait(shop.submit(functions.nap, [(0.05,)] * 30 + [(60,)], timeout=0.5))
    assert results.status(30) == Status.TIMED_OUT
    assert {results.status(number) for number in range(30)} == {Status.SUCCESS}


# ---- ended by others --------------------------------------------------------------------------------


def test_cancelled_calls_end_whether_they_began_or_not(shop: Workshop, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    job = shop.submit(functions.wait_for, [(str(go), str(begun))] + [(str(go),)] * 4)
    pid = int(within(10, lambda: begun.exists() and begun.read_text()))
    shop.pool.cancel(job.job, [0, 4])
    results = shop.wait(job, 2)
    assert {number: results.status(number) for number in (0, 4)} == dict.fromkeys((0, 4), Status.CANCELLED)
    within(10, lambda: not is_alive(pid), "the end of the worker")
    go.touch()
    results = shop.wait(job)
    assert [results.value(number) for number in (1, 2, 3)] == ["it came"] * 3


def test_a_whole_job_is_cancelled_for_a_reason(shop: Workshop) -> None:
    job = shop.submit(functions.nap, [(60,)] * 10)
    within(10, lambda: len([job for job, _ in shop.pool.snapshot()[1]]) == 2)
    shop.pool.cancel(job.job, None, Status.HARD_DISMANTLE)
    results = shop.wait(job)
    assert {results.status(number) for number in range(10)} == {Status.HARD_DISMANTLE}
    shop.pool.cancel(job.job, None)
    shop.pool.cancel("never heard of", [1])


def test_calls_that_were_given_away_are_not_run(shop: Workshop, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = shop.submit(functions.wait_for, [(str(go),)] * 10)
    given = shop.pool.revoke(job.job, 3)
    assert sorted(given) == [7, 8, 9]
    given += shop.pool.revoke(job.job, 99)
    go.touch()
    results = shop.wait(job, 10 - len(given))
    assert sorted([*results.records, *given]) == list(range(10))
    assert shop.pool.revoke(job.job, 5) == []


def test_an_agent_without_descriptors_for_a_worker_does_not_go_on_as_if_it_had_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(path: str) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    shop = Workshop(tmp_path, processes=1)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(processes_module, "_open_log", no_more)
            with pytest.raises(OSError, match="Too many open files"):
                shop.submit(functions.double, [(1,)])
    finally:
        shop.close()


def test_a_released_job_is_killed_and_forgotten(shop: Workshop, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    job = shop.submit(functions.wait_for, [("/never", str(begun)), ("/never",), ("/never",)])
    pid = int(within(10, lambda: begun.exists() and begun.read_text()))
    shop.pool.release([job.job])
    within(10, lambda: not is_alive(pid), "the end of the worker")
    assert shop.records(job) == []
    assert job.job not in shop.pool.snapshot()[0]
    assert shop.run(functions.double, 4).value() == 8


def test_calls_of_a_job_that_was_released_meanwhile_are_not_run(shop: Workshop) -> None:
    job = shop.add(functions.double, [(1,)])
    shop.pool.release([job.job])
    shop.pool.submit(job, [0])
    assert job.job not in shop.pool.snapshot()[0]
    assert shop.run(functions.double, 4).value() == 8


# ---- surroundings -----------------------------------------------------------------------------------


def test_environment_and_folder_of_a_call(shop: Workshop, tmp_path: Path) -> None:
    results = shop.run(functions.surroundings, env={"EXTRA": "Grüße"}, cwd=str(tmp_path), depth=2)
    assert results.value() == {
        "cwd": str(tmp_path),
        "LITHOPS_WORKER": str(shop.folder),
        "LITHOPS_WORKER_DEPTH": "3",
        "LITHOPS_WORKER_SESSION": "s",
        "EXTRA": "Grüße",
    }
    assert "EXTRA" not in os.environ
    assert shop.run(functions.surroundings).value()["EXTRA"] is None


@pytest.mark.parametrize(("cwd", "real"), [(None, "~"), ("/no/such/folder", "/")])
def test_the_folder_where_nothing_better_is_there(shop: Workshop, cwd: str | None, real: str) -> None:
    assert shop.run(functions.surroundings, cwd=cwd).value()["cwd"] == os.path.realpath(
        os.path.expanduser(real)
    )


def test_modules_that_were_shipped_are_found(shop: Workshop) -> None:
    folder = shop.journal.modules_path("cd" * 32)
    folder.mkdir(parents=True)
    (folder / "shipped_along.py").write_text("NAME = 'it is me'\n")
    assert shop.run(functions.use_module, modules="cd" * 32).value() == "it is me"
    assert shop.run(functions.use_module).account()["type"] == "builtins.ModuleNotFoundError"


def test_what_is_printed_does_not_fill_the_disk(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed_module, "_LIMIT", 1_000_000)
    assert shop.run(functions.shout, 5_000_000, 1_000_000).value() <= 1_000_000


def test_a_call_that_closes_its_output_disturbs_no_other(shop: Workshop) -> None:
    results = shop.wait(shop.submit(functions.close_outputs, [()] * 6))
    assert results.value(0) == "closed"
    assert {results.status(number) for number in range(6)} <= {Status.SUCCESS, Status.EXCEPTION}


# ---- slots ------------------------------------------------------------------------------------------


def test_a_short_job_does_not_wait_for_the_end_of_a_long_one(shop: Workshop) -> None:
    long = shop.submit(functions.nap, [(0.01,)] * 200)
    short = shop.submit(functions.nap, [(0.01,)] * 5)
    last_short = max(record.seq for record in shop.wait(short).records.values())
    assert len(shop.records(long)) < 200
    last_long = max(record.seq for record in shop.wait(long).records.values())
    assert last_short < last_long


def test_calls_that_wait_for_calls_of_their_own_do_not_keep_these_from_running(
    shop: Workshop, tmp_path: Path
) -> None:
    """All slots are held by calls that wait for a call that one of them submitted."""
    inner = tmp_path / "inner"
    outer = shop.submit(functions.wait_for, [(str(inner),)] * 4)
    within(10, lambda: len([job for job, _ in shop.pool.snapshot()[1] if job == outer.job]) == 2)
    assert shop.wait(shop.submit(functions.touch, [(str(inner),)], depth=1)).value() == "done"
    assert [shop.wait(outer).value(number) for number in range(4)] == ["it came"] * 4


# ---- interpreters -----------------------------------------------------------------------------------


def test_a_runtime_that_is_not_there_fails_the_job_and_is_named(shop: Workshop) -> None:
    results = shop.wait(shop.submit(functions.double, [(1,), (2,)], runtime="/no/such/python"))
    assert {results.status(number) for number in (0, 1)} == {Status.WORKER_DIED}
    assert "/no/such/python can't be started: [Errno 2] No such file" in results.why(0)
    assert shop.run(functions.double, 4).value() == 8


def test_a_runtime_that_ends_at_once_fails_the_job_and_its_words_are_told(
    shop: Workshop, tmp_path: Path
) -> None:
    runtime = tmp_path / "python"
    runtime.write_text("#!/bin/sh\necho I am not well >&2\nexit 1\n")
    runtime.chmod(0o755)
    results = shop.wait(shop.submit(functions.double, [(1,), (2,)], runtime=str(runtime)))
    assert {results.status(number) for number in (0, 1)} == {Status.WORKER_DIED}
    assert str(runtime) in results.why(0)
    assert "I am not well" in results.why(0)
    assert shop.run(functions.double, 4).value() == 8


def test_the_newest_job_from_outside_says_how_many_run_at_a_time(shop: Workshop) -> None:
    for processes, depth, expected in ((3, 0, 3), (5, 1, 3), (1, 0, 1), (None, 0, 2)):
        results = shop.wait(shop.submit(functions.nap, [(0.03,)] * 6, processes=processes, depth=depth))
        assert shop.pool.processes == expected
        assert len({results.value(number) for number in range(6)}) <= expected
