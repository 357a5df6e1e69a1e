"""The scheduler: what must always hold, whatever happens on a simulated host."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent.simulation import Host, check_sleep

JOBS = ("a", "b", "c")
EVENTS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(JOBS), st.integers(1, 80)),
    st.tuples(st.just("finish"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("die"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("cancel"), st.sampled_from(JOBS), st.integers(0, 120)),
    st.tuples(st.just("cancel all"), st.sampled_from(JOBS), st.just(0)),
    st.tuples(st.just("revoke"), st.sampled_from(JOBS), st.integers(0, 50)),
    st.tuples(st.just("release"), st.sampled_from(JOBS), st.just(0)),
    st.tuples(st.just("pass"), st.sampled_from((0.0001, 0.01, 0.021, 0.2, 0.26, 0.6, 5.0)), st.just(0)),
    st.tuples(st.just("begin"), st.just(0), st.just(0)),
    st.tuples(st.just("report"), st.integers(0, 9), st.just(0)),
)


@settings(max_examples=250, deadline=None)
@given(
    processes=st.integers(1, 4),
    room=st.sampled_from((1, 3, 64)),
    timeout=st.sampled_from((None, 0.5, 3.0)),
    retries=st.integers(0, 2),
    events=st.lists(EVENTS, max_size=60),
)
def test_every_call_ends_once_whatever_happens(
    processes: int, room: int, timeout: float | None, retries: int, events: list[tuple[str, object, int]]
) -> None:
    host = Host(processes, room)
    next_number = dict.fromkeys(JOBS, 0)
    limits = {"a": timeout, "b": None, "c": timeout}
    for kind, what, count in events:
        perform(host, kind, what, count, next_number, limits, retries)
        host.check()
        check_sleep(host)
    host.run_down()
    assert not host.missing()
    assert not host.scheduler.busy_jobs()


def perform(
    host: Host,
    kind: str,
    what: object,
    count: int,
    next_number: dict[str, int],
    limits: dict[str, float | None],
    retries: int,
) -> None:
    if kind == "pass":
        assert isinstance(what, float)
        host.now += what
        host.carry_on()
    elif kind == "begin":
        host.begin_all()
    elif isinstance(what, int):
        act_on_worker(host, kind, what, bool(count))
    else:
        act_on_job(host, kind, str(what), count, next_number, limits, retries)


def act_on_worker(host: Host, kind: str, index: int, read: bool) -> None:
    if not host.workers:
        return
    worker = list(host.workers)[index % len(host.workers)]
    process = host.workers[worker]
    if kind == "finish" and not process.killed and (process.running is not None or process.queue):
        host.finish(worker, read)
    elif kind == "report":
        host.report(worker)
        host.carry_on()
    elif kind == "die":
        host.die(worker)


def act_on_job(
    host: Host,
    kind: str,
    job: str,
    count: int,
    next_number: dict[str, int],
    limits: dict[str, float | None],
    retries: int,
) -> None:
    if kind == "add" and job not in host.released:
        start = next_number[job]
        next_number[job] += count
        host.add(
            job, range(start, start + count), depth=JOBS.index(job) // 2, timeout=limits[job], retries=retries
        )
    elif kind == "cancel":
        host.cancel(job, [count, count + 1])
    elif kind == "cancel all":
        host.cancel(job, None)
    elif kind == "revoke":
        host.revoke(job, count)
    elif kind == "release":
        host.release(job)
