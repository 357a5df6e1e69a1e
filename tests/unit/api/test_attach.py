"""Going on with the jobs of another process, from its records."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import lithops
from lithops import attachment
from lithops.errors import CallNotSubmitted, JobUnknown
from lithops.job.info import owners
from lithops.state.ledger import Ledger
from lithops.testing import HELD
from tests.unit.api.conftest import Bench

CONFIG = {"lithops": {"backend": "localhost"}, "localhost": {}}


def double(x: int) -> int:
    return 2 * x


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(attachment, "_attachments", {})
    return tmp_path


def left_by_another(bench: Bench, numbers: range, held_back: int = 0) -> list[lithops.future.ResponseFuture]:
    """A job as a process that was killed leaves it: in the records, and in no executor of this process."""
    fexec = bench.executor(HELD)
    futures = fexec.map(double, [*numbers, *range(held_back)])
    session = bench.session
    ledger = Ledger(fexec.executor_id, "localhost", CONFIG)
    payloads = [(future._number, payload) for _, future, payload in session.submitted]
    ledger.submitted(
        futures[0].job_key, session.jobs[0], futures[0]._info, payloads[: len(payloads) - held_back]
    )
    del owners[fexec.executor_id]
    return list(futures)


def test_the_results_of_another_process(home: Path, bench: Bench) -> None:
    lost = left_by_another(bench, range(4))
    bench.how = "inline"
    futures = lithops.attach(lost[0].job_key)
    assert [future.job_key for future in futures] == [future.job_key for future in lost]
    assert futures.get_result() == [0, 2, 4, 6]


@pytest.mark.parametrize("name", ["job_key", "executor_id", "job_id", "activation_id"])
def test_each_id_finds_the_job(home: Path, bench: Bench, name: str) -> None:
    lost = left_by_another(bench, range(2))
    bench.how = "inline"
    fexec = bench.executor()
    assert fexec.attach(getattr(lost[1], name)).get_result() == [0, 2]


def test_attached_futures_are_the_executors_own(home: Path, bench: Bench) -> None:
    lost = left_by_another(bench, range(3))
    fexec = bench.executor()
    fexec.attach(lost[0].job_key)
    again = fexec.attach(lost[0].job_key)
    assert fexec.get_result() == [0, 2, 4]
    assert len(fexec.futures) == len(again) == 3


def test_what_never_reached_the_records_is_told(home: Path, bench: Bench) -> None:
    lost = left_by_another(bench, range(2), held_back=1)
    bench.how = "inline"
    futures = lithops.attach(lost[0].job_key)
    assert [future.result() for future in futures[:2]] == [0, 2]
    with pytest.raises(CallNotSubmitted, match="never handed to a host"):
        futures[2].result()


def test_jobs_that_are_not_there(home: Path, bench: Bench) -> None:
    with pytest.raises(JobUnknown, match="no record of any job"):
        lithops.attach("abc-0-M000")
    lost = left_by_another(bench, range(2))
    with pytest.raises(JobUnknown, match=f"no job 'abc-0-M000'.*{lost[0].job_key}"):
        lithops.attach("abc-0-M000")
    ledger = Ledger(lost[0].executor_id, "localhost", CONFIG)
    ledger.released([lost[0].job_key])
    with pytest.raises(JobUnknown, match="collected and are forgotten"):
        lithops.attach(lost[0].job_key)


def test_a_short_id_that_several_jobs_have(home: Path, bench: Bench) -> None:
    left_by_another(bench, range(1))
    left_by_another(bench, range(1))
    with pytest.raises(JobUnknown, match="2 jobs are called M000"):
        lithops.attach("M000")


def test_a_pickled_future_is_collected_elsewhere(home: Path, bench: Bench) -> None:
    lost = left_by_another(bench, range(3))
    pickled = pickle.dumps(lost)
    bench.how = "inline"
    again = pickle.loads(pickled)
    assert not again[0].done
    assert [future.result(timeout=5) for future in again] == [0, 2, 4]
    assert bench.session.seen == [lost[0].job_key]


def test_a_pickled_future_ends_later(home: Path, bench: Bench) -> None:
    lost = left_by_another(bench, range(2))
    again = pickle.loads(pickle.dumps(lost))
    bench.how = HELD
    fexec = bench.executor(HELD)
    done, pending = fexec.wait(again, return_when=0)
    assert (len(done), len(pending)) == (0, 2)
    bench.session.run()
    assert fexec.get_result(again) == [0, 2]


def test_a_pickled_future_without_records(home: Path, bench: Bench) -> None:
    fexec = bench.executor(HELD)
    pickled = pickle.dumps(fexec.call_async(double, 1))
    del owners[fexec.executor_id]
    with pytest.raises(JobUnknown, match="its executor is not in this process"):
        pickle.loads(pickled).result(timeout=1)
