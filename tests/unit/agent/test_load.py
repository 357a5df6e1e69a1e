"""What there is on a host, and who is short of workers."""

from __future__ import annotations

import pytest

from lithops_agent.load import Job, Load, Worker, queue_length
from lithops_agent.protocol import Status


def add(load: Load, name: str, calls: int = 1, depth: int = 0) -> Job:
    """A job with calls that wait."""
    job = load.job(name, depth, None, 0)
    job.backlog.extend(range(calls))
    load.note_unserved(job)
    return job


def names(jobs: list[Job]) -> list[str]:
    return [job.job for job in jobs]


def end_all(job: Job) -> None:
    job.backlog.clear()


def test_a_job_is_known_until_it_is_forgotten() -> None:
    load = Load(1)
    first = load.job("a", 0, 5.0, 2)
    assert load.job("a", 1, None, 0) is first
    assert (first.timeout, first.retries, first.depth) == (5.0, 2, 0)
    assert load.knows(first)
    load.forget("a")
    load.forget("a")
    again = load.job("a", 0, None, 0)
    assert not load.knows(first)
    assert load.knows(again)
    assert again.serial > first.serial


def test_a_worker_belongs_to_its_job_until_it_ends() -> None:
    load = Load(2)
    job = add(load, "a")
    one, two = load.start(job, 7.0), load.start(job, 8.0)
    assert (one.worker, two.worker, load.last_worker) == (1, 2, 2)
    assert (one.started_at, one.head_at, job.last_served_at) == (7.0, 7.0, 8.0)
    assert load.of("a") == [one, two]
    assert load.remove(1) is one
    assert load.of("a") == job.workers == [two]
    assert list(load.workers) == [2]
    load.forget("a")
    assert load.of("a") == []
    assert list(load.workers) == [2], "it is there until it has ended"
    assert load.start(job, 9.0).worker == 3, "no number is used again"


@pytest.mark.parametrize(
    ("change", "serves", "has_slot"),
    [
        ({}, True, True),
        ({"leaving": True}, False, True),
        ({"retired": True}, False, False),
        ({"killed_for": Status.CANCELLED}, False, False),
    ],
)
def test_which_workers_serve_and_which_have_a_slot(
    change: dict[str, object], serves: bool, has_slot: bool
) -> None:
    load = Load(2)
    job = add(load, "a")
    worker = load.start(job, 0.0)
    for name, value in change.items():
        setattr(worker, name, value)
    assert job.serving() == serves
    assert load.free_slots(0) == 2 - has_slot


def test_each_depth_has_slots_of_its_own() -> None:
    load = Load(1)
    outer, inner = add(load, "outer"), add(load, "inner", depth=1)
    load.start(outer, 0.0)
    assert (load.free_slots(0), load.free_slots(1)) == (0, 1)
    worker = load.start(inner, 0.0)
    assert load.at(1) == [worker]
    load.processes = 0
    assert load.free_slots(1) == -1
    assert load.depths() == [0, 1]


def test_of_jobs_without_a_worker_the_one_that_waits_longest_is_next() -> None:
    load = Load(1)
    a, b, c = (add(load, name) for name in "abc")
    assert names(load.wanting(0)) == ["a"]
    worker = load.start(a, 5.0)
    assert names(load.wanting(0)) == ["b"]
    load.remove(worker.worker)
    load.note_unserved(a)
    end_all(b)
    assert names(load.wanting(0)) == ["c"], "a was served since"
    load.forget("c")
    assert not load.knows(c)
    assert names(load.wanting(0)) == ["a"]
    assert load.any_unserved()
    end_all(a)
    assert not load.any_unserved()
    assert load.wanting(0) == []


def test_a_job_without_calls_or_with_a_worker_is_not_unserved() -> None:
    load = Load(2)
    served = add(load, "served", calls=0)
    load.note_unserved(served)
    assert not load.any_unserved()
    load.start(served, 0.0)
    served.backlog.append(0)
    load.note_unserved(served)
    assert not load.any_unserved()


def test_a_job_wants_more_workers_while_more_calls_wait_than_workers_idle() -> None:
    load = Load(3)
    job = add(load, "a", calls=3)
    idle = load.start(job, 0.0)
    assert names(load.wanting(0)) == ["a"]
    busy = load.start(job, 0.0)
    busy.queue.append(job.backlog.pop())
    job.backlog.pop()
    assert load.wanting(0) == [], "the idle one will take it"
    idle.queue.append(9)
    assert names(load.wanting(0)) == ["a"]
    load.start(job, 0.0).queue.append(10)
    assert load.wanting(0) == [], "it has all the slots"


@pytest.mark.parametrize(
    ("mean", "length"), [(None, 1), (0.1, 1), (0.099, 2), (0.02, 2), (0.01, 3), (0.001, 21), (0.0, 64)]
)
def test_only_short_calls_are_queued_ahead(mean: float | None, length: int) -> None:
    job = Job("a", 1, 0, None, 0, mean=mean)
    assert queue_length(job) == length


def test_a_worker_of_a_job_that_came_again_is_not_its() -> None:
    load = Load(1)
    old: Worker = load.start(add(load, "a"), 0.0)
    load.forget("a")
    new = add(load, "a")
    assert load.of("a") == []
    assert names(load.wanting(0)) == ["a"]
    assert load.remove(old.worker).job is not new
