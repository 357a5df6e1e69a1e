"""What a session knows of its jobs: how to tell an agent of them, and which ones hosts still keep."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Optional

from lithops.backends.machine import Link
from lithops.dispatch.images import ImageRuntime, Ready
from lithops.job.model import Job
from lithops.job.printed import Output
from lithops.printing import Printer
from lithops_agent.protocol import ContainerOptions, JobSpec

if TYPE_CHECKING:
    from lithops.environment.prepare import Environments
    from lithops.future import ResponseFuture

_KEPT = 100
_KEPT_BYTES = 64 * 1024 * 1024
"""So many jobs that the program has seen the end of can still be continued by another process, while the
results of all of them have no more bytes."""
_RELEASED_TOGETHER = 32
"""So many more are kept until they are released in one request: each costs a host as much as a call."""
MEGABYTE = 1_000_000
_REMEMBERED = 1000
"""Jobs that were released and whose last calls may be on their way to a host yet."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """What holds for all jobs of a session. Time-outs in seconds, None for none.

    ``ending`` is what dismantling means on its hosts: see `JobSpec`.
    ``nested``: this process is itself a worker of the agent; then results are never acknowledged,
    because the futures may be returned to the caller of the function, who collects them.
    ``keep_jobs``: hosts keep all jobs with their results, until somebody releases them.
    ``workers``: how many calls run at the same time at most, on all hosts together; None: any number.
    ``environments``: gives hosts the environment that functions run in; None: the interpreter as it is.
    ``image``: what calls run in; None: the interpreter that each link names.
    ``printer``: shows what calls print while they run.
    ``lost_after``: how long a host that was ready is tried again before it counts as lost.
    """

    soft_timeout: float | None
    hard_timeout: float | None
    ending: str = "remove"
    depth: int = 0
    nested: bool = False
    start_timeout: float = 300.0
    lost_after: float = 360.0
    keep_jobs: bool = False
    workers: Optional[int] = None
    environments: Environments | None = None
    image: Optional[ImageRuntime] = None
    printer: Optional[Printer] = None


@dataclasses.dataclass
class JobState:
    """A job that has calls without a result."""

    job: Job
    key: str
    futures: dict[int, ResponseFuture]
    payloads: dict[int, bytes]
    images: dict[str, Ready] = dataclasses.field(default_factory=dict)
    """The image of the job on each host where it was made ready."""
    printed: dict[int, Output] = dataclasses.field(default_factory=dict)
    """What calls have printed whose results are on their way."""

    def container(self, link: Link, runtime: ImageRuntime) -> ContainerOptions:
        """The container that the job wants on a host."""
        memory = self.job.runtime_memory
        options = runtime.options
        if memory is not None and not options.image:
            options = dataclasses.replace(options, memory=memory * MEGABYTE)
        return options if options.image else dataclasses.replace(options, cpus=link.processes)

    def spec(self, link: Link, session: str, options: SessionOptions, most: int | None) -> JobSpec:
        """The job as an agent is told of it; ``most``: how many calls run there at the same time at most."""
        job, ready = self.job, self.images.get(link.host)
        return JobSpec(
            job=self.key,
            session=session,
            function=job.function.sha256,
            total=job.total_calls,
            runtime=ready.options.name if ready else link.runtime,
            function_name=job.function_name,
            modules=job.modules.sha256 if job.modules else None,
            env=dict(job.extra_env),
            timeout=job.timeout,
            cwd=link.cwd,
            depth=options.depth,
            retries=job.retries,
            soft_timeout=options.soft_timeout,
            hard_timeout=options.hard_timeout,
            ending=options.ending,
            container=ready.options.to_json() if ready else None,
            processes=link.processes,
            most=most,
        )


class Retention:
    """Which jobs hosts keep with their results: those that the program has not seen the end of, and the last
    ones that it has. If it is killed, another process can go on with these."""

    def __init__(self) -> None:
        self._seen: deque[str] = deque()
        self._sizes: Counter[str] = Counter()
        self._kept_bytes = 0
        self._released: OrderedDict[str, None] = OrderedDict()

    def grew(self, key: str, size: int) -> None:
        """A host has a result of so many bytes."""
        self._sizes[key] += size

    def seen(self, key: str) -> list[str]:
        """The program was told how all calls of a job ended; the jobs to release now."""
        self._seen.append(key)
        self._kept_bytes += self._sizes[key]
        count, kept = 0, self._kept_bytes
        if len(self._seen) >= _KEPT + _RELEASED_TOGETHER:
            count = len(self._seen) - _KEPT
            kept -= sum(self._sizes[key] for key in itertools.islice(self._seen, count))
        while kept > _KEPT_BYTES:
            kept -= self._sizes[self._seen[count]]
            count += 1
        return self._release(count)

    def wanted(self, key: str) -> None:
        """A job has calls, though all before may have been seen."""
        self._released.pop(key, None)
        if key in self._seen:
            self._seen.remove(key)
            self._kept_bytes -= self._sizes[key]

    def end(self) -> list[str]:
        """The program ends as it should; the jobs to release now."""
        return self._release(len(self._seen))

    def is_released(self, key: str) -> bool:
        """Whether nobody will ask for the results of a job."""
        return key in self._released

    def _release(self, count: int) -> list[str]:
        keys = [self._seen.popleft() for _ in range(count)]
        self._kept_bytes -= sum(self._sizes.pop(key, 0) for key in keys)
        self._released.update(dict.fromkeys(keys))
        while len(self._released) > _REMEMBERED:
            self._released.popitem(last=False)
        return keys
