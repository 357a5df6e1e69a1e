"""The scheduler: tables for its rules."""

from __future__ import annotations

import pytest

from lithops_agent.actions import Assign, Fail, Kill, StartWorker
from lithops_agent.protocol import Status
from lithops_agent.scheduling import Scheduler
from tests.unit.agent.simulation import Host, check_sleep, one_long, warm


@pytest.mark.parametrize(("after", "killed"), [(4.999, False), (5.0, True), (5.001, True)])
def test_a_call_is_killed_at_its_timeout(after: float, killed: bool) -> None:
    host = Host(1)
    worker = one_long(host, timeout=5.0)
    assert host.scheduler.next_wakeup(host.now) == pytest.approx(5.0)
    host.now += after
    host.carry_on()
    assert host.workers[worker].killed is killed
    host.bury()
    assert host.ended == ({("a", 0): "TIMED_OUT"} if killed else {})


def test_a_timeout_counts_from_the_end_of_the_call_before() -> None:
    host = Host(1)
    host.add("a", range(10), timeout=5.0)
    worker = next(iter(host.workers))
    for _ in range(3):
        host.now += 4.0
        host.finish(worker)
    assert not host.workers[worker].killed
    host.begin_all()
    host.now += 5.0
    host.carry_on()
    host.bury()
    assert [call for call, how in host.ended.items() if how == "TIMED_OUT"] == [("a", 3)]
    host.run_down()
    assert len(host.ended) == 10


def test_a_killed_call_is_not_retried_and_a_crashed_one_is() -> None:
    host = Host(1)
    worker = one_long(host, timeout=5.0, retries=3)
    host.now += 6.0
    host.carry_on()
    host.die(worker)
    assert host.ended == {("a", 0): "TIMED_OUT"}
    host.add("b", [0], retries=2)
    for _ in range(3):
        assert ("b", 0) not in host.ended
        host.begin_all()
        host.die(next(w for w, p in host.workers.items() if p.running is not None))
    assert host.ended[("b", 0)] == "WORKER_DIED"


def test_the_attempt_is_told_to_the_worker() -> None:
    scheduler = Scheduler(1)
    scheduler.calls_added("a", [7], depth=0, timeout=None, retries=1)
    assert scheduler.plan(0.0) == [StartWorker(1, "a"), Assign(1, "a", ((7, 1),))]
    assert scheduler.worker_exited(1, "died") == []
    assert scheduler.plan(0.0) == [StartWorker(2, "a"), Assign(2, "a", ((7, 2),))]


def test_a_call_that_ended_at_the_moment_of_the_kill_keeps_its_result_and_the_next_runs_again() -> None:
    host = Host(1)
    host.add("a", range(50), timeout=5.0)
    worker = next(iter(host.workers))
    for _ in range(5):
        host.now += 0.001
        host.finish(worker)
    head = host.workers[worker].running
    assert head is not None
    assert host.workers[worker].queue
    host.finish(worker, read=False)
    begun = host.workers[worker].running
    host.now += 6.0
    host.carry_on()
    assert host.workers[worker].killed
    host.bury()
    assert host.ended[("a", head)] == "SUCCESS"
    assert begun is not None
    assert ("a", begun) not in host.ended
    host.run_down()
    assert set(host.ended.values()) == {"SUCCESS"}
    assert len(host.ended) == 50


def test_cancelled_calls_do_not_come_back_when_the_one_before_had_just_ended() -> None:
    host = Host(1)
    worker = warm(host, 30)
    host.finish(worker, read=False)  # Its report is under way, and the next has begun.
    begun = host.workers[worker].running
    host.cancel("a", None)
    host.bury()
    host.run_down()
    assert begun is not None
    assert host.ended[("a", begun)] == "CANCELLED"
    assert not host.missing()


def test_cancelling_a_call_that_had_begun_unknown_to_the_agent_ends_it() -> None:
    host = Host(1)
    worker = warm(host, 30)
    host.finish(worker, read=False)
    begun = host.workers[worker].running
    assert begun is not None
    host.cancel("a", [begun])
    assert not host.workers[worker].killed  # As far as is known, it runs another call.
    host.report(worker)
    host.carry_on()
    assert host.workers[worker].killed
    host.run_down()
    assert [call for call, how in host.ended.items() if how != "SUCCESS"] == [("a", begun)]
    assert host.ended[("a", begun)] == "CANCELLED"


