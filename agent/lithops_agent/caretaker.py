"""Sees to the time of a host, while an agent runs: lets work in, tells the second fence, and ends the agent.

The `Timekeeper` decides; here is what is done about it, and the thread that waits for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from lithops_agent.clearing import LEAVE
from lithops_agent.instants import Clock, Instant
from lithops_agent.keeper import Dismantle, End, Policy
from lithops_agent.protocol import Status
from lithops_agent.timekeeper import Timekeeper

_COLLECT_AFTER_HARD = 1.0
"""Seconds that an agent stays after its hard deadline at most, so that results can be collected."""
_LARGE = 0.3
"""Seconds for fetching large results, once their coordinators have heard of them."""
_TO_END = 3.0
"""Seconds that the second fence gives an agent that has begun to end."""
_SETTLE = 0.05
"""Seconds in which what happens is noted together: often one job follows another at once."""
_TIDY_INTERVAL = 60.0
_HELD = "held by somebody in a shell, or for machines that are reached through it"


class Draining(Exception):
    """The agent is ending and takes no more jobs."""

    def __init__(self) -> None:
        super().__init__("the agent is ending")


@dataclasses.dataclass(frozen=True)
class Ending:
    """Why and how an agent ends: ``how`` is one of `lithops_agent.protocol.ENDINGS`, or LEAVE.

    ``with_work``: results that nobody has collected go too.
    """

    reason: str
    how: str
    with_work: bool


class Fence(Protocol):
    """The second fence, which ends the host if the agent does not."""

    def tell(self, deadline: Instant | None, ending: str, *, note_only: bool = False) -> None:
        """The host is to end then (None: never). ``note_only`` takes no time; it is told again."""
        ...


class NoFence:
    """An agent that nobody watches."""

    def tell(self, deadline: Instant | None, ending: str, *, note_only: bool = False) -> None:
        """Do nothing."""


class Work(Protocol):
    """The calls of all jobs: see `lithops_agent.pool.Pool`."""

    def busy_jobs(self) -> Collection[str]:
        """Jobs with calls that wait or run."""
        ...

    def end_all(self, status: Status, why: str) -> None:
        """End all calls; their results tell so, and why."""
        ...

    def stop(self) -> None:
        """Kill all workers."""
        ...


class Audience(Protocol):
    """Those who wait for results: see `lithops_agent.delivery.Delivery`."""

    def readers(self, jobs: Collection[str]) -> Collection[str]:
        """The sessions that hear of the results of these jobs."""
        ...

    def has_heard(self, session: str) -> bool:
        """Whether a session has heard of all of its results."""
        ...

    def close(self) -> None:
        """Let nobody wait any more."""
        ...


class Caretaker:
    """Thread-safe; what decides to end is in a thread of its own.

    Args:
        news: is set when something has happened that the end of the agent depends on.
        tidy: is called now and then while the agent runs.
        end: is called once, in the thread, when it is time to end the process.
    """

    def __init__(
        self,
        times: Timekeeper,
        work: Work,
        audience: Audience,
        *,
        news: threading.Event,
        clock: Clock,
        fence: Fence,
        tidy: Callable[[], None],
        end: Callable[[Ending], None],
    ) -> None:
        self._times = times
        self._work = work
        self._audience = audience
        self._news = news
        self._clock = clock
        self._fence = fence
        self._fence_lock = threading.Lock()
        self._tidy = tidy
        self._tidy_at = 0.0
        self._end = end
        self._ending: Ending | None = None
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def start(self) -> None:
        """Start to watch the time."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the agent has ended."""
        self._thread.join(timeout)

    # -- work that comes --

    @property
    def is_draining(self) -> bool:
        """Whether no more work is let in."""
        return self._times.closed

    def check(self) -> None:
        """Raise Draining if no more work is let in."""
        if self._times.closed:
            raise Draining

    def accept(self, policy: Policy, ending: str) -> None:
        """A job from outside is accepted: its time-outs are in force now. Raises Draining."""
        if not self._times.accept(policy, ending):
            raise Draining

    @contextlib.contextmanager
    def arriving(self, job: str, hard: float | None, *, nested: bool) -> Iterator[None]:
        """Calls of a job are accepted within the block. Raises Draining.

        ``hard`` and ``nested`` are as for `Timekeeper.begin`.
        """
        if not self._times.begin(job, hard, nested=nested):
            raise Draining
        try:
            # Before they are acknowledged: the fence must not end a host that has accepted them.
            self._tell_fence(note_only=True)
            yield
        finally:
            self._times.arrived(job)
        self._news.set()

    @contextlib.contextmanager
    def in_use(self, name: str, timeout: float | None = None) -> Iterator[None]:
        """The host counts as busy within the block, as with a job of this name. Raises Draining.

        ``timeout``: its hard time-out, in seconds.
        """
        if not self._times.begin(name, timeout, nested=False):
            raise Draining
        self._news.set()
        try:
            yield
        finally:
            self._times.arrived(name)
            self._news.set()

    def hold(self, name: str, seconds: float) -> float | None:
        """For so long the host does not count as idle, because somebody is in a shell there; 0: not any more.

        Gives the seconds that the hard time-out leaves, None: it does not count. Raises Draining.
        """
        if not self._times.hold(name, seconds):
            raise Draining
        self._tell_fence(note_only=True)
        self._news.set()
        end = self._times.hard_end()
        return None if end is None else max(self._clock.now().until(end), 0.0)

    # -- the end --

    def ends_in(self) -> tuple[float | None, str]:
        """Seconds until this agent will end if nothing else happens, None for never; and why."""
        if self._times.closed:
            return 0.0, self._ending.reason if self._ending else "its time is up"
        found = self._times.next_end()
        if found is None:
            return None, ""
        end, at = found
        return max(self._clock.now().until(at), 0.0), _reason(end, at.wall - end.timeout)

    def dismantle(self, reason: str, how: str | None = None) -> None:
        """End now; ``how`` is as of the last job if None. What has not ended is not waited for."""
        self._times.close()
        if self._ending is None:
            how = how or self._times.ending
            self._ending = Ending(reason, how, with_work=how != LEAVE)
        self._news.set()

    def _watch(self) -> None:
        try:
            woken = False
            while self._ending is None:
                self._news.clear()
                decision = self._times.check()
                if isinstance(decision, Dismantle):
                    self._drain(decision)
                    break
                self._tell_fence()
                self._tidy_now_and_then()
                if woken:
                    time.sleep(_SETTLE)
                at = decision.recheck_at
                left = None if at is None else at - self._clock.now().boottime
                woken = self._clock.wait(self._news, left)
            self._leave()
        except BaseException:  # noqa: BLE001
            # A keeper that is gone would keep the host for ever: end, and be started again.
            traceback.print_exc()
            os._exit(70)

    def _tell_fence(self, *, note_only: bool = False) -> None:
        found = self._times.next_end()
        self._set_fence(found[1] if found else None, note_only=note_only)

    def _set_fence(self, deadline: Instant | None, *, note_only: bool) -> None:
        with self._fence_lock:
            try:
                self._fence.tell(deadline, self._times.ending, note_only=note_only)
            except OSError:
                traceback.print_exc()  # The fence stays where it was.

    def _tidy_now_and_then(self) -> None:
        now = time.monotonic()
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_INTERVAL
            self._tidy()

    def _drain(self, decision: Dismantle) -> None:
        """The time is up: kill what runs, and leave a moment for collecting what has ended."""
        began = self._clock.now()
        self._set_fence(began.plus(_TO_END), note_only=True)
        if decision.jobs:
            readers = self._audience.readers(self._work.busy_jobs())
            self._work.end_all(Status.HARD_DISMANTLE, decision.reason)
            self._wait_for_collection(readers, began.plus(_COLLECT_AFTER_HARD))
        self._ending = self._ending or Ending(decision.reason, self._times.ending, with_work=False)

    def _wait_for_collection(self, readers: Collection[str], deadline: Instant) -> None:
        """Wait until these sessions have heard of all results, or the deadline."""
        while self._ending is None and (left := self._clock.now().until(deadline)) > 0:
            if not self._work.busy_jobs() and all(map(self._audience.has_heard, readers)):
                time.sleep(min(left, _LARGE))
                return
            time.sleep(_SETTLE)

    def _leave(self) -> None:
        """Send those home who wait for results, kill the workers, and end."""
        self._audience.close()
        self._work.stop()
        if self._ending is not None:
            self._end(self._ending)


def _reason(end: End, since: float) -> str:
    """Why a host ends; ``since`` is in seconds since the epoch."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(since))
    if end.soft:
        return f"soft: {_HELD}" if end.held else f"soft: no job since {moment}"
    return f"hard: {_HELD} since {moment}" if end.held else f"hard: job {end.job} since {moment}"
