"""Images are made ready for jobs: pulled, looked at, and tried.

A pull happens once, whatever the number of requests for it. Logins of registries are kept in memory, for as
long as the pull that they came with.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import platform
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from lithops_agent.protocol import ContainerOptions, RuntimeFailure
from lithops_agent.runtimes.docker import ContainerZygote
from lithops_agent.runtimes.engine import Engine, EngineError, classify

_REMEMBERED = 200
_SILENCE = 300.0
"""Seconds that a registry may say nothing during a pull."""
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_DONE = frozenset(("Pull complete", "Already exists"))


def split_name(name: str) -> tuple[str, str]:
    """An image's name without, and its tag or digest; ``latest`` when it says nothing."""
    plain, at, digest = name.partition("@")
    if at:
        head, colon, tail = plain.rpartition(":")
        return (head if colon and "/" not in tail else plain), digest
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (name, "latest")


class Progress:
    """How far a pull is: layers, and bytes of those whose sizes are known."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._done: set[str] = set()

    def heard(self, event: Mapping[str, Any]) -> None:
        """The engine told something. Raises EngineError when that is why it failed."""
        if "error" in event:
            raise classify(200, str(event["error"]))
        layer, status = event.get("id"), event.get("status", "")
        if not layer or status.startswith("Pulling from"):
            return
        done, size = self._layers.get(layer, (0, 0))
        detail = event.get("progressDetail") or {}
        if status == "Downloading":
            done, size = int(detail.get("current", done)), int(detail.get("total", size))
        elif status in ("Download complete", *_DONE):
            done = size
        self._layers[layer] = done, size
        if status in _DONE:
            self._done.add(layer)

    def to_json(self) -> dict[str, list[int]]:
        """Layers and bytes, each as done and of how many."""
        layers = list(self._layers.values())
        return {
            "layers": [len(self._done), len(layers)],
            "bytes": [sum(done for done, _ in layers), sum(size for _, size in layers)],
        }


class _Pull:
    """A pull that is under way."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.over = threading.Event()
        self.error: EngineError | None = None


class Puller:
    """Pulls images, each once at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._pulls: dict[str, _Pull] = {}

    def pull(
        self,
        name: str,
        auth: Mapping[str, str] | None,
        tell: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        """Pull an image, or wait for the one who does. Raises `EngineError`."""
        with self._lock:
            found = self._pulls.get(name)
            mine = self._pulls.setdefault(name, _Pull())
        tell(mine.progress)
        if found is None:
            try:
                self._run(name, auth, mine)
            except EngineError as exc:
                mine.error = exc
            finally:
                with self._lock:
                    del self._pulls[name]
                mine.over.set()
        mine.over.wait()
        if mine.error is not None:
            raise EngineError(mine.error.kind, str(mine.error))

    def _run(self, name: str, auth: Mapping[str, str] | None, pull: _Pull) -> None:
        image, tag = split_name(name)
        headers = {}
        if auth:
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()
        for event in self._engine.stream(
            "/images/create", {"fromImage": image, "tag": tag}, headers, _SILENCE
        ):
            pull.progress.heard(event)


@dataclasses.dataclass(frozen=True)
class Image:
    """An image that is there: its id, the digest that its registry knows it by, and its kind of machine."""

    id: str
    digest: str
    architecture: str


def look_at(engine: Engine, name: str) -> Image:
    """The image of this name. Raises `EngineError`."""
    found = engine.get(f"/images/{name}/json")
    digests: Iterable[str] = found.get("RepoDigests") or ()
    plain = split_name(name)[0]
    mine = [digest for digest in digests if digest.startswith(f"{plain}@")] or list(digests)
    return Image(found["Id"], mine[0] if mine else "", found.get("Architecture", ""))


class Preparation:
    """One request to make a runtime ready, and how far it is."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.doing = "looking at the image"
        self.progress = Progress()
        self.ready: dict[str, Any] | None = None
        self.error: EngineError | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is known how it ended."""
        return self.ready is not None or self.error is not None

    def told(self) -> dict[str, Any]:
        """How far it is. Raises `EngineError` when it failed."""
        if self.error is not None:
            raise EngineError(self.error.kind, str(self.error))
        if self.ready is not None:
            return {"ready": True, **self.ready}
        return {"ready": False, "doing": self.doing, **self.progress.to_json()}


class Images:
    """Makes images ready.

    ``start`` gives the zygote of a container, which is used by the jobs to come. ``occupied`` is entered,
    with the name of the request, for as long as something is under way.
    """

    def __init__(
        self,
        start: Callable[[ContainerOptions], ContainerZygote],
        occupied: Callable[[str], AbstractContextManager[None]],
        engine: Engine | None = None,
    ) -> None:
        self._start = start
        self._occupied = occupied
        self._engine = engine or Engine()
        self._puller = Puller(self._engine)
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Preparation] = OrderedDict()

    def prepare(
        self, request: str, options: ContainerOptions, pull: bool, auth: Mapping[str, str] | None, wait: float
    ) -> dict[str, Any]:
        """Begin what is asked for, if that was not asked for before; how far it is after ``wait`` seconds.

        Raises `EngineError` when it failed.
        """
        with self._lock:
            preparation = self._known.get(request)
            if preparation is None:
                preparation = self._known[request] = Preparation()
                threading.Thread(
                    target=self._run,
                    args=(request, preparation, options, pull, auth),
                    name="prepare",
                    daemon=True,
                ).start()
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        deadline = time.monotonic() + wait
        with preparation.changed:
            preparation.changed.wait_for(lambda: preparation.is_over, max(deadline - time.monotonic(), 0.0))
            if preparation.error is not None:
                # Asked again, it is tried again.
                with self._lock:
                    self._known.pop(request, None)
            return preparation.told()

    def _run(
        self,
        request: str,
        preparation: Preparation,
        options: ContainerOptions,
        pull: bool,
        auth: Mapping[str, str] | None,
    ) -> None:
        try:
            with self._occupied(request):
                ready, error = self._make_ready(preparation, options, pull, auth), None
        except EngineError as exc:
            ready, error = None, exc
        except Exception as exc:  # noqa: BLE001 - the top of a thread: whoever waits must be told
            ready, error = None, EngineError(RuntimeFailure.ENGINE, f"{type(exc).__name__}: {exc}")
        with preparation.changed:
            preparation.ready, preparation.error = ready, error
            preparation.changed.notify_all()

    def _make_ready(
        self, preparation: Preparation, options: ContainerOptions, pull: bool, auth: Mapping[str, str] | None
    ) -> dict[str, Any]:
        image = self._image(preparation, options.name, pull, auth)
        here = _MACHINES.get(platform.machine(), platform.machine())
        if image.architecture and image.architecture != here:
            message = f"the image {options.name} is for {image.architecture}, and this host is {here}"
            raise EngineError(RuntimeFailure.ARCHITECTURE, message)
        preparation.doing = "starting the container"
        zygote = self._start(dataclasses.replace(options, image=image.id))
        zygote.settled.wait()
        if zygote.error is not None:
            raise zygote.error
        return {"image": image.id, "digest": image.digest, "python": zygote.python}

    def _image(
        self, preparation: Preparation, name: str, pull: bool, auth: Mapping[str, str] | None
    ) -> Image:
        if not pull:
            try:
                return look_at(self._engine, name)
            except EngineError as exc:
                if exc.kind != RuntimeFailure.NO_SUCH_IMAGE:
                    raise
        preparation.doing = "pulling the image"

        def tell(progress: Progress) -> None:
            preparation.progress = progress

        self._puller.pull(name, auth, tell)
        return look_at(self._engine, name)
