"""Executors: their making, their end, their logs."""

from __future__ import annotations

import gc
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import lithops
from lithops import FunctionExecutor, LocalhostExecutor, ServerlessExecutor
from lithops.errors import ConfigError, NotSupportedYet
from lithops.job.info import owners
from lithops.testing import HELD
from tests.unit.api import functions as fn
from tests.unit.api.conftest import Bench


def test_no_session_before_the_first_call(bench: Bench) -> None:
    fexec = bench.executor()
    assert bench.sessions == []
    fexec.call_async(fn.double, 1)
    fexec.map(fn.double, [1])
    assert len(bench.sessions) == 1


def test_ids_are_unique() -> None:
    ids = {FunctionExecutor(config={}, log_level=None).executor_id for _ in range(3)}
    assert len(ids) == 3
    assert len({name.split("-")[0] for name in ids}) == 1
    assert len(min(ids).split("-")[0]) >= 8


def test_what_it_runs_on(bench: Bench) -> None:
    fexec = LocalhostExecutor(config={}, worker_processes=3)
    assert (fexec.backend, fexec.mode) == ("localhost", "localhost")
    assert fexec.config["localhost"]["worker_processes"] == 3
    assert FunctionExecutor(config=fexec.config).config == fexec.config


def test_in_a_worker_no_configuration_is_looked_for(
    bench: Bench, nested: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", "/does/not/exist")
    assert FunctionExecutor().backend == "localhost"
    with pytest.raises((ConfigError, OSError)):
        FunctionExecutor(backend="vm")


def test_leaving_with_closes_what_is_done(bench: Bench) -> None:
    with bench.executor() as fexec:
        future = fexec.call_async(fn.double, 1)
    assert bench.session.closed == 1
    assert future.result() == 2
    assert fexec.get_result() == 2


def test_leaving_with_keeps_what_goes_on(bench: Bench) -> None:
    with bench.executor(HELD) as fexec:
        future = fexec.call_async(fn.double, 1)
    assert (bench.session.closed, bench.session.cancelled) == (0, [])
    bench.session.run()
    assert future.result() == 2


def test_an_interrupt_that_leaves_the_block_ends_its_calls(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    future = fexec.call_async(fn.double, 1)
    fexec.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert future.cancelled
    assert bench.session.cancelled == [future]


def test_dismantle(bench: Bench) -> None:
    fexec = bench.executor()
    fexec.call_async(fn.double, 1)
    fexec.dismantle()
    assert (bench.session.dismantled, bench.session.closed) == (1, 1)
    assert fexec.call_async(fn.double, 1).result() == 2
    assert len(bench.sessions) == 2


def test_clean_forgets_what_was_read(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    read, unread, running = (fexec.call_async(fn.double, x) for x in range(3))
    bench.session.run(2)
    fexec.get_result(read)
    fexec.clean()
    assert fexec.futures == [unread, running]
    assert read.result() == 0
    assert pickle.loads(pickle.dumps(read)) is not read
    fexec.clean(unread)
    assert fexec.futures == [running]
    fexec.clean(force=True)
    assert fexec.futures == []


def test_an_executor_is_not_kept_alive(bench: Bench) -> None:
    fexec = bench.executor()
    fexec.map(fn.double, [1]).map(fn.double).get_result()
    name = fexec.executor_id
    assert name in owners
    del fexec
    gc.collect()
    assert name not in owners


def test_what_is_not_there_yet(fexec: FunctionExecutor) -> None:
    for call in (fexec.plot, ServerlessExecutor):
        with pytest.raises(NotSupportedYet, match="not supported yet"):
            call()
    with pytest.raises(NotSupportedYet, match="obj_chunk_size"):
        fexec.map(fn.double, [1], obj_chunk_size=1)


def test_an_executor_tells_what_its_calls_took(fexec: FunctionExecutor) -> None:
    fexec.get_result(fexec.map(fn.double, [1, 2, 3]))
    told = fexec.job_summary(cloud_objects_n=4)
    assert (told.executor_id, told.total.calls, told.total.succeeded) == (fexec.executor_id, 3, 3)
    assert [function.function_name for function in told.functions] == ["double"]
    assert (told.machines, told.cost, told.cloud_objects) == ((), 0, 4)


class TestLogs:
    def test_as_the_configuration_says(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        config = {"lithops": {"log_level": "DEBUG", "log_format": "%(message)s!", "log_filename": str(path)}}
        root = logging.getLogger().handlers[:]
        FunctionExecutor(config=config)
        logging.getLogger("lithops.test").debug("text")
        assert path.read_text() == "text!\n"
        assert logging.getLogger().handlers == root

    def test_an_argument_wins_and_none_is_off(self) -> None:
        logger = logging.getLogger("lithops.test")
        FunctionExecutor(config={}, log_level="ERROR")
        assert logger.getEffectiveLevel() == logging.ERROR
        FunctionExecutor(config={})
        assert logger.getEffectiveLevel() == logging.ERROR
        FunctionExecutor(config={}, log_level=None)
        assert not logger.isEnabledFor(logging.CRITICAL)

    def test_what_the_program_has_set_up_stays(self) -> None:
        logging.getLogger("lithops").setLevel(logging.WARNING)
        FunctionExecutor(config={})
        assert logging.getLogger("lithops").handlers == []


def test_importing_is_lean() -> None:
    heavy = {"cloudpickle", "yaml", "tqdm", "inspect", "numpy", "paramiko", "dataclasses", "logging.config"}
    # What logging imports is not ours: from Python 3.14 on, dataclasses and inspect are among it.
    before = "import logging, sys; known = set(sys.modules)"
    code = f"{before}; import lithops; print(sorted({heavy!r} & (set(sys.modules) - known)))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert out.stdout.strip() == "[]"
    assert lithops.__version__
