"""The agent as an object: journal, pool and keeper together, without HTTP."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import threading
import time
import traceback
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lithops_agent.clearing import LEAVE, REMOVE, remove_containers
from lithops_agent.environments.manager import Environments
from lithops_agent.environments.request import Wanted
from lithops_agent.instants import Clock, Instant, SystemClock, boot_id
from lithops_agent.journal import CallData, Ended, Journal, Page, UnknownJob
from lithops_agent.keeper import Dismantle, End, Policy
from lithops_agent.pool import Pool
from lithops_agent.printed import Printed
from lithops_agent.protocol import PROTOCOL, STATS, ContainerOptions, JobSpec, Part, ProtocolError, Status
from lithops_agent.surroundings import write_entrance
from lithops_agent.timekeeper import Observed, Timekeeper
from lithops_agent.usage import usage
from lithops_agent.version import __version__

if TYPE_CHECKING:
    from lithops_agent.runtimes.images import Images

_PAGE = 4 * 1024 * 1024
_COLLECT_AFTER_HARD = 1.0
"""Seconds that an agent stays after its hard deadline at most, so that results can be collected."""
_LIST_TIMEOUT = 5.0
"""Seconds that the Docker engine has to list its images."""
_LARGE = 0.3
"""Seconds for fetching large results, once their coordinators have heard of them."""
_TO_END = 3.0
"""Seconds that the second fence gives an agent that has begun to end."""
_SETTLE = 0.05
"""Seconds in which what happens is noted together: often one job follows another at once."""
_BLOB_AGE = 3600.0
"""Seconds that a blob is kept for a later job after it was sent."""
_TIDY_INTERVAL = 60.0
_PREPARE_TIMEOUT = 3600.0
"""Seconds that an image may take until it is ready; a host that waits longer for it ends."""
_HELD = "held by somebody in a shell, or for machines that are reached through it"
_SESSIONS = 1000
_CONTAINER_TIMEOUT = 50.0
_LOOK = 0.2
"""Seconds between two looks at what calls print, while somebody waits for it."""


class MissingBlobs(Exception):
    """A job needs blobs that this agent does not have; ``hashes`` names them."""

    def __init__(self, hashes: list[str]) -> None:
        super().__init__(", ".join(hashes))
        self.hashes = hashes


class Draining(Exception):
    """The agent is ending and takes no more jobs."""


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


class Agent:
    """One agent: takes jobs, runs their calls, hands out results, and decides when to end.

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
        self._something = threading.Event()
        self.pool = Pool(
            self.journal,
            processes,
            worker_path=worker_path,
            folder=home,
            base_env={"LITHOPS_WORKER": str(home)},
            rest=self._something.set,
            is_held=lambda: self._times.is_held(),
        )
        self.environments = Environments(
            home / "environments",
            self.journal.blob_path,
            lambda: [spec.runtime for spec in self.journal.specs()],
        )
        self._images: Images | None = None
        self._bundle = bundle
        self._end = end
        self._clock = clock or SystemClock()
        self._fence = fence or NoFence()
        self._fence_lock = threading.Lock()
        self._times = Timekeeper(
            self._clock,
            Observed(self.pool.busy_jobs, self.pool.rested, lambda job: self.journal.spec(job) is not None),
            begun=begun or self._clock.now(),
            policy=policy,
            ending=ending,
            kept=self.journal.fact("times"),
            keep=lambda text: self.journal.keep_fact("times", text),
        )
        self._tidy_at = 0.0
        self._ending: Ending | None = None
        self._left = False
        self._cursors: dict[str, int] = {}
        """Up to where each session has heard of results."""
        self._keeper = threading.Thread(target=self._watch, name="keeper", daemon=True)
        self._agent_id = self.journal.fact("agent_id") or uuid.uuid4().hex
        self.journal.keep_fact("agent_id", self._agent_id)

    def start(self) -> None:
        """Run what an earlier agent left, and start to watch the time."""
        remove_containers(str(self.home))
        for spec, numbers in self.journal.unfinished():
            if not self._times.resumed(spec.job, spec.hard_timeout):
                self._record_late(spec, numbers)
        self.pool.start()
        self._keeper.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the agent has ended."""
        self._keeper.join(timeout)

    def _record_late(self, spec: JobSpec, numbers: Sequence[int]) -> None:
        """The time of a job was up while no agent ran: its calls are not run any more."""
        why = f"job {spec.job} reached standalone.hard_dismantle_timeout ({spec.hard_timeout:g} s)".encode()
        status, stats = Status.HARD_DISMANTLE, bytes(8 * len(STATS))
        self.journal.record(
            [Ended(spec.job, number, status, stats, len(why), why, None) for number in numbers]
        )

    # -- jobs --

    def accept_job(self, spec: JobSpec) -> None:
        """Record a job. Its blobs must be there already.

        Raises MissingBlobs, Draining, ProtocolError.
        """
        if self._times.closed:
            raise Draining("the agent is ending")
        missing = [sha for sha in spec.blobs() if not self.journal.blob_path(sha).exists()]
        if missing:
            raise MissingBlobs(missing)
        if spec.modules:
            self._unpack(spec.modules)
        if spec.depth == 0 and self.journal.spec(spec.job) is None:
            policy = Policy(soft=spec.soft_timeout, hard=spec.hard_timeout)
            if not self._times.accept(policy, spec.ending):
                raise Draining("the agent is ending")
        self.journal.add_job(spec)

    def accept_calls(self, job: str, calls: Sequence[CallData]) -> int:
        """Record calls and run them; how many were new. Raises UnknownJob, Draining."""
        spec = self.journal.spec(job)
        if spec is None:
            raise UnknownJob(job)
        if not self._times.begin(job, spec.hard_timeout, nested=spec.depth > 0):
            raise Draining("the agent is ending")
        try:
            # Before they are acknowledged: the fence must not end a host that has accepted them.
            self._tell_fence(note_only=True)
            fresh = self.journal.add_calls(job, calls)
            if fresh:
                self.pool.submit(spec, fresh)
        finally:
            self._times.arrived(job)
        self._something.set()
        return len(fresh)

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

    def environment(self, wanted: Wanted, wait: float) -> dict[str, Any]:
        """Have an environment built if it is not there; its state. Raises Draining, OSError.

        While somebody waits for it, the host is in use.
        """
        ready = self.environments.ready(wanted.name)
        if ready is not None:
            return ready
        with self.in_use(f"environment {wanted.name}"):
            return self.environments.ask(wanted, wait)

    @contextlib.contextmanager
    def in_use(self, name: str) -> Iterator[None]:
        """The host counts as busy within the block, as with a job of this name. Raises Draining."""
        if not self._times.begin(name, None, nested=False):
            raise Draining("the agent is ending")
        self._something.set()
        try:
            yield
        finally:
            self._times.arrived(name)
            self._something.set()

    def hold(self, name: str, seconds: float) -> float | None:
        """For so long the host does not count as idle, because somebody is in a shell there; 0: not any more.

        Gives the seconds that the hard time-out leaves, None: it does not count. Raises Draining.
        """
        if not self._times.hold(name, seconds):
            raise Draining("the agent is ending")
        self._tell_fence(note_only=True)
        self._something.set()
        end = self._times.hard_end()
        return None if end is None else max(self._clock.now().until(end), 0.0)

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
        """Results after a cursor, waiting up to ``wait`` seconds for the first; and what waits and runs."""
        self._cursors[session] = after
        seen = self.pool.recorded(session)
        page = self.journal.results(session, after, _PAGE)
        deadline = time.monotonic() + wait
        while not page.records and not self._left:
            left = deadline - time.monotonic()
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
            "ends_in": self._ends_in()[0],
        }
        return page, mine

    def printed(
        self, job: str, after: int, seen: Mapping[int, int], wait: float
    ) -> tuple[dict[str, Any], list[Part]]:
        """What calls of a job have printed: see `protocol.PRINTED`. Waits up to ``wait`` seconds for more."""
        deadline = time.monotonic() + wait
        while True:
            waiting, running = self.pool.snapshot()
            # The running ones first: one that ends meanwhile is found among the ended.
            now = self.pool.printing(job)
            cursor, parts = self.journal.printed(job, after, _PAGE)
            parts += [part for old in now if (part := _since(old, seen.get(old.number, 0))).text]
            mine = [number for name, number in running if name == job]
            left = waiting.get(job, 0) + len(mine)
            if parts or not left or time.monotonic() >= deadline or self._left:
                return {"cursor": cursor, "running": mine, "left": left}, parts
            time.sleep(_LOOK)

    def _belongs(self, job: str, session: str) -> bool:
        spec = self.journal.spec(job)
        return spec is not None and spec.session == session

    def prepare(
        self, request: str, options: ContainerOptions, pull: bool, auth: Mapping[str, str] | None, wait: float
    ) -> dict[str, Any]:
        """Make an image ready for a job to come: see `lithops_agent.runtimes.images.Images`.

        Raises Draining, EngineError.
        """
        if self._times.closed:
            raise Draining("the agent is ending")
        with self._fence_lock:
            if self._images is None:
                from lithops_agent.runtimes.images import Images

                self._images = Images(self.pool.prepare, self._occupied)
        return self._images.prepare(request, options, pull, auth, wait)

    @contextlib.contextmanager
    def _occupied(self, request: str) -> Iterator[None]:
        """An image is being made ready: a host does not count as idle while a long pull goes on."""
        job = f"image {request}"
        if not self._times.begin(job, _PREPARE_TIMEOUT, nested=False):
            raise Draining("the agent is ending")
        try:
            yield
        finally:
            self._times.arrived(job)
            self._something.set()

    def runtimes(self) -> dict[str, Any]:
        """What functions can run in here, beside interpreters."""
        from lithops_agent.runtimes.engine import Engine, EngineError
        from lithops_agent.runtimes.inventory import images

        found: list[dict[str, Any]] = []
        trouble = ""
        try:
            found = images(Engine(timeout=_LIST_TIMEOUT))
        except EngineError as exc:
            trouble = str(exc)
        return {"images": found, "engine": trouble, "environments": self.environments.listed()}

    def remove_runtime(self, kind: str, name: str) -> bool:
        """Remove an image or an environment; whether it was there. Raises RuntimeUnusable, InUse."""
        from lithops_agent.runtimes.engine import Engine
        from lithops_agent.runtimes.inventory import remove_image

        return remove_image(Engine(), name) if kind == "image" else self.environments.remove(name)

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
        left, reason = self._ends_in()
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
            "draining": self._times.closed,
        }

    def _ends_in(self) -> tuple[float | None, str]:
        """Seconds until this agent will end if nothing else happens, None for never; and why."""
        if self._times.closed:
            return 0.0, self._ending.reason if self._ending else "its time is up"
        found = self._times.next_end()
        if found is None:
            return None, ""
        end, at = found
        return max(self._clock.now().until(at), 0.0), _reason(end, at.wall - end.timeout)

    # -- the end --

    def dismantle(self, reason: str, how: str | None = None) -> None:
        """End now; ``how`` is as of the last job if None. What has not ended is not waited for."""
        self._times.close()
        if self._ending is None:
            how = how or self._times.ending
            self._ending = Ending(reason, how, with_work=how != LEAVE)
        self._something.set()

    def _watch(self) -> None:
        try:
            woken = False
            while self._ending is None:
                self._something.clear()
                decision = self._times.check()
                if isinstance(decision, Dismantle):
                    self._drain(decision)
                    break
                self._tell_fence()
                self._tidy()
                if woken:
                    time.sleep(_SETTLE)
                at = decision.recheck_at
                left = None if at is None else at - self._clock.now().boottime
                woken = self._clock.wait(self._something, left)
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

    def _tidy(self) -> None:
        now = time.monotonic()
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_INTERVAL
            if len(self._cursors) > _SESSIONS:
                self._cursors.clear()  # Those that still poll are noted again.
            self.journal.drop_blobs(time.time() - _BLOB_AGE)
            self.environments.tidy()

    def _drain(self, decision: Dismantle) -> None:
        """The time is up: kill what runs, and leave a moment for collecting what has ended."""
        began = self._clock.now()
        self._set_fence(began.plus(_TO_END), note_only=True)
        if decision.jobs:
            sessions = {spec.session for job in self.pool.busy_jobs() if (spec := self.journal.spec(job))}
            self.pool.end_all(Status.HARD_DISMANTLE, decision.reason)
            self._wait_for_collection(sessions, began.plus(_COLLECT_AFTER_HARD))
        self._ending = self._ending or Ending(decision.reason, self._times.ending, with_work=False)

    def _wait_for_collection(self, sessions: Collection[str], deadline: Instant) -> None:
        """Wait until these sessions have heard of all results, or the deadline."""
        while self._ending is None and (left := self._clock.now().until(deadline)) > 0:
            if not self.pool.busy_jobs() and all(map(self._has_heard, sessions)):
                time.sleep(min(left, _LARGE))
                return
            time.sleep(_SETTLE)

    def _has_heard(self, session: str) -> bool:
        return not self.journal.results(session, self._cursors.get(session, 0), 1).records

    def _leave(self) -> None:
        """Kill the workers, send those home who wait for results, and end."""
        self._left = True
        self.pool.stop()
        if self._ending is not None:
            self._end(self._ending)


def _reason(end: End, since: float) -> str:
    """Why a host ends; ``since`` is in seconds since the epoch."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(since))
    if end.soft:
        return f"soft: {_HELD}" if end.held else f"soft: no job since {moment}"
    return f"hard: {_HELD} since {moment}" if end.held else f"hard: job {end.job} since {moment}"


def _since(part: Part, seen: int) -> Part:
    """What comes after the first ``seen`` bytes."""
    return Part(part.job, part.number, *Printed(part.begins, part.text).since(seen))


def _version() -> tuple[int, int, int]:
    import sys

    return sys.version_info[:3]
