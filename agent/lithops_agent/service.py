"""The agent as an object: journal, pool and keeper together, without HTTP."""

from __future__ import annotations

import os
import shutil
import threading
import time
import traceback
import uuid
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lithops_agent.journal import CallData, Journal, Page, UnknownJob
from lithops_agent.keeper import Activity, Dismantle, KeepRunning, Policy, decide
from lithops_agent.pool import Pool
from lithops_agent.protocol import PROTOCOL, JobSpec, ProtocolError, Status
from lithops_agent.statefile import boot_id
from lithops_agent.version import __version__

_PAGE = 4 * 1024 * 1024
_COLLECT_AFTER_HARD = 30.0
"""Seconds that an agent stays after its hard deadline, so that results so far can be collected."""
_BLOB_AGE = 3600.0
"""Seconds that a blob is kept for a later job after it was sent."""
_TIDY_INTERVAL = 60.0


class MissingBlobs(Exception):
    """A job needs blobs that this agent does not have; ``hashes`` names them."""

    def __init__(self, hashes: list[str]) -> None:
        super().__init__(", ".join(hashes))
        self.hashes = hashes


class Draining(Exception):
    """The agent is ending and takes no more jobs."""


class Agent:
    """One agent: takes jobs, runs their calls, hands out results, and decides when to end.

    ``end`` is called once, from a thread of the agent's, when it is time to end the process.
    """

    def __init__(
        self,
        home: Path,
        *,
        processes: int,
        worker_path: str,
        bundle: str,
        policy: Policy,
        end: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.home = home
        self.journal = Journal(home / "work")
        self.pool = Pool(
            self.journal,
            processes,
            worker_path=worker_path,
            folder=home,
            base_env={"LITHOPS_WORKER": str(home)},
            end=self.dismantle,
        )
        self._bundle = bundle
        self._policy = policy
        self._end = end
        self._clock = clock
        self._idle_since = clock()
        self._tidy_at = 0.0
        self._lock = threading.Lock()
        self._started: dict[str, float] = {}
        self._draining = False
        self._something = threading.Event()
        self._agent_id = self.journal.fact("agent_id") or uuid.uuid4().hex
        self.journal.keep_fact("agent_id", self._agent_id)

    def start(self) -> None:
        """Run what an earlier agent left, and start to watch the time."""
        self.pool.start()
        threading.Thread(target=self._watch, name="keeper", daemon=True).start()

    # -- jobs --

    def accept_job(self, spec: JobSpec) -> None:
        """Record a job. Its blobs must be there already.

        Raises MissingBlobs, Draining, ProtocolError.
        """
        self._refuse_when_draining()
        missing = [sha for sha in spec.blobs() if not self.journal.blob_path(sha).exists()]
        if missing:
            raise MissingBlobs(missing)
        if spec.modules:
            self._unpack(spec.modules)
        self.journal.add_job(spec)
        self._policy = Policy(soft=spec.soft_timeout, hard=spec.hard_timeout)
        self._something.set()

    def accept_calls(self, job: str, calls: Sequence[CallData]) -> int:
        """Record calls and run them; how many were new. Raises UnknownJob, Draining."""
        self._refuse_when_draining()
        spec = self.journal.spec(job)
        if spec is None:
            raise UnknownJob(job)
        fresh = self.journal.add_calls(job, calls)
        if fresh:
            with self._lock:
                self._started.setdefault(job, self._clock())
            self.pool.submit(spec, fresh)
        return len(fresh)

    def _refuse_when_draining(self) -> None:
        if self._draining:
            raise Draining("the agent is ending")

    def _unpack(self, sha: str) -> None:
        target = self.journal.modules_path(sha)
        if target.exists():
            return
        temporary = target.with_name(f"{sha}.{uuid.uuid4().hex}")
        try:
            with zipfile.ZipFile(self.journal.blob_path(sha)) as archive:
                archive.extractall(temporary)
            temporary.rename(target)
        except zipfile.BadZipFile as exc:
            raise ProtocolError(f"the modules {sha} are no zip archive: {exc}") from exc
        except OSError:
            if not target.exists():  # Else another request was faster.
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def results(
        self, session: str, after: int, ack: int, wait: float, release: Sequence[str] = ()
    ) -> tuple[Page, dict[str, Any]]:
        """Results after a cursor, waiting up to ``wait`` seconds for the first; and what waits and runs.

        Results up to ``ack`` are forgotten first, and so are the jobs ``release``.
        """
        if ack:
            self.journal.acknowledge(session, ack)
        if release:
            self.pool.release(release)
        seen = self.pool.recorded(session)
        page = self.journal.results(session, after, _PAGE)
        deadline = self._clock() + wait
        while not page.records and not self._draining:
            left = deadline - self._clock()
            if left <= 0:
                break
            seen = self.pool.wait_for_results(session, seen, left)
            page = self.journal.results(session, after, _PAGE)
        waiting, running = self.pool.snapshot()
        mine = {
            "waiting": {job: count for job, count in waiting.items() if self._belongs(job, session)},
            "running": [[job, number] for job, number in running if self._belongs(job, session)],
            # Of all sessions: whoever has others' calls in mind must know of the room, not of the calls.
            "free": max(self.pool.processes - len(running) - sum(waiting.values()), 0),
        }
        return page, mine

    def _belongs(self, job: str, session: str) -> bool:
        spec = self.journal.spec(job)
        return spec is not None and spec.session == session

    # -- what it is --

    def info(self) -> dict[str, Any]:
        """What the agent is; the keys of this answer never change."""
        waiting, running = self.pool.snapshot()
        return {
            "protocol": PROTOCOL,
            "version": __version__,
            "bundle": self._bundle,
            "agent_id": self._agent_id,
            "boot_id": boot_id(),
            "python": ".".join(str(part) for part in _version()),
            "processes": self.pool.processes,
            "busy": bool(waiting or running),
        }

    def status(self) -> dict[str, Any]:
        """What waits and runs, and when the agent will end if nothing else happens."""
        waiting, running = self.pool.snapshot()
        decision = self._decide()
        left = None
        if isinstance(decision, KeepRunning) and decision.recheck_at is not None:
            left = max(decision.recheck_at - self._clock(), 0.0)
        return {
            "waiting": waiting,
            "running": [[job, number] for job, number in running],
            "time_to_dismantle": left,
            "draining": self._draining,
        }

    # -- the end --

    def dismantle(self, reason: str) -> None:
        """End now; what has not ended stays in the journal."""
        with self._lock:
            if self._draining:
                return
            self._draining = True
        self._something.set()
        self._end(reason)

    def _decide(self) -> KeepRunning | Dismantle:
        waiting, in_hand = self.pool.snapshot()
        busy = set(waiting) | {job for job, _ in in_hand}
        now = self._clock()
        hard = {job: spec.hard_timeout if (spec := self.journal.spec(job)) else None for job in busy}
        with self._lock:
            if self._started and not busy:
                self._idle_since = now
            self._started = {job: self._started.get(job, now) for job in busy}
            running = {job: (at, hard[job]) for job, at in self._started.items()}
            return decide(self._policy, Activity(self._idle_since, running), now)

    def _tidy(self) -> None:
        if self._clock() >= self._tidy_at:
            self._tidy_at = self._clock() + _TIDY_INTERVAL
            self.journal.drop_blobs(time.time() - _BLOB_AGE)

    def _watch(self) -> None:
        try:
            while not self._draining:
                decision = self._decide()
                if isinstance(decision, Dismantle):
                    for job in decision.jobs:
                        self.pool.cancel(job, None, Status.HARD_DISMANTLE)
                    if decision.jobs:
                        self._something.wait(_COLLECT_AFTER_HARD)
                    self.dismantle(decision.reason)
                    return
                self._tidy()
                self._something.wait(1.0)
                self._something.clear()
        except BaseException:  # noqa: BLE001
            # A keeper that is gone would keep the host for ever: end, and be started again.
            traceback.print_exc()
            os._exit(70)


def _version() -> tuple[int, int, int]:
    import sys

    return sys.version_info[:3]
