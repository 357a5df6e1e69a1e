"""When the agent ends: a pure decision, from the time-outs and what has happened."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Union


@dataclasses.dataclass(frozen=True)
class Policy:
    """Time-outs in seconds, None for never. ``soft`` counts while nothing runs, from the last end of a
    job; ``hard`` counts for a job from its start (each job has its own; this is that of the last one)."""

    soft: float | None
    hard: float | None


@dataclasses.dataclass(frozen=True)
class Held:
    """The host is kept from counting as idle: since when, and until when if nobody says so again."""

    since: float
    until: float


@dataclasses.dataclass(frozen=True)
class Activity:
    """``idle_since``: when the agent started, or the last running job completed. ``running``: for
    each job that has calls left, when it started and its hard time-out. ``held``: somebody is in a shell."""

    idle_since: float
    running: Mapping[str, tuple[float, float | None]]
    held: Held | None = None


@dataclasses.dataclass(frozen=True)
class End:
    """When the agent will end if nothing else happens, and why: ``timeout`` seconds after ``since``,
    when job ``job`` started (None: when the last one had completed). ``soft``: by the soft time-out.
    ``held``: while somebody is in a shell, or once nobody is any more."""

    since: float
    timeout: float
    job: str | None
    soft: bool = False
    held: bool = False

    @property
    def at(self) -> float:
        """The deadline."""
        return self.since + self.timeout


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


def next_end(policy: Policy, activity: Activity) -> End | None:
    """The earliest deadline as things stand; None: there is none."""
    if activity.running:
        ends = [End(at, hard, job) for job, (at, hard) in activity.running.items() if hard is not None]
        return min(ends, key=lambda end: end.at, default=None)
    return _end_of_idle(policy, activity.idle_since, activity.held)


def _end_of_idle(policy: Policy, idle_since: float, held: Held | None) -> End | None:
    """Without a job: the soft time-out counts from the end of the shell, and the hard one for the shell as
    it does for a job."""
    if held is None:
        return None if policy.soft is None else End(idle_since, policy.soft, None, soft=True)
    ends = []
    if policy.soft is not None:
        ends.append(End(max(idle_since, held.until), policy.soft, None, soft=True, held=True))
    if policy.hard is not None:
        ends.append(End(max(idle_since, held.since), policy.hard, None, held=True))
    return min(ends, key=lambda end: end.at, default=None)


def decide(policy: Policy, activity: Activity, now: float) -> Decision:
    """What the agent does about its own end at ``now`` (seconds of any clock that never goes back)."""
    end = next_end(policy, activity)
    if end is None:
        return KeepRunning(None)
    if now < end.at:
        return KeepRunning(end.at)
    if end.soft:
        return Dismantle(f"no job for {end.timeout:g} s (standalone.soft_dismantle_timeout)")
    if end.job is None:
        return Dismantle(
            f"it was held for {end.timeout:g} s without a job (standalone.hard_dismantle_timeout)"
        )
    limits = {job: (at, hard) for job, (at, hard) in activity.running.items() if hard is not None}
    late = tuple(job for job, (at, hard) in limits.items() if now >= at + hard)
    reason = f"job {end.job} reached standalone.hard_dismantle_timeout ({end.timeout:g} s)"
    return Dismantle(reason, late)
