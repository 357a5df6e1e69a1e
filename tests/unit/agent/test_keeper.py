"""When the agent ends: tables around each deadline, and what must always hold."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_agent.keeper import Activity, Decision, Dismantle, Held, KeepRunning, Policy, decide, next_end

EPSILON = 1e-6
BOTH = Policy(soft=300.0, hard=3600.0)


def at(
    now: float,
    *,
    policy: Policy = BOTH,
    idle_since: float = 1000.0,
    running: Mapping[str, tuple[float, float | None]] | None = None,
) -> Decision:
    return decide(policy, Activity(idle_since, running or {}), now)


# ---- tables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "ends"), [(1000.0, False), (1300.0 - EPSILON, False), (1300.0, True), (1300.0 + EPSILON, True)]
)
def test_soft_counts_while_nothing_runs(now: float, ends: bool) -> None:
    decision = at(now)
    if ends:
        assert isinstance(decision, Dismantle)
        assert "soft" in decision.reason
        assert decision.jobs == ()
    else:
        assert decision == KeepRunning(1300.0)


@pytest.mark.parametrize(
    ("now", "late"),
    [
        (2000.0, ()),
        (2060.0 - EPSILON, ()),
        (2060.0, ("b",)),
        (2060.0 + EPSILON, ("b",)),
        (2100.0 - EPSILON, ("b",)),
        (2100.0, ("a", "b")),
        (9000.0, ("a", "b")),
    ],
)
def test_hard_counts_for_each_job_from_its_own_start(now: float, late: tuple[str, ...]) -> None:
    """Job a started first and may take longer; the earliest deadline counts."""
    decision = at(now, running={"a": (2000.0, 100.0), "b": (2010.0, 50.0), "c": (1.0, None)})
    if late:
        assert isinstance(decision, Dismantle)
        assert sorted(decision.jobs) == list(late)
        assert "hard" in decision.reason
    else:
        assert decision == KeepRunning(2060.0)


def test_soft_does_not_count_while_a_job_runs() -> None:
    assert at(5000.0, running={"a": (4999.0, 3600.0)}) == KeepRunning(4999.0 + 3600.0)
    assert at(5000.0, running={"a": (4999.0, None)}) == KeepRunning(None)


def test_hard_does_not_count_while_nothing_runs() -> None:
    assert at(10_000.0, policy=Policy(soft=None, hard=1.0)) == KeepRunning(None)


SHELL = Held(since=1200.0, until=1260.0)


@pytest.mark.parametrize(
    ("policy", "held", "running", "ends_at", "why"),
    [
        # Soft counts from the end of the shell, as things stand: nobody may say again that it is open.
        (BOTH, SHELL, {}, 1560.0, "soft"),
        (Policy(soft=300.0, hard=None), SHELL, {}, 1560.0, "soft"),
        # A shell that closed before the last job completed changes nothing.
        (BOTH, Held(since=900.0, until=950.0), {}, 1300.0, "soft"),
        # Hard counts for a shell as for a job, and no time of a job is counted as the shell's.
        (Policy(soft=300.0, hard=100.0), SHELL, {}, 1300.0, "hard"),
        (Policy(soft=None, hard=100.0), Held(since=100.0, until=9000.0), {}, 1100.0, "hard"),
        (Policy(soft=None, hard=None), SHELL, {}, None, ""),
        # With a job, only that counts.
        (Policy(soft=300.0, hard=100.0), SHELL, {"a": (1250.0, 3600.0)}, 4850.0, "hard"),
        (BOTH, SHELL, {"a": (1250.0, None)}, None, ""),
    ],
)
def test_a_shell_keeps_a_host_from_being_idle(
    policy: Policy,
    held: Held,
    running: Mapping[str, tuple[float, float | None]],
    ends_at: float | None,
    why: str,
) -> None:
    activity = Activity(1000.0, running, held)
    if ends_at is None:
        assert decide(policy, activity, 1e9) == KeepRunning(None)
        return
    assert decide(policy, activity, ends_at - EPSILON) == KeepRunning(ends_at)
    decision = decide(policy, activity, ends_at)
    assert isinstance(decision, Dismantle)
    assert why in decision.reason


@settings(max_examples=200, deadline=None)
@given(
    st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6),
    st.none() | st.floats(0, 1e6), st.none() | st.floats(0, 1e6),
)  # fmt: skip
def test_a_shell_only_ever_delays_and_never_beyond_hard(
    idle_since: float, since: float, lasts: float, soft: float | None, hard: float | None
) -> None:
    policy, held = Policy(soft, hard), Held(since, since + lasts)
    without = next_end(policy, Activity(idle_since, {}))
    end = next_end(policy, Activity(idle_since, {}, held))
    assert (end is None) == (soft is None and hard is None)
    if end is not None and hard is not None:
        assert end.at <= max(idle_since, since) + hard
    if end is not None and end.soft and without is not None:
        assert end.at >= without.at


def test_without_time_outs_nothing_ends() -> None:
    assert at(1e12, policy=Policy(soft=None, hard=None)) == KeepRunning(None)
    assert at(1e12, policy=Policy(soft=None, hard=None), running={"a": (0.0, None)}) == KeepRunning(None)


def test_a_job_that_arrives_at_the_soft_deadline_is_run() -> None:
    assert isinstance(at(1300.0), Dismantle)
    assert at(1300.0, running={"a": (1300.0, 60.0)}) == KeepRunning(1360.0)


def test_a_job_that_ends_at_the_hard_deadline_starts_the_soft_countdown() -> None:
    assert isinstance(at(1060.0, running={"a": (1000.0, 60.0)}), Dismantle)
    assert at(1060.0, idle_since=1060.0) == KeepRunning(1360.0)


def test_time_outs_of_zero_end_at_once() -> None:
    assert isinstance(at(1000.0, policy=Policy(soft=0.0, hard=None)), Dismantle)
    assert isinstance(at(1000.0, running={"a": (1000.0, 0.0)}), Dismantle)


# ---- what must always hold --------------------------------------------------------------------------

INSTANT = st.floats(0, 1e6)
TIMEOUT = st.none() | st.floats(0, 1e5)
RUNNING = st.dictionaries(st.sampled_from("abcdef"), st.tuples(INSTANT, TIMEOUT), max_size=6)
always = settings(max_examples=200, deadline=None)


@always
@given(policy=st.builds(Policy, TIMEOUT, TIMEOUT), idle=INSTANT, running=RUNNING, now=INSTANT)
def test_dismantles_exactly_from_the_deadline_on(
    policy: Policy, idle: float, running: dict[str, tuple[float, float | None]], now: float
) -> None:
    deadlines = [start + hard for start, hard in running.values() if hard is not None]
    if not running and policy.soft is not None:
        deadlines.append(idle + policy.soft)
    deadline = min(deadlines, default=math.inf)
    decision = at(now, policy=policy, idle_since=idle, running=running)
    assert isinstance(decision, Dismantle) is (now >= deadline)
    if isinstance(decision, Dismantle):
        assert set(decision.jobs) == {
            job for job, (start, hard) in running.items() if hard is not None and now >= start + hard
        }
    else:
        assert decision.recheck_at == (None if deadline == math.inf else deadline)


EVENTS = st.lists(
    st.tuples(st.sampled_from(("start", "end", "nothing")), st.sampled_from("abc"), st.floats(0, 200)),
    max_size=30,
)


@always
@given(soft=TIMEOUT, hard=st.none() | st.floats(0, 500), events=EVENTS)
def test_one_check_after_a_deadline_is_enough(
    soft: float | None, hard: float | None, events: list[tuple[str, str, float]]
) -> None:
    """A keeper that sleeps until ``recheck_at``, or until something happens, is never late or early."""
    now, idle_since, running = 0.0, 0.0, dict[str, tuple[float, float | None]]()

    def check() -> Decision:
        return at(now, policy=Policy(soft, hard), idle_since=idle_since, running=running)

    for what, job, delay in events:
        decision = check()
        arrives_at = now + delay
        while isinstance(decision, KeepRunning) and decision.recheck_at is not None:
            if decision.recheck_at > arrives_at:
                break
            now = decision.recheck_at
            decision = check()
            assert isinstance(decision, Dismantle), "it woke at its deadline and went on"
        if isinstance(decision, Dismantle):
            if running:
                assert hard is not None
                assert all(now >= running[late][0] + hard for late in decision.jobs)
                assert decision.jobs, "it dismantled with tasks running before any hard deadline"
            else:
                assert soft is not None
                assert now >= idle_since + soft
            return
        now = arrives_at
        if what == "start":
            running.setdefault(job, (now, hard))
        elif what == "end" and running.pop(job, None) is not None and not running:
            idle_since = now
