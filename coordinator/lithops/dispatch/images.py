"""Before a job goes to a host, its image is made ready there, and the user sees how far that is."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Optional

from lithops.dispatch.client import AgentClient, Refused
from lithops.errors import (
    DockerNotFound,
    DockerPermissionError,
    HostDiskFull,
    HostError,
    ImageArchitectureError,
    ImageError,
    ImageNotFound,
    ImagePythonError,
    RegistryUnauthorized,
    RegistryUnreachable,
)
from lithops_agent.protocol import ContainerOptions, Problem, RuntimeFailure

logger = logging.getLogger(__name__)

_WAIT = 1.0
"""Seconds that a host takes at most to tell how far it is."""
_SHOWN_EVERY = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageRuntime:
    """The image that the calls of a session run in. ``pull``: before each job, not only when it is missing.

    ``login`` is what its registry wants to know: serveraddress, username, password.
    """

    options: ContainerOptions
    pull: bool = False
    login: Optional[Mapping[str, str]] = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """An image that is ready on a host, and the digest that its registry knows it by ("": none)."""

    options: ContainerOptions
    digest: str


def prepare(
    client: AgentClient,
    runtime: ImageRuntime,
    options: ContainerOptions,
    request: str,
    host: str,
    is_wanted: Callable[[], bool],
    tell: Callable[[str], None] = lambda doing: None,
) -> Optional[Ready]:
    """Have a host make an image ready; None when that is not wanted any more. Raises HostError.

    ``tell`` is told what is being done meanwhile.
    """
    if options.image:
        return Ready(options=options, digest="")
    asked = {
        "request": request,
        "container": options.to_json(),
        "pull": runtime.pull,
        "auth": dict(runtime.login) if runtime.login else None,
        "wait": _WAIT,
    }
    shown, shown_at = "", time.monotonic()
    while is_wanted():
        try:
            told = client.prepare(asked)
        except Refused as exc:
            if exc.kind != Problem.RUNTIME:
                raise
            raise image_error(
                str(exc.details.get("failure")), str(exc.details["detail"]), options, host
            ) from exc
        if told["ready"]:
            if shown:
                logger.info("host %s: the image %s is ready", host, options.name)
            image, digest = str(told["image"]), str(told["digest"])
            return Ready(options=dataclasses.replace(options, image=image), digest=digest)
        line = describe(told)
        tell(f"{options.name} {line}")
        if line != shown and (not shown or time.monotonic() - shown_at >= _SHOWN_EVERY):
            logger.info("host %s: %s %s", host, options.name, line)
            shown, shown_at = line, time.monotonic()
    return None


def describe(told: Mapping[str, Any]) -> str:
    """How far a host is, in words."""
    (layers, all_layers), (done, size) = told["layers"], told["bytes"]
    if not all_layers:
        return f"({told['doing']})"
    return f"({told['doing']}: {layers} of {all_layers} layers, {done / 1e6:.1f} of {size / 1e6:.1f} MB)"


def image_error(failure: str, detail: str, options: ContainerOptions, host: str) -> HostError:
    """The error for what an agent said about an image, with what the user can do."""
    kind, text = _ERRORS.get(failure, (ImageError, "functions can't run in the image {name}: {detail}"))
    return kind(text.format(name=options.name, detail=detail), host=host, phase="image")


_ERRORS: Mapping[str, tuple[type[HostError], str]] = {
    RuntimeFailure.NO_ENGINE: (
        DockerNotFound,
        "no Docker engine answers there, and the runtime {name} is an image: install Docker "
        "(apt-get install docker.io), start it (systemctl start docker), or choose an interpreter ({detail})",
    ),
    RuntimeFailure.NO_PERMISSION: (
        DockerPermissionError,
        "the login may not use Docker ({detail}): add it to the group (sudo usermod -aG docker LOGIN), and "
        "end the agent that runs there (dismantle()), so that the next one has the group",
    ),
    RuntimeFailure.REGISTRY_UNREACHABLE: (
        RegistryUnreachable,
        "the registry of the image {name} can't be reached from there: {detail}. Check the name and the "
        "network of the host, or put the image there (docker load) and leave standalone.pull_runtime false",
    ),
    RuntimeFailure.UNAUTHORIZED: (
        RegistryUnauthorized,
        "the registry of the image {name} refuses: {detail}. Check standalone.docker_user and "
        "docker_password",
    ),
    RuntimeFailure.NO_SUCH_IMAGE: (
        ImageNotFound,
        "there is no image {name}: {detail}. Check its name and tag; a private one needs "
        "standalone.docker_user and docker_password",
    ),
    RuntimeFailure.NO_SPACE: (
        HostDiskFull,
        "the disk of Docker is full: no room for the image {name} ({detail}); free some space, for example "
        "with docker image prune",
    ),
    RuntimeFailure.ARCHITECTURE: (
        ImageArchitectureError,
        "the image {name} is for another kind of machine: {detail}. Choose one that is built for this "
        "one, too",
    ),
    RuntimeFailure.NO_PYTHON: (
        ImagePythonError,
        "{detail}: choose an image with that Python, or put it into this one",
    ),
    RuntimeFailure.OTHER_PYTHON: (
        ImagePythonError,
        "{detail}: choose an image with that Python, or run the script with that of the image",
    ),
}