def test_what_waits_behind_a_long_call_goes_to_an_idle_worker() -> None:
    host = Host(2)
    worker = warm(host, 40)
    other = next(w for w in host.workers if w != worker)
    stuck = host.workers[worker].running
    for _ in range(200):
        host.now += 0.001
        host.begin_all()
        if host.workers[other].running is None:
            break
        host.finish(other)
    host.now += 0.021
    for _ in range(200):
        host.carry_on()
        host.begin_all()
        if host.workers.get(other) is None or host.workers[other].running is None:
            break
        host.now += 0.001
        host.finish(other)
    assert host.missing() == {("a", stuck)}


def test_what_waits_behind_a_long_call_goes_to_a_new_worker_when_a_slot_is_free() -> None:
    host = Host(2)
    host.add("a", [0, 1])
    first = next(iter(host.workers))
    for worker in list(host.workers):
        host.now += 0.001
        host.finish(worker)
    second = next(w for w in host.workers if w != first)
    host.die(second)
    host.add("a", range(2, 7))
    host.begin_all()
    host.now += 10.0
    host.carry_on()
    host.begin_all()
    running = [p.running for p in host.workers.values() if not p.killed]
    assert sorted(n for n in running if n is not None) == [2, 3]


def test_slots_are_shared_between_jobs() -> None:
    host = Host(4)
    host.add("a", range(100))
    host.begin_all()
    host.add("b", range(100))
    for _ in range(40):
        host.bury()
        host.begin_all()
        for worker in [w for w, p in host.workers.items() if p.running is not None]:
            host.now += 0.2
            host.finish(worker)
        if sum(p.job == "b" for p in host.alive()) == 2:
            break
    assert sum(p.job == "a" for p in host.alive()) == 2
    assert sum(p.job == "b" for p in host.alive()) == 2
    host.run_down()


def test_one_slot_is_shared_by_turns() -> None:
    host = Host(1)
    for job in "abc":
        host.add(job, range(1000))
    served = set()
    for _ in range(2000):
        host.bury()
        host.begin_all()
        for worker in [w for w, p in host.workers.items() if p.running is not None]:
            served.add(host.workers[worker].job)
            host.now += 0.001
            host.finish(worker)
        if len(served) == 3:
            break
    assert served == {"a", "b", "c"}
    assert host.now < 103.0


def test_each_depth_has_slots_of_its_own() -> None:
    host = Host(2)
    host.add("outer", range(2))
    host.begin_all()
    host.add("inner", range(5), depth=1)
    assert sum(p.job == "inner" for p in host.alive()) == 2
    host.add("innermost", range(5), depth=2)
    assert sum(p.job == "innermost" for p in host.alive()) == 2


@pytest.mark.parametrize(("after", "retired"), [(0.49, False), (0.5, True), (0.51, True)])
def test_an_idle_worker_lingers(after: float, retired: bool) -> None:
    host = Host(1)
    worker = one_long(host)
    host.finish(worker)
    assert host.scheduler.next_wakeup(host.now) == pytest.approx(0.5)
    host.now += after
    host.carry_on()
    assert host.workers[worker].closed is retired


def test_an_idle_worker_makes_room_at_once_for_another_job() -> None:
    host = Host(1)
    worker = one_long(host)
    host.finish(worker)
    host.add("b", [0])
    assert host.workers[worker].closed
    assert [p.job for p in host.alive()] == ["b"]


def test_a_worker_that_lingers_serves_its_job_again() -> None:
    host = Host(1)
    worker = one_long(host)
    host.finish(worker)
    host.now += 0.4
    host.add("a", [1])
    host.finish(worker)
    assert list(host.workers) == [worker]


def test_a_job_is_given_up_when_its_workers_die_before_they_begin() -> None:
    host = Host(1)
    host.add("a", range(20))
    for _ in range(3):
        assert not host.ended
        host.die(next(iter(host.workers)), "no such file")
    assert set(host.ended.values()) == {"WORKER_DIED"}
    assert len(host.ended) == 20
    assert "3 workers in a row" in host.failures[0].why
    assert "no such file" in host.failures[0].why


def test_a_call_that_ended_forgives_earlier_barren_workers() -> None:
    host = Host(1)
    host.add("a", range(20))
    for _ in range(5):
        for _ in range(2):
            host.die(next(iter(host.workers)))
        host.finish(next(iter(host.workers)))
        host.begin_all()
        host.finish(next(iter(host.workers)))
        host.die(next(iter(host.workers)))
        assert "WORKER_DIED" not in [f.status.name for f in host.failures if "in a row" in f.why]
        if not host.workers:
            break
    assert not [f for f in host.failures if "in a row" in f.why]


