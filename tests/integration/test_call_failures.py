"""How a single call fails on a real host: with its own error, at once, and with nothing else disturbed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lithops import FunctionExecutor
from lithops.errors import (
    CallError,
    CallTimeout,
    RemoteError,
    RemoteTraceback,
    ResultError,
    WorkerDied,
)
from tests.integration import calling
from tests.integration.calling import double
from tests.integration.conftest import OpenExecutor
from tests.integration.support import agent_state, eventually, run_script, within
from tests.testbed import Host
from tests.testbed.fixtures import FreshHost

pytestmark = pytest.mark.integration

BAD = 2


def one_fails(
    fexec: FunctionExecutor, misdeed: Callable[[], Any], seconds: float = 8, **options: Any
) -> Exception:
    """One of five calls does ``misdeed``, the others give their results; what the one failed with."""

    def behave(x: int, misdeed: Callable[[], Any]) -> Any:
        return misdeed() if x == 2 else 2 * x

    futures = fexec.map(behave, range(5), extra_args=(misdeed,), **options)
    with within(seconds):
        fexec.wait(futures, throw_except=False, timeout=seconds + 5)
    assert [future.result(throw_except=False) for future in futures] == [0, 2, None, 6, 8]
    assert [future.error for future in futures] == [number == BAD for number in range(5)]
    with pytest.raises(Exception) as raised:
        futures[BAD].result()
    return raised.value


def test_the_exception_comes_back_with_its_traceback_there(fexec: FunctionExecutor) -> None:
    error = one_fails(fexec, lambda: dict[str, int]()["missing"])
    assert type(error) is KeyError
    assert error.args == ("missing",)
    assert isinstance(error.__cause__, RemoteTraceback)
    text = str(error.__cause__)
    assert f'File "{__file__}", line' in text
    assert "in behave" in text
    assert "KeyError: 'missing'" in text
    assert "worker.py" not in text
    assert fexec.call_async(double, 2).result(timeout=10) == 4


def test_an_exception_of_a_module_that_travels(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(calling.refuse, ("no", 7))
    with pytest.raises(calling.Refusal, match="no") as raised:
        future.result(timeout=10)
    assert raised.value.code == 7
    chain = str(raised.value.__cause__)
    assert "KeyError" in chain
    assert "direct cause" in chain


MAIN = """\
import lithops

class Mine(Exception):
    def __init__(self, text, code):
        super().__init__(text, code)
        self.code = code

def fail(x):
    raise Mine('of the script', x)

if __name__ == '__main__':
    fexec = lithops.FunctionExecutor(config=CONFIG)
    future = fexec.call_async(fail, 9)
    try:
        future.result(timeout=20)
    except Mine as exc:
        print('caught', type(exc) is Mine, exc.args, exc.code)
    fexec.map(fail, [1, 2])
    fexec.get_result()
