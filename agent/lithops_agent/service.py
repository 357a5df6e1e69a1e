"""The agent as an object: journal, pool and caretaker together, without HTTP."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lithops_agent.caretaker import Caretaker, Ending, Fence, NoFence
from lithops_agent.catalogue import Catalogue
from lithops_agent.clearing import REMOVE, remove_containers
from lithops_agent.delivery import Delivery
from lithops_agent.environments.manager import Environments
from lithops_agent.instants import Clock, Instant, SystemClock, boot_id
from lithops_agent.journal import CallData, Ended, Journal, Page, UnknownJob
from lithops_agent.keeper import Policy
from lithops_agent.modules import unpack
from lithops_agent.pool import Pool
from lithops_agent.protocol import PROTOCOL, ContainerOptions, JobSpec, Status
from lithops_agent.surroundings import write_entrance
from lithops_agent.timekeeper import Observed, Timekeeper
from lithops_agent.usage import usage
from lithops_agent.version import __version__

_BLOB_AGE = 3600.0
"""Seconds that a blob is kept for a later job after it was sent."""
_CONTAINER_TIMEOUT = 50.0


class MissingBlobs(Exception):
    """A job needs blobs that this agent does not have; ``hashes`` names them."""

    def __init__(self, hashes: list[str]) -> None:
        super().__init__(", ".join(hashes))
        self.hashes = hashes


class Agent:
    """One agent: takes jobs, runs their calls, hands out results, and decides when to end.

    What it is made of has its own interface: ``journal``, ``pool``, ``environments``, ``caretaker`` (when it
    ends), ``catalogue`` (what functions can run in) and ``delivery`` (what requests wait for). Here is what
    needs several of them.

    ``end`` is called once, from a thread of the agent's, when it is time to end the process. ``begun`` is
    when the host was asked to run an agent (None: now), ``policy`` and ``ending`` hold until a job says
    otherwise.
    """

    def __init__(
        self,
        home: Path,
        *,
        processes: int,
        worker_path: str,
        bundle: str,
        policy: Policy,
        end: Callable[[Ending], None],
        ending: str = REMOVE,
        begun: Instant | None = None,
        fence: Fence | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.home = home
        self.journal = Journal(home / "work")
        news = threading.Event()
        self.pool = Pool(
            self.journal,
            processes,
            worker_path=worker_path,
            folder=home,
            base_env={"LITHOPS_WORKER": str(home)},
            rest=news.set,
            is_held=lambda: self._times.is_held(),
        )
        self.environments = Environments(
            home / "environments",
            self.journal.blob_path,
            lambda: [spec.runtime for spec in self.journal.specs()],
        )
        self._bundle = bundle
        clock = clock or SystemClock()
        self._times = Timekeeper(
            clock,
            Observed(self.pool.busy_jobs, self.pool.rested, lambda job: self.journal.spec(job) is not None),
            begun=begun or clock.now(),
            policy=policy,
            ending=ending,
            kept=self.journal.fact("times"),
            keep=lambda text: self.journal.keep_fact("times", text),
        )
        self.delivery = Delivery(self.journal, self.pool)
        self.caretaker = Caretaker(
            self._times,
            self.pool,
            self.delivery,
            news=news,
            clock=clock,
            fence=fence or NoFence(),
            tidy=self._tidy,
            end=end,
        )
        self.catalogue = Catalogue(self.environments, self.pool.prepare, self.caretaker)
        self._agent_id = self.journal.fact("agent_id") or uuid.uuid4().hex
        self.journal.keep_fact("agent_id", self._agent_id)

    def start(self) -> None:
        """Run what an earlier agent left, and start to watch the time."""
        remove_containers(str(self.home))
        for spec, numbers in self.journal.unfinished():
            if not self._times.resumed(spec.job, spec.hard_timeout):
                self._record_late(spec, numbers)
        self.pool.start()
        self.caretaker.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the agent has ended."""
        self.caretaker.join(timeout)

    def _tidy(self) -> None:
        self.delivery.tidy()
        self.journal.drop_blobs(time.time() - _BLOB_AGE)
        self.environments.tidy()

    def _record_late(self, spec: JobSpec, numbers: Sequence[int]) -> None:
        """The time of a job was up while no agent ran: its calls are not run any more."""
        why = f"job {spec.job} reached standalone.hard_dismantle_timeout ({spec.hard_timeout:g} s)"
        self.journal.record(
            [Ended.without_worker(spec.job, number, Status.HARD_DISMANTLE, why) for number in numbers]
        )

    # -- jobs --

    def accept_job(self, spec: JobSpec) -> None:
        """Record a job. Its blobs must be there already.

        Raises MissingBlobs, Draining, ProtocolError.
        """
        self.caretaker.check()
        missing = [sha for sha in spec.blobs() if not self.journal.blob_path(sha).exists()]
        if missing:
            raise MissingBlobs(missing)
        if spec.modules:
            unpack(self.journal.blob_path(spec.modules), self.journal.modules_path(spec.modules))
        if spec.depth == 0 and self.journal.spec(spec.job) is None:
            self.caretaker.accept(Policy(soft=spec.soft_timeout, hard=spec.hard_timeout), spec.ending)
        self.journal.add_job(spec)

    def accept_calls(self, job: str, calls: Sequence[CallData]) -> int:
        """Record calls and run them; how many were new. Raises UnknownJob, Draining."""
        spec = self.journal.spec(job)
        if spec is None:
            raise UnknownJob(job)
        with self.caretaker.arriving(job, spec.hard_timeout, nested=spec.depth > 0):
            fresh = self.journal.add_calls(job, calls)
            if fresh:
                self.pool.submit(spec, fresh)
        return len(fresh)

    def enter(self, job: str) -> dict[str, Any]:
        """The way into the surroundings of a job's calls: see `protocol.ENTER`.

        Raises UnknownJob, EngineError, OSError.
        """
        spec = self.journal.spec(job)
        if spec is None:
            raise UnknownJob(job)
        container = None
        if spec.container is not None:
            zygote = self.pool.prepare(ContainerOptions.from_json(spec.container))
            zygote.settled.wait(_CONTAINER_TIMEOUT)
            if zygote.error is not None:
                raise zygote.error
            container = zygote.container
        entrance = write_entrance(self.journal.job_folder(job) / "shell", self.pool.surroundings(spec))
        return {
            "enter": str(entrance),
            "container": container,
            "function": str(self.journal.blob_path(spec.function)),
            "blobs": str(self.journal.blob_path("")),
        }

    def contents(self) -> dict[str, Any]:
        """What the agent holds: see `protocol.CONTENTS`."""
        waiting, running = self.pool.snapshot()
        runs = Counter(job for job, _ in running)
        jobs = [
            {
                "job": spec.job,
                "function_name": spec.function_name,
                "total": spec.total,
                "waiting": waiting.get(spec.job, 0),
                "running": runs[spec.job],
                "ended": ended,
                "bytes": size,
            }
            for spec in self.journal.specs()
            for ended, size in [self.journal.results_of(spec.job)]
        ]
        return {"home": str(self.home), "jobs": jobs}

    def results(self, session: str, after: int, wait: float) -> tuple[Page, dict[str, Any]]:
        """Results after a cursor, waiting up to ``wait`` seconds for the first; what waits and runs, and when
        the agent will end."""
        page, told = self.delivery.results(session, after, wait)
        told["ends_in"] = self.caretaker.ends_in()[0]
        return page, told

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
        left, reason = self.caretaker.ends_in()
        specs = [self.journal.spec(job) for job in sorted({*waiting, *(job for job, _ in running)})]
        return {
            "waiting": waiting,
            "running": [[job, number] for job, number in running],
            "jobs": {
                spec.job: {"function": spec.function_name, "runtime": spec.runtime} for spec in specs if spec
            },
            "processes": self.pool.processes,
            "host": usage(self.home),
            "time_to_dismantle": left,
            "reason": reason,
            "draining": self.caretaker.is_draining,
        }


def _version() -> tuple[int, int, int]:
    import sys

    return sys.version_info[:3]