def test_a_worker_that_could_not_be_made_costs_its_calls_nothing() -> None:
    scheduler = Scheduler(1)
    scheduler.calls_added("a", [0, 1], depth=0, timeout=None)
    for worker in (1, 2, 3):
        assert any(isinstance(action, StartWorker) for action in scheduler.plan(0.0))
        scheduler.not_started(worker)
        failed = scheduler.worker_exited(worker, "no such file")
    assert {action.number for action in failed if isinstance(action, Fail)} == {0, 1}
    assert scheduler.plan(0.0) == []
    assert scheduler.next_wakeup(0.0) is None


def test_cancel_ends_waiting_calls_at_once_and_kills_running_ones() -> None:
    host = Host(1)
    one_long(host)
    host.add("a", [1, 2, 3])
    host.cancel("a", [0, 2])
    assert host.ended == {("a", 2): "CANCELLED"}
    host.bury()
    assert host.ended == {("a", 2): "CANCELLED", ("a", 0): "CANCELLED"}
    host.run_down()
    assert host.ended[("a", 1)] == host.ended[("a", 3)] == "SUCCESS"


def test_cancel_with_another_status_and_of_what_is_not_there() -> None:
    host = Host(1)
    host.cancel("nothing", None)
    host.add("a", range(3))
    host.cancel("a", [17])
    host.cancel("a", None, Status.HARD_DISMANTLE)
    host.bury()
    assert set(host.ended.values()) == {"HARD_DISMANTLE"}
    assert len(host.ended) == 3


def test_revoke_gives_the_last_calls_that_have_not_begun() -> None:
    host = Host(1)
    host.add("a", range(5))
    host.begin_all()
    assert host.revoke("a", 2) == [4, 3]
    assert host.revoke("a", 10) == [2, 1]
    assert host.revoke("a", 10) == []
    assert host.revoke("nothing", 1) == []
    host.run_down()
    assert set(host.ended) == {("a", 0)}


def test_revoke_takes_what_is_queued_at_workers() -> None:
    host = Host(1)
    worker = warm(host, 12)
    left = 12 - 4 - 1
    assert len(host.revoke("a", 100)) == left
    assert host.workers[worker].running is not None


def test_a_released_job_that_comes_again_is_another_one() -> None:
    host = Host(1)
    old = one_long(host)
    host.release("a")
    assert host.workers[old].killed
    host.released.clear()
    host.added.clear()
    host.add("a", [1, 2])
    host.die(old)  # What the old worker had in hand is nobody's.
    host.run_down()
    assert host.ended == {("a", 1): "SUCCESS", ("a", 2): "SUCCESS"}


def test_a_report_of_a_released_job_is_not_expected() -> None:
    scheduler = Scheduler(1)
    scheduler.calls_added("a", [0], depth=0, timeout=None)
    scheduler.plan(0.0)
    assert scheduler.job_released("a") == [Kill(1)]
    assert scheduler.call_ended(1, 0, 1.0) is None
    assert scheduler.worker_exited(1, "killed") == []


def test_reports_that_are_not_expected_change_nothing() -> None:
    host = Host(1)
    worker = one_long(host)
    assert host.scheduler.call_ended(worker, 99, host.now) is None
    assert host.scheduler.call_ended(99, 0, host.now) is None
    assert host.scheduler.running() == [("a", 0)]


def test_counts() -> None:
    host = Host(1)
    assert host.scheduler.waiting() == {}
    assert host.scheduler.next_wakeup(host.now) is None
    host.add("a", range(5))
    assert host.scheduler.waiting() == {"a": 4}
    assert host.scheduler.running() == [("a", 0)]
    assert host.scheduler.busy_jobs() == {"a"}
    host.run_down()
    assert host.scheduler.busy_jobs() == set()


def test_who_has_too_many_slots_yields_as_soon_as_the_last_free_one_is_taken() -> None:
    host = Host(4)
    host.add("b", range(12))
    host.finish(next(iter(host.workers)), False)
    host.die(next(iter(host.workers)))
    host.add("a", [0, 1])
    check_sleep(host)


def test_many_jobs_of_one_call() -> None:
    """A loop of call_async: the time of a decision must not grow with the jobs that wait."""
    host = Host(2)
    for number in range(3000):
        host.scheduler.calls_added(f"job-{number}", [0], depth=0, timeout=None)
        host.added.add((f"job-{number}", 0))
        host.depths[f"job-{number}"] = 0
    host.depths = dict.fromkeys(host.depths, 0)
    host.carry_on()
    host.run_down()
    assert len(host.ended) == 3000
