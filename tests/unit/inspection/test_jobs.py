"""What became of jobs, from the records and from hosts."""

from __future__ import annotations

import pickle

import pytest

from lithops.errors import JobUnknown
from lithops.inspection import jobs
from lithops.inspection.hosts import machines_of_job
from lithops.inspection.jobs import Share, list_jobs
from lithops.inspection.sweep import sweep
from lithops.state.lookup import noted
from lithops.state.records import FailureRecord, JobRecord, ProgressRecord, Records
from lithops_agent import protocol
from lithops_agent.protocol import Status
from tests.unit.clusters import Cluster, submit, use

KEY = "x-0-M000"


def progress(records: Records, done: int, failed: int) -> None:
    records.progressed(ProgressRecord(job_key=KEY, done=done, failed=failed, at=9.0))


@pytest.mark.parametrize(
    ("noted", "ended", "closed", "alive", "expected"),
    [
        (None, False, False, True, ("running", 0, 0)),
        ((2, 1), False, False, True, ("running", 2, 1)),
        ((2, 1), False, False, False, ("script gone", 2, 1)),
        (None, False, True, True, ("script gone", 0, 0)),
        (None, True, True, False, ("done", 4, 0)),
        ((2, 1), True, False, True, ("failed", 4, 1)),
        ((4, 0), False, False, False, ("done", 4, 0)),
    ],
)
def test_states(
    cluster: Cluster,
    records: Records,
    noted: tuple[int, int] | None,
    ended: bool,
    closed: bool,
    alive: bool,
    expected: tuple[str, int, int],
) -> None:
    use(records, "a")
    submit(records)
    if noted:
        progress(records, *noted)
    if ended:
        records.job_ended(KEY, 8.0)
    if closed:
        records.executor_closed("x-0", 1, 9.0)
    (view,) = list_jobs(records, lambda pid, since: alive)
    assert (view.state, view.done, view.failed) == expected
    assert view.ended_at == (8.0 if ended else None)


def test_jobs_are_found_by_key_call_or_name(records: Records) -> None:
    for key, at in (("x-0-M000", 1.0), ("y-0-M000", 2.0), ("y-0-A001", 3.0)):
        submit(records, key, at=at)
    records.jobs_released(["y-0-M000"], 9.0)
    found = [
        noted(records, job, "here").job_key for job in ("x-0-M000", "x-0-M000-00003", "M000", "x-0", "A001")
    ]
    assert found == ["x-0-M000", "x-0-M000", "y-0-M000", "x-0-M000", "y-0-A001"]
    with pytest.raises(
        JobUnknown, match="executor y-0 has 2 jobs: say which one, such as y-0-M000, y-0-A001"
    ):
        noted(records, "y-0", "here")
    with pytest.raises(
        JobUnknown, match="no job 'M7' in here; the last ones are y-0-A001, y-0-M000, x-0-M000"
    ):
        noted(records, "M7", "here")


@pytest.fixture
def job(cluster: Cluster, records: Records) -> JobRecord:
    cluster.add("a", processes=1)
    cluster.run("a", KEY, range(3))
    use(records, "a")
    return submit(records)


def test_hosts_tell_what_they_have(cluster: Cluster, records: Records, job: JobRecord) -> None:
    machines = machines_of_job(records, job, {})
    assert jobs.shares(machines, KEY) == [Share(host="a", waiting=2, running=[0])]
    cluster.machines["a"].unreachable = True
    assert jobs.shares(machines, KEY) == [Share(host="a", error="no route")]
    cluster.machines["a"].unreachable, cluster.machines["a"].agent = False, None  # type: ignore[assignment]
    assert jobs.shares(machines, KEY) == [Share(host="a")]


def test_a_job_is_cancelled_on_its_hosts(cluster: Cluster, records: Records, job: JobRecord) -> None:
    agent = cluster.agents[0]
    assert jobs.cancel(machines_of_job(records, job, {}), KEY) == [Share(host="a", waiting=2, running=[0])]
    assert agent.requests(protocol.CANCEL) == [{"job": KEY, "numbers": None}]
    assert not agent.calls


def test_results_that_nobody_collected_tell_how_calls_ended(
    cluster: Cluster, records: Records, job: JobRecord
) -> None:
    agent = cluster.agents[0]
    account = {"type": "builtins.ValueError", "message": "no", "traceback": "", "exception": None}
    agent.finish(KEY, 0, Status.SUCCESS, b"result")
    agent.finish(KEY, 1, Status.EXCEPTION, pickle.dumps({**account, "traceback": "long " * 20000}))
    agent.finish(KEY, 2, Status.WORKER_DIED, b"exit 3")
    sweep(records, job, machines_of_job(records, job, {}), 9.0)
    assert records.failures_of(KEY) == [
        FailureRecord(job_key=KEY, number=1, host="a", error="ValueError", message="no"),
        FailureRecord(
            job_key=KEY, number=2, host="a", error="WorkerDied", message="the worker of f() died: exit 3"
        ),
    ]
    noted_now = records.progress()[KEY]
    assert (noted_now.done, noted_now.failed) == (3, 2)
    assert protocol.RELEASE.path not in [path for path, _ in agent.log], "whoever attaches gets the results"


def test_what_a_program_saw_on_a_host_that_is_gone_stays(
    cluster: Cluster, records: Records, job: JobRecord
) -> None:
    progress(records, 3, 1)
    cluster.machines["a"].unreachable = True
    sweep(records, job, machines_of_job(records, job, {}), 9.0)
    assert (records.progress()[KEY].done, records.progress()[KEY].failed) == (3, 1)


def test_a_job_whose_data_were_removed_before_its_end(cluster: Cluster, records: Records) -> None:
    use(records, "a")
    submit(records)
    records.jobs_released([KEY], 9.0)
    assert [view.state for view in list_jobs(records)] == ["given up"]
    records.job_ended(KEY, 9.0)
    assert [view.state for view in list_jobs(records)] == ["done"]
