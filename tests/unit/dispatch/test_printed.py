"""What calls print on their way from hosts to futures, to the disk and to the screen; and calls that fail."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from lithops.backends.machine import FixedSupply
from lithops.dispatch.jobs import SessionOptions
from lithops.dispatch.session import RemoteSession
from lithops.future import ResponseFuture
from lithops.printing import Printer
from lithops.state.keepsakes import Keepsakes
from lithops.state.ledger import Ledger
from lithops.testing import account_of
from lithops.testing_machine import FakeMachine
from lithops_agent.protocol import Status
from tests.unit.dispatch.conftest import PATIENCE, Bench


def with_ledger(bench: Bench, folder: Path, **options: Any) -> None:
    """Open a session that keeps notes."""
    agent = bench.agent()
    bench.machines = {"a": FakeMachine("a", agent)}
    chosen: dict[str, Any] = {
        "soft_timeout": None,
        "hard_timeout": None,
        "start_timeout": PATIENCE,
        **options,
    }
    ledger = Ledger("session", "vm", {}, folder=folder)
    bench.session = RemoteSession(
        FixedSupply(list(bench.machines.values())), "session", SessionOptions(**chosen), ledger
    )
    bench.sessions.append(bench.session)


def finish(bench: Bench, future: ResponseFuture, printed: bytes = b"", **how: Any) -> None:
    agent = bench.agents[-1]
    agent.wait_for(lambda: (future.job_key, future._number) in agent.calls)
    agent.finish(future.job_key, future._number, printed=printed, **{"body": pickle.dumps(None), **how})
    future.wait(timeout=PATIENCE)


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_future_has_what_its_call_printed(bench: Bench, size: int) -> None:
    bench.open(bench.agent())
    loud, silent = bench.submit(2)
    finish(bench, loud, b"hello\n", body=bytes(size) if size > 10 else pickle.dumps(None))
    finish(bench, silent)
    assert (loud.logs, silent.logs) == ("hello\n", "")


def test_without_a_disk_the_end_is_kept(bench: Bench) -> None:
    bench.open(bench.agent())
    (future,) = bench.submit(1)
    finish(bench, future, b"x" * 100_000 + b"end")
    assert future.logs.startswith("… (34467 bytes before this were not kept)\nxxx")
    assert future.logs.endswith("xend")


def test_a_long_text_is_on_the_disk(bench: Bench, tmp_path: Path) -> None:
    with_ledger(bench, tmp_path)
    futures = bench.submit(2)
    texts = [b"a" * 10_000 + b"\xff", b"b" * 20_000]
    for future, text in zip(futures, texts):
        finish(bench, future, text)
    assert [future.logs for future in futures] == [text.decode("utf-8", "replace") for text in texts]
    again = pickle.loads(pickle.dumps(futures[1]))
    assert again.logs == texts[1].decode()
    kept = Keepsakes(tmp_path).printed(futures[0].job_key)
    assert [(part.number, part.text) for part in kept] == list(enumerate(texts))
    (tmp_path / "printed" / futures[0].job_key).unlink()
    assert futures[1].logs.startswith("… (15904 bytes before this were not kept)\nbbb")


def test_what_a_failed_call_needs_is_kept(bench: Bench, tmp_path: Path) -> None:
    with_ledger(bench, tmp_path)
    good, bad, dead, cancelled = bench.submit(4)
    finish(bench, good)
    finish(bench, bad, status=Status.EXCEPTION, body=account_of(ValueError("no")))
    finish(bench, dead, status=Status.WORKER_DIED, body=b"killed")
    cancelled.cancel()
    kept = Keepsakes(tmp_path).failed(good.job_key)
    assert kept is not None
    assert kept.payloads == {1: pickle.dumps(1), 2: pickle.dumps(2)}
    assert kept.job.function.data == b"the function"
    assert bench.session.awaited._leaving == {}


def test_calls_are_heard_while_they_run_and_only_once(bench: Bench) -> None:
    told: list[str] = []
    agent = bench.agent()
    bench.open(agent, printer=Printer(told.append))
    (future,) = bench.submit(1)
    agent.wait_for(lambda: bool(agent.calls))
    agent.speaking[future.job_key, 0] = b"one\ntw"
    name = f"[{future.job_id}-00000] "
    agent.wait_for(lambda: told == [f"{name}one\n"])
    finish(bench, future, b"one\ntwo\nlast")
    agent.wait_for(lambda: "".join(told) == f"{name}one\n{name}two\n{name}last\n")


def test_without_the_setting_nobody_listens(bench: Bench) -> None:
    bench.open(bench.agent())
    finish(bench, bench.submit(1)[0], b"x")
    assert "/v1/printed" not in [path for path, _ in bench.agents[-1].log]
