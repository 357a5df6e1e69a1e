"""Entering what the calls of a job see on a host, also when the host has forgotten the job."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from lithops.backends.machine import Link, Machine
from lithops.config.settings import Settings
from lithops.dispatch import environments_of, image_of
from lithops.dispatch.client import AgentClient
from lithops.dispatch.images import prepare
from lithops.dispatch.jobs import JobState, SessionOptions
from lithops.errors import HostError, JobUnknown
from lithops.state.keepsakes import Keepsakes
from lithops.state.ledger import spool_path
from lithops.state.records import state_folder
from lithops.state.spool import SpooledJob, read
from lithops_agent import protocol

_NO_DOCKER = (
    "echo 'lithops: there is no command docker on this host to enter the container with' >&2; exit 127"
)


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """The way into the surroundings of a job's calls: see `lithops_agent.protocol.ENTER`."""

    enter: str
    container: Optional[str]
    function: str
    blobs: str

    def command(self, words: Sequence[str], *, with_terminal: bool) -> str:
        """The shell command that runs a command there, or a shell when there are no words."""
        inside = ["sh", self.enter, *words]
        if self.container is None:
            return f"exec {shlex.join(inside)}"
        options = "-it" if with_terminal else "-i"
        through = shlex.join(["docker", "exec", options, self.container, *inside])
        return f"command -v docker > /dev/null || {{ {_NO_DOCKER}; }}; exec {through}"


class Visit:
    """What is done on a host for somebody who has entered it, over the link to its agent."""

    def __init__(self, client: AgentClient, entrance: Entrance, link: Link) -> None:
        self.link = link
        self.entrance = entrance
        self._client = client

    def send(self, data: bytes) -> str:
        """Send bytes; the path of the file that they are in, for an hour at least."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._client.submit(protocol.blob_frame(sha256, data))
        return f"{self.entrance.blobs.rstrip('/')}/{sha256}"


def kept_job(job_key: str, executor_id: str) -> Optional[SpooledJob]:
    """A job with the data of its calls, as far as they are on this machine: those of failed calls, for a
    week, and all while the job can be continued. Raises OSError."""
    failed = Keepsakes(state_folder()).failed(job_key)
    spooled = read(spool_path(executor_id)).get(job_key)
    if failed is None or spooled is None:
        return failed or spooled
    return SpooledJob(job=spooled.job, info=spooled.info, payloads={**failed.payloads, **spooled.payloads})


@contextlib.contextmanager
def visit(machine: Machine, settings: Settings, job_key: str, kept: Optional[SpooledJob]) -> Iterator[Visit]:
    """Make a host ready for what the calls of a job see there; an agent is started where none runs.

    What was brought there for it goes at the end of the block.

    Raises:
        HostError: the host, the environment or the image of the job can't be used.
        JobUnknown: the host has forgotten the job, and there is nothing here to bring it again.
    """
    link = machine.open()
    client = AgentClient(link.opener, link.token, link.host)
    brought = ""
    try:
        if any(job["job"] == job_key for job in client.contents()["jobs"]):
            found = client.enter(job_key)
        elif kept is not None:
            brought = f"visit-{uuid.uuid4().hex[:12]}"
            client.submit(_frames(client, link, settings, brought, kept))
            found = client.enter(brought)
        else:
            raise JobUnknown(
                f"host {machine.name} has forgotten job {job_key}, and none of its calls failed, so its "
                "function was not kept"
            )
        yield Visit(client, _entrance(found), link)
    finally:
        with contextlib.suppress(HostError):
            if brought:
                client.release([brought])
        client.close()
        link.close()


def _entrance(found: dict[str, Any]) -> Entrance:
    return Entrance(
        enter=found["enter"],
        container=found["container"],
        function=found["function"],
        blobs=found["blobs"],
    )


def _frames(client: AgentClient, link: Link, settings: Settings, key: str, kept: SpooledJob) -> list[bytes]:
    """The job under another name, with its function and modules, and without calls."""
    standalone = settings.standalone
    options = SessionOptions(
        soft_timeout=standalone.soft,
        hard_timeout=standalone.hard,
        ending=standalone.ending(settings.backend_name),
    )
    environments = environments_of(settings)
    if environments is not None:
        link = environments.prepare(link, client, lambda: False)
    state = JobState(kept.job, key, {}, {})
    runtime = image_of(settings, nested=False)
    if runtime is not None:
        ready = prepare(client, runtime, state.container(link, runtime), key, link.host, lambda: True)
        assert ready is not None
        state.images[link.host] = ready
    blobs = [blob for blob in (kept.job.function, kept.job.modules) if blob is not None]
    frames = [piece for blob in blobs for piece in protocol.blob_frame(blob.sha256, blob.data)]
    return [*frames, protocol.frame_head(state.spec(link, key, options, None).to_json(), 0)]
