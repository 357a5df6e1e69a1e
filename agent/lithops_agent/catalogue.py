"""What functions can run in on this host, beside its interpreters: made ready, listed and removed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from lithops_agent.environments.manager import Environments
from lithops_agent.environments.request import Wanted
from lithops_agent.protocol import ContainerOptions

if TYPE_CHECKING:
    from lithops_agent.runtimes.docker import ContainerZygote
    from lithops_agent.runtimes.images import Images

_LIST_TIMEOUT = 5.0
"""Seconds that the Docker engine has to list its images."""
_PREPARE_TIMEOUT = 3600.0
"""Seconds that an image may take until it is ready; a host that waits longer for it ends."""


class Upkeep(Protocol):
    """What has the host stay while something is made ready on it."""

    def check(self) -> None:
        """Raise when the agent is ending."""
        ...

    def in_use(self, name: str, timeout: float | None = None) -> AbstractContextManager[None]:
        """The host stays within the block, for ``timeout`` seconds at most. Raises when it is ending."""
        ...


class Catalogue:
    """The environments and images of a host. Thread-safe.

    ``start`` gives the zygote of a container, which is used by the jobs to come. Nothing of Docker's is
    loaded before it is asked for.
    """

    def __init__(
        self,
        environments: Environments,
        start: Callable[[ContainerOptions], ContainerZygote],
        upkeep: Upkeep,
    ) -> None:
        self._environments = environments
        self._start = start
        self._upkeep = upkeep
        self._lock = threading.Lock()
        self._images: Images | None = None

    def environment(self, wanted: Wanted, wait: float) -> dict[str, Any]:
        """Have an environment built if it is not there; its state. Raises Draining, OSError.

        While somebody waits for it, the host is in use.
        """
        ready = self._environments.ready(wanted.name)
        if ready is not None:
            return ready
        with self._upkeep.in_use(f"environment {wanted.name}"):
            return self._environments.ask(wanted, wait)

    def image(
        self, request: str, options: ContainerOptions, pull: bool, auth: Mapping[str, str] | None, wait: float
    ) -> dict[str, Any]:
        """Make an image ready for a job to come: see `lithops_agent.runtimes.images.Images`.

        The host is in use until it is, whether somebody waits for it or not. Raises Draining, EngineError.
        """
        self._upkeep.check()
        with self._lock:
            if self._images is None:
                from lithops_agent.runtimes.images import Images

                self._images = Images(self._start, self._occupied)
        return self._images.prepare(request, options, pull, auth, wait)

    def _occupied(self, request: str) -> AbstractContextManager[None]:
        """A host does not count as idle while a long pull goes on."""
        return self._upkeep.in_use(f"image {request}", _PREPARE_TIMEOUT)

    def listed(self) -> dict[str, Any]:
        """All that is here: see `protocol.RUNTIMES`."""
        from lithops_agent.runtimes.engine import Engine, EngineError
        from lithops_agent.runtimes.inventory import images

        found: list[dict[str, Any]] = []
        trouble = ""
        try:
            found = images(Engine(timeout=_LIST_TIMEOUT))
        except EngineError as exc:
            trouble = str(exc)
        return {"images": found, "engine": trouble, "environments": self._environments.listed()}

    def remove(self, kind: str, name: str) -> bool:
        """Remove an image or an environment; whether it was there. Raises RuntimeUnusable, InUse."""
        from lithops_agent.runtimes.engine import Engine
        from lithops_agent.runtimes.inventory import remove_image

        return remove_image(Engine(), name) if kind == "image" else self._environments.remove(name)