"""


def test_an_exception_class_of_the_script(warm: Host, tmp_path: Path, home: Path) -> None:
    done = run_script(MAIN.replace("CONFIG", repr(warm.lithops_config())), tmp_path, home)
    assert done.stdout == "caught True ('of the script', 9) 9\n"
    assert done.returncode == 1
    assert "in fail" in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("Mine: ('of the script', ")


def test_an_exception_class_that_is_not_here(fexec: FunctionExecutor) -> None:
    def raise_strange() -> None:
        import pathlib
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "only_there.py")
            path.write_text("class Strange(Exception): pass\n")
            sys.path.insert(0, folder)
            import only_there  # type: ignore[import-not-found]

            raise only_there.Strange("from afar")

    error = one_fails(fexec, raise_strange)
    assert type(error) is RemoteError
    assert "only_there.Strange: from afar" in str(error)
    assert "in raise_strange" in str(error)


MISDEEDS: dict[str, tuple[Callable[[], Any], type[CallError], list[str]]] = {
    "raises what can't be pickled": (calling.raise_unpicklable, RemoteError, ["ValueError", "holds a lock"]),
    "raises what is broken": (calling.raise_broken, RemoteError, ["Broken", "in raise_broken"]),
    "returns a lock": (threading.Lock, ResultError, ["behave()", "lock", "TypeError"]),
    "returns a generator": (lambda: (x for x in [1]), ResultError, ["behave()", "generator"]),
    "sys.exit(4)": (lambda: sys.exit(4), RemoteError, [": SystemExit: 4"]),
    "sys.exit(text)": (lambda: sys.exit("enough"), RemoteError, ["SystemExit: enough"]),
    "os._exit(3)": (lambda: os._exit(3), WorkerDied, ["behave()", "code 3"]),
    "os._exit(0)": (lambda: os._exit(0), WorkerDied, ["behave()", "code 0"]),
    "SIGSEGV": (lambda: ctypes.string_at(0), WorkerDied, ["SIGSEGV", "string_at"]),
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), WorkerDied, ["SIGKILL"]),
    "SIGTERM": (lambda: os.kill(os.getpid(), signal.SIGTERM), WorkerDied, ["SIGTERM"]),
    "abort": (os.abort, WorkerDied, ["SIGABRT"]),
    "closes everything": (lambda: os.closerange(0, 4096), WorkerDied, ["behave()"]),
}


@pytest.mark.parametrize("name", MISDEEDS)
def test_a_misdeed(anywhere: FunctionExecutor, warm: Host, name: str) -> None:
    misdeed, kind, words = MISDEEDS[name]
    error = one_fails(anywhere, misdeed)
    assert type(error) is kind
    assert isinstance(error, CallError)
    assert error.host == ("localhost" if anywhere.backend == "localhost" else warm.address)
    assert error.call_id == "00002"
    assert error.job_id
    assert not [word for word in words if word not in str(error)], str(error)


def test_what_a_worker_printed_comes_with_its_death(fexec: FunctionExecutor) -> None:
    def print_and_die() -> None:
        print("last words")
        os._exit(3)

    assert "last words" in str(one_fails(fexec, print_and_die))


def test_recursion_without_end(fexec: FunctionExecutor) -> None:
    def again() -> Any:
        return again()

    assert type(one_fails(fexec, again)) is RecursionError


def test_killed_by_the_kernel_for_memory(fresh_host: FreshHost, open_executor: OpenExecutor) -> None:
    host = fresh_host(memory="384M")
    fexec = open_executor(host.lithops_config())

    def hoard() -> None:
        kept = []
        while True:
            kept.append(b"x" * (16 << 20))

    assert fexec.call_async(double, 1).result(timeout=15) == 2
    error = one_fails(fexec, hoard, seconds=15)
    assert type(error) is WorkerDied
    assert "memory" in str(error)
    assert host.oom_kills() == 1
    assert fexec.call_async(double, 1).result(timeout=10) == 2


def test_a_call_beyond_its_time_out_is_killed_with_its_children(fexec: FunctionExecutor, warm: Host) -> None:
    warm.run("rm -f /tmp/child")

    def dawdle() -> None:
        import subprocess

        with open("/tmp/child", "w") as file:
            file.write(str(subprocess.Popen(["sleep", "600"]).pid))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)

    error = one_fails(fexec, dawdle, timeout=1)
    assert type(error) is CallTimeout
    assert isinstance(error, TimeoutError)
    assert "1 s" in str(error)
    pid = warm.run("cat /tmp/child").stdout
    eventually(lambda: not warm.run(f"ps -o pid= -p {pid}", check=False).stdout.strip(), "the child ends")


def test_the_time_out_of_the_configuration(warm: Host, open_executor: OpenExecutor) -> None:
    fexec = open_executor(warm.lithops_config(lithops={"backend": "vm", "execution_timeout": 1}))
    future = fexec.call_async(time.sleep, 600)
    with within(5), pytest.raises(CallTimeout):
        future.result(timeout=10)
    assert fexec.call_async(time.sleep, 1.3, timeout=20).result(timeout=10) is None


def test_printing_100_mb(fexec: FunctionExecutor, warm: Host) -> None:
    def talk(x: int) -> int:
        for _ in range(1000):
            print("x" * 100_000)
        return x

    futures = fexec.map(talk, [1, 2])
    with within(20):
        assert fexec.get_result(futures, timeout=30) == [1, 2]
    size = "du -sk /home/user/.lithops/agent/work/logs | cut -f1"
    eventually(lambda: int(warm.run(size).stdout) < 1 << 10, "the output is dropped with its worker")


def nothing_stays(host: Host) -> None:
    """What was large is gone from the host, and the agent has never held it in memory."""
    kept = "du -sm /home/user/.lithops/agent/work | cut -f1"
    eventually(lambda: int(host.run(kept).stdout) < 64, "the file is deleted", 10)
    status = host.run(f"cat /proc/{agent_state(host)['pid']}/status").stdout
    peak = int(status.split("VmHWM:")[1].split()[0])
    assert peak < 200 << 10, f"the agent has held {peak} kB"


def test_a_result_of_500_mb(fexec: FunctionExecutor, warm: Host) -> None:
    def fat(x: int) -> bytes:
        return bytes([x]) * (500 << 20 if x == 1 else 10)

    futures = fexec.map(fat, [0, 1, 2])
    with within(10):
        assert futures[0].result(timeout=10) == bytes(10)
        assert futures[2].result(timeout=10) == b"\2" * 10
    with within(60):
        large = futures[1].result(timeout=60)
    assert len(large) == 500 << 20
    assert large[0] == large[-1] == 1
    nothing_stays(warm)


def test_data_of_500_mb(warm: Host, open_executor: OpenExecutor) -> None:
    fexec = open_executor(warm.lithops_config(lithops={"backend": "vm", "data_limit": False}))
    data = b"\5" * (500 << 20)
    with within(60):
        futures = fexec.map(lambda data: (len(data), data[-1]), [data, b"\7"])
        assert fexec.get_result(futures, timeout=60) == [(500 << 20, 5), (1, 7)]
    nothing_stays(warm)


def test_the_data_limit(fexec: FunctionExecutor) -> None:
    with within(5), pytest.raises(ValueError, match="data_limit"):
        fexec.call_async(len, b"x" * (5 << 20))
    assert fexec.call_async(len, b"x" * (3 << 20)).result(timeout=10) == 3 << 20


def test_100_000_calls_one_of_which_fails(fexec: FunctionExecutor) -> None:
    def halve(x: int) -> int:
        if x == 77_777:
            os._exit(3)
        return 2 * x

    futures = fexec.map(halve, range(100_000))
    with within(60):
        fexec.wait(futures, throw_except=False, timeout=90)
    assert [future._number for future in futures if future.error] == [77_777]
    results = [future.result(throw_except=False) for future in futures]
    assert [x for x in results if x is not None] == [2 * x for x in range(100_000) if x != 77_777]
    with pytest.raises(WorkerDied):
        futures[77_777].result()
