"""What the keeper decides from, kept over restarts of the agent: when jobs began, since when none runs,
and the time-outs in force.

Jobs come in other threads than the keeper's. What lets a job in and what decides to end are under one lock,
so that no job is accepted by an agent that has decided to end.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import threading
from collections.abc import Callable, Collection
from typing import Any

from lithops_agent.disk import is_disk_full
from lithops_agent.instants import Clock, Instant
from lithops_agent.keeper import Activity, Decision, Dismantle, End, Held, Policy, decide, next_end


@dataclasses.dataclass(frozen=True)
class Observed:
    """What the keeper is told of the pool: the jobs with calls left, the seconds since a result was recorded
    (None: none was), and whether a job is known (still)."""

    busy: Callable[[], Collection[str]]
    rested: Callable[[], float | None]
    known: Callable[[str], bool]


class Timekeeper:
    """The times of one agent.

    Args:
        begun: when the host was asked to run an agent; a restart of the agent has the same.
        policy: the time-outs in force before any job.
        ending: the way to end before any job.
        kept: what ``keep`` was given by an earlier agent of this home, if any.
        keep: keeps a text on disk.
    """

    def __init__(
        self,
        clock: Clock,
        observed: Observed,
        *,
        begun: Instant,
        policy: Policy,
        ending: str,
        kept: str | None,
        keep: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._observed = observed
        self._begun = begun
        self._keep = keep
        self._lock = threading.Lock()
        self._policy = policy
        self._ending = ending
        self._idle_since = begun
        self._started: dict[str, tuple[Instant, float | None]] = {}
        self._arriving: collections.Counter[str] = collections.Counter()
        self._holds: dict[str, tuple[Instant, Instant]] = {}
        """Who keeps the host from counting as idle: since when, and until when."""
        self._busy: set[str] = set()
        """The jobs that ran when it was last looked at, and those that have come since."""
        self._seen_busy: Instant | None = None
        self._closed = False
        self._saved = kept
        if kept is not None:
            self._restore(json.loads(kept))

    # -- jobs, in any thread --

    def accept(self, policy: Policy, ending: str) -> bool:
        """A job from outside is accepted: its time-outs are in force now. False: the agent is ending."""
        with self._lock:
            if self._closed:
                return False
            if (policy, ending) != (self._policy, self._ending):
                self._policy, self._ending = policy, ending
                self._save()
            return True

    def begin(self, job: str, hard: float | None, *, nested: bool) -> bool:
        """Calls of a job come; it counts as running until `arrived` at least. False: the agent is ending.

        A nested job has the hard time-out of the job that was accepted last, from its own start.
        """
        with self._lock:
            if self._closed:
                return False
            if job not in self._started:
                self._started[job] = (self._clock.now(), self._policy.hard if nested else hard)
            if job not in self._busy:
                self._busy.add(job)
                self._save()
            self._arriving[job] += 1
            return True

    def arrived(self, job: str) -> None:
        """The calls are with the pool, or were refused."""
        with self._lock:
            self._arriving[job] -= 1
            if not self._arriving[job]:
                del self._arriving[job]

    def hold(self, name: str, seconds: float) -> bool:
        """For so long the host does not count as idle; 0: the hold of this name ends. False: it is ending.

        Held again under the same name, it counts as held since the first time.
        """
        with self._lock:
            if self._closed:
                return False
            now = self._clock.now()
            since, _ = self._holds.get(name, (now, now))
            self._holds[name] = (since, now.plus(seconds))
            return True

    def is_held(self) -> bool:
        """Whether somebody keeps the host from counting as idle."""
        now = self._clock.now()
        return any(now.until(until) > 0 for _, until in tuple(self._holds.values()))

    def hard_end(self) -> Instant | None:
        """When the hard time-out ends the host, whoever holds it; None: never, as things stand."""
        with self._lock:
            now = self._clock.now()
            end = next_end(Policy(None, self._policy.hard), self._activity(now))
            return None if end is None else now.plus(end.at - now.boottime)

    def resumed(self, job: str, hard: float | None) -> bool:
        """A job has calls that an earlier agent left; whether it has time left to run.

        It has none when its time was up before the host was asked to run an agent again.
        """
        with self._lock:
            since, hard = self._started.setdefault(job, (self._begun, hard))
            return hard is None or since.until(self._begun) < hard

    # -- the keeper --

    @property
    def ending(self) -> str:
        """The way to end that is in force."""
        return self._ending

    @property
    def closed(self) -> bool:
        """Whether no job is let in any more."""
        return self._closed

    def close(self) -> bool:
        """Let no job in any more; False: that was so already."""
        with self._lock:
            was, self._closed = self._closed, True
            return not was

    def check(self) -> Decision:
        """Decide. When the decision is to end, no job is let in from this moment on."""
        with self._lock:
            now = self._clock.now()
            decision = decide(self._policy, self._activity(now), now.boottime)
            if isinstance(decision, Dismantle):
                self._closed = True
            try:
                self._save()
            except OSError as exc:
                if not is_disk_full(exc):
                    raise
                # It is tried again at the next check; tasks that run go on.
            return decision

    def next_end(self) -> tuple[End, Instant] | None:
        """The next deadline, and as a moment; None: there is none."""
        with self._lock:
            now = self._clock.now()
            end = next_end(self._policy, self._activity(now))
            return None if end is None else (end, now.plus(end.at - now.boottime))

    def _activity(self, now: Instant) -> Activity:
        busy = {*self._observed.busy(), *self._arriving}
        if busy:
            self._seen_busy = now
        elif self._busy:
            self._idle_since = self._completed_at(now)
        self._busy = busy
        self._started = {
            job: started for job, started in self._started.items() if job in busy or self._observed.known(job)
        }
        running: dict[str, tuple[float, float | None]] = {}
        for job in busy:
            since, hard = self._started.setdefault(job, (now, None))
            running[job] = (_here(since, now), hard)
        held = self._held(now)
        return Activity(_here(self._idle_since, now), running, held)

    def _held(self, now: Instant) -> Held | None:
        """Who holds the host now; those who did have kept it from being idle up to then."""
        for name, (_, until) in list(self._holds.items()):
            if now.until(until) <= 0:
                del self._holds[name]
                if self._idle_since.until(until) > 0:
                    self._idle_since = until
        if not self._holds:
            return None
        since = min(_here(since, now) for since, _ in self._holds.values())
        return Held(since, max(now.boottime + now.until(until) for _, until in self._holds.values()))

    def _completed_at(self, now: Instant) -> Instant:
        """When the last job completed: at the last result, if that came since it was seen to run."""
        rested = self._observed.rested()
        if rested is None:
            return now
        at = now.plus(-rested)
        return at if self._seen_busy is None or self._seen_busy.until(at) >= 0 else now

    # -- on disk --

    def _save(self) -> None:
        kept = {
            "begun": self._begun.to_json(),
            "idle_since": self._idle_since.to_json(),
            "soft": self._policy.soft,
            "hard": self._policy.hard,
            "ending": self._ending,
            "started": {
                job: [since.to_json(), hard]
                for job, (since, hard) in self._started.items()
                if job in self._busy
            },
            "holds": {
                name: [since.to_json(), until.to_json()] for name, (since, until) in self._holds.items()
            },
        }
        text = json.dumps(kept)
        if text != self._saved:
            self._keep(text)
            self._saved = text

    def _restore(self, kept: dict[str, Any]) -> None:
        self._started = {job: (Instant.from_json(at), hard) for job, (at, hard) in kept["started"].items()}
        if kept["begun"] != self._begun.to_json():
            return  # The host was asked anew: what was in force before is not.
        self._policy = Policy(kept["soft"], kept["hard"])
        self._ending = kept["ending"]
        self._idle_since = Instant.from_json(kept["idle_since"])
        self._busy = set(self._started)
        self._holds = {
            name: (Instant.from_json(since), Instant.from_json(until))
            for name, (since, until) in kept.get("holds", {}).items()
        }


def _here(instant: Instant, now: Instant) -> float:
    """A moment that has passed, on the clock of this boot."""
    return now.boottime - instant.age(now)
