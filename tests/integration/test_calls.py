"""What a script can ask for, on a real host and on this machine."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lithops
from lithops import FunctionExecutor, LocalhostExecutor, RetryingFunctionExecutor, StandaloneExecutor
from lithops.errors import CallCancelled, CallTimeout
from lithops.wait import ALWAYS, ANY_COMPLETED
from tests.integration import calling
from tests.integration.calling import Step, add, double, minus, total, with_id
from tests.integration.conftest import OpenExecutor
from tests.integration.support import environment, eventually, within
from tests.testbed import Host

pytestmark = pytest.mark.integration


def scaled(factor: int) -> Callable[[int], int]:
    return lambda x: factor * x


CALLS: list[tuple[Callable[..., Any], Any, Any]] = [
    (add, (1, 2), 3),
    (add, [1, 2], 3),
    (add, {"x": 1, "y": 2}, 3),
    (total, [1, 2, 3], 6),
    (total, ([1, 2],), 3),
    (functools.partial(add, 40), 2, 42),
    (functools.partial(add, y=40), 2, 42),
    (scaled(3), 5, 15),
    (Step(10), 1, 11),
    (Step(10).back, 1, -9),
    (minus, (5, 2), 3),
    (minus, {"args": (5,), "kwargs": {"y": 3}}, 2),
    (minus, {"x": 5, "y": 4}, 1),
    (with_id, 7, (7, 0)),
    (len, "four", 4),
]


def test_call_async(anywhere: FunctionExecutor) -> None:
    futures = [anywhere.call_async(function, data) for function, data, _ in CALLS]
    assert [future.result(timeout=30) for future in futures] == [expected for *_, expected in CALLS]


def test_executors_by_name(warm: Host, this_machine: dict[str, Any]) -> None:
    with StandaloneExecutor(config=warm.lithops_config(), worker_processes=1) as fexec:
        assert (fexec.mode, fexec.backend) == ("standalone", "vm")
        assert fexec.call_async(lambda x: os.uname().nodename, 0).result(timeout=30) == warm.name
    with LocalhostExecutor() as fexec:
        assert (fexec.mode, fexec.backend) == ("localhost", "localhost")
        assert fexec.call_async(lambda x: os.uname().nodename, 0).result(timeout=30) == os.uname().nodename


def test_how_many_run_at_a_time_is_as_the_last_configuration_says(
    warm: Host, open_executor: OpenExecutor
) -> None:
    for number in (1, 4, 1):
        fexec = open_executor(warm.lithops_config(worker_processes=number))
        spans = fexec.get_result(fexec.map(calling.span, [0.2] * 6), timeout=30)
        assert max(sum(a <= began < b for a, b in spans) for began, _ in spans) == number


def test_workers_limits_how_many_run_at_a_time(warm: Host, open_executor: OpenExecutor) -> None:
    for number in (1, 2):
        fexec = open_executor(warm.lithops_config(worker_processes=4), workers=number)
        spans = fexec.get_result(fexec.map(calling.span, [0.2] * 5), timeout=30)
        assert max(sum(a <= began < b for a, b in spans) for began, _ in spans) == number


def test_one_result_comes_bare_and_those_of_a_map_as_a_list(anywhere: FunctionExecutor) -> None:
    anywhere.call_async(double, 2)
    assert anywhere.get_result(timeout=30) == 4
    anywhere.map(double, [2])
    assert anywhere.get_result(timeout=30) == [4]
    assert anywhere.get_result(anywhere.call_async(double, 3), timeout=30) == 6
    assert anywhere.get_result(timeout=30) == []


MAPS: list[tuple[Callable[..., Any], Any, dict[str, Any], Any]] = [
    (double, range(3), {}, [0, 2, 4]),
    (double, {5}, {}, [10]),
    (add, [(1, 2), {"x": 3, "y": 4}], {}, [3, 7]),
    (add, [1, 2], {"extra_args": (10,)}, [11, 12]),
    (add, [{"x": 1}], {"extra_args": {"y": 2}}, [3]),
    (with_id, ["a", "b"], {}, [("a", 0), ("b", 1)]),
    (calling.variable, ["COLOUR"] * 2, {"extra_env": {"COLOUR": "red"}}, ["red", "red"]),
    (calling.variable, ["COLOUR"], {}, [None]),
    (double, range(5), {"chunksize": 2}, [0, 2, 4, 6, 8]),
    (double, [], {}, []),
]


def test_map(anywhere: FunctionExecutor) -> None:
    for function, data, options, expected in MAPS:
        assert anywhere.get_result(anywhere.map(function, data, **options), timeout=30) == expected
    assert anywhere.get_result(anywhere.map(double, (x for x in (1, 2))), timeout=30) == [2, 4]


def test_reduce_chains_and_futures_as_data(anywhere: FunctionExecutor) -> None:
    futures = anywhere.map_reduce(double, range(5), total)
    assert len(futures) == 6
    assert anywhere.get_result(timeout=30) == 20
    assert anywhere.map(double, range(3)).map(double).map(str).get_result(timeout=30) == ["0", "4", "8"]
    assert anywhere.map(double, range(3)).map_reduce(double, total).get_result(timeout=30) == 12
    first = anywhere.call_async(double, 4)
    assert anywhere.call_async(add, (first, 1)).result(timeout=30) == 9
    assert anywhere.get_result(anywhere.map(double, anywhere.map(double, [1, 2])), timeout=30) == [4, 8]


def test_an_executor_within_a_function_runs_on_the_same_host(fexec: FunctionExecutor, warm: Host) -> None:
    # Whatever configuration lies around there is not for it.
    warm.run(
        "mkdir -p .lithops && echo 'lithops: {backend: nonsense}' | tee .lithops/config >.lithops_config",
        user="user",
    )
    here, there = fexec.call_async(calling.own_map, 4).result(timeout=30)
    assert here == warm.name
    assert there == [(number, warm.name) for number in range(4)]


def test_more_functions_with_executors_of_their_own_than_workers(anywhere: FunctionExecutor) -> None:
    with within(30):
        found = anywhere.get_result(anywhere.map(calling.own_map, [3] * 6), timeout=30)
    assert [[x for x, _ in there] for _, there in found] == [[0, 1, 2]] * 6


def test_futures_that_functions_return_are_followed(anywhere: FunctionExecutor) -> None:
    assert anywhere.get_result(anywhere.map(calling.futures_of_map, [2, 3]), timeout=30) == [1, 2, 1, 2, 3]
    assert anywhere.get_result(anywhere.call_async(calling.future_of_call, 4), timeout=30) == 8
    assert anywhere.get_result(anywhere.call_async(calling.future_of_future, 5), timeout=30) == 10
    assert anywhere.get_result(anywhere.call_async(calling.futures_of_map_reduce, 4), timeout=30) == 12
    assert anywhere.map(calling.future_of_call, range(8)).map(double).get_result(timeout=30) == [
        4 * x for x in range(8)
    ]


def test_stats(anywhere: FunctionExecutor) -> None:
    began = time.time()
    future = anywhere.call_async(calling.work, (64, 0.4))
    name = future.result(timeout=30)
    ended = time.time()
    stats = future.stats
    order = [
        "host_job_create_tstamp", "host_submit_tstamp", "worker_start_tstamp", "worker_func_start_tstamp",
        "worker_func_end_tstamp", "worker_end_tstamp", "host_status_done_tstamp", "host_result_done_tstamp",
    ]  # fmt: skip
    moments = [began, *(stats[key] for key in order), ended]
    assert moments == sorted(moments)  # The hosts of the testbed share this machine's clock.
    assert 0.4 <= stats["worker_func_exec_time"] <= stats["worker_exec_time"] < 20
    assert 0.05 < stats["worker_func_cpu_user_time"] + stats["worker_func_cpu_system_time"] < 20
    assert all(0 < share <= 110 for share in stats["worker_func_cpu_usage"])
    assert 64 << 20 < stats["worker_peak_memory_end"] < 512 << 20
    assert 1 << 20 < stats["worker_peak_memory_start"] < stats["worker_peak_memory_end"]
    assert 1 << 20 < stats["worker_func_rss"] <= stats["worker_peak_memory_end"]
    assert stats["attempt"] == 1
    assert name == (os.uname().nodename if stats["worker_host"] == "localhost" else "warm")


def test_the_state_of_a_call_from_outside(fexec: FunctionExecutor) -> None:
    path = "/tmp/gate"
    future = fexec.call_async(calling.until_there, path)
    eventually(lambda: future.running, "the call runs", 10)
    assert (future.ready, future.done, future.success, future.error) == (False,) * 4
    fexec.call_async(calling.touch, path)
    future.wait(timeout=10)
    assert (future.ready, future.done, future.success) == (True,) * 3
    assert (future.error, future.running) == (False, False)
    status = future.status()
    assert status is not None
    assert status["exception"] is False


def test_an_ended_future_is_read_by_another_process(
    fexec: FunctionExecutor, tmp_path: Path, home: Path
) -> None:
    futures = fexec.map(double, [1, 2])
    fexec.wait(futures, timeout=30)
    (tmp_path / "futures").write_bytes(pickle.dumps(futures))
    script = "import pickle; print([f.result() for f in pickle.load(open('futures', 'rb'))])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(home), capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[2, 4]\n", "")


def test_a_call_that_times_out_is_run_again_exactly_as_often_as_asked(
    fexec: FunctionExecutor, warm: Host
) -> None:
    warm.run("rm -rf /tmp/tries && mkdir -m 777 /tmp/tries")
    items = [(f"/tmp/tries/{number}", good) for number, good in enumerate((1, 2, 3, 9))]
    with RetryingFunctionExecutor(fexec) as retrying:
        futures = retrying.map(calling.attempt, items, timeout=0.4, retries=2)
        with within(30):
            done, pending = retrying.wait(futures, throw_except=False, timeout=30)
    assert (len(done), pending) == (4, [])
    assert [future.result() for future in futures[:3]] == [1, 2, 3]
    with pytest.raises(CallTimeout):
        futures[3].result()
    assert warm.run("cd /tmp/tries && wc -c < 0 && wc -c < 1 && wc -c < 2 && wc -c < 3").stdout.split() == [
        "1", "2", "3", "3",
    ]  # fmt: skip
    assert [future.failure_count for future in futures] == [0, 1, 2, 3]


def test_waiting_for_some(fexec: FunctionExecutor, warm: Host) -> None:
    warm.run("rm -f /tmp/open")
    quick = fexec.map(double, range(6))
    slow = fexec.map(calling.until_there, ["/tmp/open"] * 2)
    both = [*quick, *slow]
    done, pending = lithops.wait(both, return_when=75, timeout=30)
    assert set(quick) == set(done)
    assert set(slow) == set(pending)
    with within(5):
        assert len(lithops.wait(slow, return_when=ALWAYS)[1]) == 2
        assert lithops.wait(both, return_when=ANY_COMPLETED)[0]
    with within(5), pytest.raises(TimeoutError):
        lithops.wait(both, return_when=80, timeout=0.3)
    warm.run("touch /tmp/open")
    assert lithops.get_result(both, timeout=30) == [0, 2, 4, 6, 8, 10, None, None]


def test_cancel(fexec: FunctionExecutor, warm: Host) -> None:
    warm.run("rm -f /tmp/call-*")
    futures = fexec.map(calling.note_and_sleep, [(f"/tmp/call-{number}", 600) for number in range(6)])
    eventually(lambda: warm.run("ls /tmp").stdout.count("call-") == 2, "two calls run", 10)
    pids = warm.run("cat /tmp/call-0; echo; cat /tmp/call-1").stdout.split()
    for future in futures:
        assert future.cancel()
    with within(5):
        for future in futures:
            with pytest.raises(CallCancelled):
                future.result(timeout=10)
            assert future.cancelled
            assert not future.cancel()
    eventually(lambda: not warm.run(f"ps -o pid= -p {','.join(pids)}", check=False).stdout, "they end")
    assert fexec.call_async(double, 4).result(timeout=10) == 8
    assert warm.run("ls /tmp").stdout.count("call-") == 2


def test_dismantle(anywhere: FunctionExecutor) -> None:
    first = anywhere.call_async(os.getppid, ()).result(timeout=30)
    anywhere.dismantle()
    assert anywhere.call_async(os.getppid, ()).result(timeout=30) != first, "another agent"


def test_results_are_never_looked_at(anywhere: FunctionExecutor) -> None:
    futures = anywhere.map(calling.unaskable, range(3))
    assert [value.data for value in anywhere.get_result(futures, timeout=30)] == [0, 1, 2]
    assert repr(futures[0]).startswith("<ResponseFuture ")
    assert anywhere.map(calling.unaskable, range(3)).map(calling.data_of).get_result(timeout=30) == [0, 1, 2]
    reduced = anywhere.map_reduce(calling.unaskable, range(2), lambda results: [r.data for r in results])
    assert anywhere.get_result(reduced, timeout=30) == [0, 1]
    assert anywhere.call_async(calling.is_none, (calling.Unaskable(1),)).result(timeout=30) is False
    failed = anywhere.call_async(calling.raises_unaskable, 1)
    with pytest.raises(calling.Contrary):
        failed.result(timeout=30)


def test_after_a_with_block(warm: Host) -> None:
    with FunctionExecutor(config=warm.lithops_config()) as fexec:
        future = fexec.call_async(double, 3)
        assert future.result(timeout=30) == 6
    with within(1):
        assert future.result() == 6
    assert fexec.call_async(double, 4).result(timeout=30) == 8, "it opens again"
    fexec.__exit__()


def test_a_with_block_that_was_left_early_loses_nothing(warm: Host) -> None:
    with FunctionExecutor(config=warm.lithops_config()) as fexec:
        futures = fexec.map(double, range(20))
    assert fexec.get_result(futures, timeout=30) == [2 * x for x in range(20)]
    fexec.__exit__()
