"""When the agent ends: a pure decision, from the time-outs and what has happened."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Union


@dataclasses.dataclass(frozen=True)
class Policy:
    """Time-outs in seconds, None for never. ``soft`` counts while nothing runs, from the last end of a
    job; ``hard`` counts for a job from its start."""

    soft: float | None
    hard: float | None


@dataclasses.dataclass(frozen=True)
class Activity:
    """``idle_since``: when the agent started, or the last running job completed. ``running``: for
    each job that has calls left, when it started and its hard time-out."""

    idle_since: float
    running: Mapping[str, tuple[float, float | None]]


@dataclasses.dataclass(frozen=True)
class KeepRunning:
    """Nothing to do before ``recheck_at`` unless something happens; None: only when something happens."""

    recheck_at: float | None


@dataclasses.dataclass(frozen=True)
class Dismantle:
    """End now. ``jobs`` are those whose hard deadline has passed."""

    reason: str
    jobs: tuple[str, ...] = ()


Decision = Union[KeepRunning, Dismantle]


def decide(policy: Policy, activity: Activity, now: float) -> Decision:
    """What the agent does about its own end at ``now`` (seconds of any clock that never goes back)."""
    if activity.running:
        deadlines = {job: at + hard for job, (at, hard) in activity.running.items() if hard is not None}
        late = tuple(job for job, deadline in deadlines.items() if now >= deadline)
        if late:
            return Dismantle("a job reached its hard dismantle time-out", late)
        return KeepRunning(min(deadlines.values(), default=None))
    if policy.soft is None:
        return KeepRunning(None)
    deadline = activity.idle_since + policy.soft
    if now >= deadline:
        return Dismantle(f"no job for {policy.soft:g} s (soft dismantle time-out)")
    return KeepRunning(deadline)
