"""Have the environment on a host: resolve, ask the host, send what it lacks, wait until it is built.

The host is asked before anything is fetched here, so a host that has the environment costs two requests.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from lithops.backends.machine import Link
from lithops.environment.cache import LockCache, lock_key
from lithops.environment.fetch import Wheelhouse
from lithops.environment.lock import Lock, Wheel
from lithops.environment.platforms import HostPlatform, read_platform, this_platform
from lithops.environment.registry import environment_here
from lithops.environment.requirements import Requirements
from lithops.environment.resolve import Resolver
from lithops.environment.uv import uv_version
from lithops.environment.way_out import variables_for, way_over
from lithops.errors import (
    EnvironmentBuildFailed,
    EnvironmentFailed,
    HostDiskFull,
    HostError,
    PackageIndexUnreachable,
    RequirementsUnavailable,
)

logger = logging.getLogger(__name__)

_WAIT = 10.0
_ROUNDS = 3
"""How often wheels are sent: they may be removed there between two requests."""


class Client(Protocol):
    """What is used of an `AgentClient`."""

    def platform(self, python: str) -> dict[str, Any]: ...

    def environment(self, wanted: Mapping[str, Any], wait: float) -> dict[str, Any]: ...

    def send_blob(self, sha256: str, path: Path) -> None: ...


class Environments:
    """The environment of a session, on all of its hosts. Thread-safe.

    ``way`` is `auto`, `host` or `here`. Resolving begins with `begin`, for the platform that a host had the
    last time, while the link to it is being opened.
    """

    def __init__(self, requirements: Requirements, way: str, folder: Path) -> None:
        self._given = requirements
        self._way = way
        self._cache = LockCache(folder / "locks")
        self._folder = folder
        self._lock = threading.Lock()
        self._locks: dict[str, Future[Lock]] = {}
        self._tools: tuple[Requirements, Mapping[str, str], Wheelhouse] | None = None

    def begin(self, host: str) -> None:
        """Resolve ahead, in a thread of its own. An error is told when the host is prepared."""
        threading.Thread(target=self._ahead, args=(host,), name=f"environment {host}", daemon=True).start()

    def prepare(
        self,
        link: Link,
        client: Client,
        is_over: Callable[[], bool],
        tell: Callable[[str], None] = lambda doing: None,
    ) -> Link:
        """The same link with the interpreter of the environment as its runtime, once that is there.

        ``tell`` is told what is being done meanwhile.

        Raises HostError.
        """
        try:
            platform = read_platform(client.platform(link.runtime))
        except (KeyError, ValueError, TypeError) as exc:
            message = f"the agent did not tell the platform of {link.runtime} ({exc!r})"
            raise EnvironmentFailed(message, host=link.host, phase="environment") from exc
        self._cache.keep_platform(link.host, platform)
        try:
            tell("resolving requirements")
            lock = self._resolved_somehow(platform, link)
            python = self._built(link, client, lock, platform, is_over, tell)
        except EnvironmentFailed as exc:
            if exc.host:
                raise
            raise type(exc)(exc.args[0], host=link.host, phase="environment") from exc
        return dataclasses.replace(link, runtime=python)

    # -- resolving --

    def _ahead(self, host: str) -> None:
        platform = self._cache.last_platform(host) or this_platform()
        try:
            self._resolved(platform)
        except HostError:
            pass  # Whoever needs it asks again, and is told.

    def _resolved(self, platform: HostPlatform) -> Lock:
        requirements, environment, wheels = self._made_tools()
        key = lock_key(requirements, platform, environment, uv_version())
        with self._lock:
            future = self._locks.get(key)
            mine = future is None
            if future is None:
                future = self._locks[key] = Future()
        if mine:
            try:
                future.set_result(self._resolve(key, requirements, platform, environment, wheels))
            except BaseException as exc:
                with self._lock:
                    del self._locks[key]
                future.set_exception(exc)
                raise
        return future.result()

    def _resolved_somehow(self, platform: HostPlatform, link: Link) -> Lock:
        """Where this machine reaches no index, by way of the host, which may."""
        try:
            return self._resolved(platform)
        except PackageIndexUnreachable as exc:
            if link.reach is None or self._way == "here":
                raise
            first = exc
        logger.info("host %s: environment: asking the package index by way of this host", link.host)
        requirements, environment, wheels = self._made_tools()
        try:
            with way_over(link.reach) as proxy:
                resolver = Resolver(variables_for(environment, proxy), wheels.complete)
                lock = resolver.lock(requirements, platform)
        except RequirementsUnavailable:
            raise
        except EnvironmentFailed as exc:
            message = f"{first.args[0]}\nNor is it reached by way of the host {link.host}: {exc.args[0]}"
            raise PackageIndexUnreachable(message, phase="environment") from exc
        self._cache.keep(lock_key(requirements, platform, environment, uv_version()), lock)
        return lock

    def _resolve(
        self, key: str, requirements: Requirements, platform: HostPlatform, environment: Mapping[str, str],
        wheels: Wheelhouse,
    ) -> Lock:  # fmt: skip
        kept = self._cache.find(key)
        if kept is not None:
            return kept
        resolver = Resolver(environment, wheels.complete)
        try:
            lock = resolver.lock(requirements, platform)
        except RequirementsUnavailable:
            raise
        except EnvironmentFailed as exc:
            old = self._cache.find(key, max_age=float("inf"))
            if old is None:
                raise
            logger.warning(
                "standalone.requirements: what was resolved the last time is used: %s", exc.args[0]
            )
            return old
        self._cache.keep(key, lock)
        wheels.forget_old()
        return lock

    def _made_tools(self) -> tuple[Requirements, Mapping[str, str], Wheelhouse]:
        with self._lock:
            if self._tools is None:
                requirements = self._given
                if requirements.form in ("local", "local-imports"):
                    from lithops.environment.local import local_requirements

                    requirements = local_requirements(requirements.form)
                environment = environment_here()
                self._tools = (requirements, environment, Wheelhouse(self._folder / "wheels", environment))
            return self._tools

    # -- the host --

    def _built(
        self,
        link: Link,
        client: Client,
        lock: Lock,
        platform: HostPlatform,
        is_over: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> str:
        """The interpreter of the environment on the host."""
        wanted = {
            "environment": lock.name(platform, link.runtime),
            "python": link.runtime,
            "wheels": [wheel.to_json() for wheel in lock.wheels],
            "uv": lock.uv.to_json(),
            "fetch": self._way != "here",
        }
        said, sent = "", 0
        while True:
            answer = client.environment(wanted, _WAIT)
            state = answer.get("state")
            if state == "ready":
                return str(answer["python"])
            if state == "failed":
                raise _failed(answer, link.host)
            if is_over():
                raise EnvironmentFailed(
                    "the session was closed meanwhile", host=link.host, phase="environment"
                )
            if state == "missing":
                sent += 1
                if sent > _ROUNDS:
                    message = "it lost the wheels that were sent there again and again"
                    raise EnvironmentFailed(message, host=link.host, phase="environment")
                tell("sending packages for the environment")
                self._send(link, client, lock, answer)
                wanted["fetch"] = False
            elif answer.get("progress") != said:
                said = str(answer.get("progress"))
                tell(f"environment: {said}")
                logger.info("host %s: environment: %s", link.host, said)

    def _send(self, link: Link, client: Client, lock: Lock, answer: Mapping[str, Any]) -> None:
        missing = set(answer["missing"])
        wheels = [wheel for wheel in (*lock.wheels, lock.uv) if wheel.sha256 in missing]
        if self._way == "host":
            raise _not_fetched(wheels, answer, link.host)
        total = sum(wheel.size for wheel in wheels)
        logger.info(
            "host %s: environment: sending %d packages (%.0f MB)", link.host, len(wheels), total / 1e6
        )
        house = self._made_tools()[2]
        for wheel in wheels:
            client.send_blob(wheel.sha256, house.path(wheel))


def _failed(answer: Mapping[str, Any], host: str) -> HostError:
    error = str(answer.get("error"))
    if answer.get("kind") == "no-space":
        message = f"there is no room for the environment: free some space ({error})"
        return HostDiskFull(message, host=host, phase="environment")
    return EnvironmentBuildFailed(
        f"the environment of standalone.requirements could not be built there: {error}",
        host=host,
        phase="environment",
    )


def _not_fetched(wheels: Sequence[Wheel], answer: Mapping[str, Any], host: str) -> EnvironmentFailed:
    why = answer.get("why") or {}
    reasons = [str(why.get(wheel.sha256, f"{wheel.file} is not there")) for wheel in wheels]
    return EnvironmentFailed(
        "it can't fetch what the environment needs: "
        + "; ".join(reasons)
        + ". Set standalone.requirements_from "
        "to auto or here, and this machine sends the packages",
        host=host,
        phase="environment",
    )
