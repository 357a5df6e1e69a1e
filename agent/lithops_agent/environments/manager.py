"""The environments of an agent: asked for as often as one likes, built once each.

A request tells what an environment consists of. The answer is a state: ``ready`` with its interpreter;
``missing`` with the wheels that have to be sent first; ``building``, and then the same request waits for the
next state; ``failed`` with the reason, and then the same request tries again. An environment is built by a
thread of its own, which lives as long as the building takes.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import traceback
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lithops_agent.disk import is_disk_full
from lithops_agent.environments.build import BuildFailed, build
from lithops_agent.environments.request import Wanted, Wheel
from lithops_agent.environments.store import Store
from lithops_agent.protocol import ProtocolError

_TOGETHER = 8
"""Wheels that are fetched at the same time."""
_PROBE_TIMEOUT = 2.0
"""Seconds in which a registry must accept a connection, or the coordinator sends."""
_TIDY_INTERVAL = 3600.0
_EXPANDS = 5
"""A wheel, what is unpacked from it, and the environment, in sizes of the wheel."""
_ASK = """
import json, platform, sys
print(json.dumps({
    "python": platform.python_version(), "implementation": sys.implementation.name,
    "machine": platform.machine(), "libc": list(platform.libc_ver()),
}))
"""


class _Build:
    """One environment in the making."""

    def __init__(self) -> None:
        self.state = "building"
        self.progress = "begins"
        self.error = ""
        self.kind = ""


class InUse(Exception):
    """A job runs in the environment."""


class Environments:
    """The environments of one agent. Thread-safe.

    ``blob_path`` tells where the journal puts a blob, ``runtimes`` the interpreters of all jobs.
    """

    def __init__(
        self, folder: Path, blob_path: Callable[[str], Path], runtimes: Callable[[], Collection[str]]
    ) -> None:
        self._store = Store(folder)
        self._folder = folder
        self._blob_path = blob_path
        self._runtimes = runtimes
        self._changed = threading.Condition()
        self._builds: dict[str, _Build] = {}
        self._unfetched: dict[str, str] = {}
        """Why wheels could not be fetched, by their hashes."""
        self._facts: dict[tuple[str, float], dict[str, Any]] = {}
        self._opened = False
        self._tidy_at = 0.0

    def platform(self, python: str) -> dict[str, Any]:
        """What wheels must fit: version and implementation of an interpreter, machine and libc.

        Raises ProtocolError when it can't be started.
        """
        try:
            key = (python, os.stat(python).st_mtime)
            if key not in self._facts:
                done = subprocess.run(
                    [python, "-I", "-c", _ASK],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=30,
                    check=True,
                )
                self._facts[key] = dict(json.loads(done.stdout))
        except (OSError, subprocess.SubprocessError, ValueError) as exc:
            raise ProtocolError(f"the interpreter {python} can't be started: {exc}") from exc
        return self._facts[key]

    def ready(self, name: str) -> dict[str, Any] | None:
        """The state of an environment that is there; None when it is not."""
        python = self._store.python_of(name)
        return None if python is None else {"state": "ready", "python": python}

    def ask(self, wanted: Wanted, wait: float) -> dict[str, Any]:
        """Build an environment if it is not there; its state, after ``wait`` seconds at most.

        Raises OSError when the disk is full.
        """
        with self._changed:
            self._open()
            running = self._builds.get(wanted.name)
            if running is None:
                answer = self._begin(wanted)
                if answer is not None:
                    return answer
                running = self._builds[wanted.name]
            self._changed.wait_for(lambda: running.state != "building", wait)
            if running.state == "building":
                return {"state": "building", "progress": running.progress}
            self._builds.pop(wanted.name, None)
            if running.state == "missing":
                return self._missing(self._lacking(wanted))
            if running.state == "failed":
                return {"state": "failed", "error": running.error, "kind": running.kind}
            return {"state": "ready", "python": self._store.python_of(wanted.name) or ""}

    def listed(self) -> list[dict[str, Any]]:
        """The environments that are here: see `Store.environments`."""
        return self._store.environments()

    def remove(self, name: str) -> bool:
        """Remove an environment; whether it was there. Raises InUse."""
        with self._changed:
            folder = f"{self._store.folder_of(name)}/"
            if name in self._builds or any(runtime.startswith(folder) for runtime in self._runtimes()):
                raise InUse(f"a job uses the environment {name}")
            if self._store.python_of(name) is None:
                return False
            self._store.clear(name)
            return True

    def tidy(self) -> None:
        """Have what has not been used for long removed, by a thread of its own; now and then."""
        if time.monotonic() >= self._tidy_at and self._folder.is_dir():
            self._tidy_at = time.monotonic() + _TIDY_INTERVAL
            threading.Thread(target=self._tidy, name="environments", daemon=True).start()

    def _tidy(self) -> None:
        with self._changed:
            # What is being built is not whole yet, and would pass for something that nobody uses.
            if not self._builds:
                self._open()
                self._store.tidy(self._runtimes())

    def _open(self) -> None:
        if not self._opened:
            self._store.open()
            self._opened = True

    def _begin(self, wanted: Wanted) -> dict[str, Any] | None:
        ready = self.ready(wanted.name)
        if ready is not None:
            return ready
        lacking = self._lacking(wanted)
        if lacking and not (wanted.fetch and any(self._is_fetchable(wheel) for wheel in lacking)):
            self._check_room(wanted, lacking)
            return self._missing(lacking)
        self._check_room(wanted, lacking)
        self._builds[wanted.name] = made = _Build()
        threading.Thread(target=self._make, args=(wanted, made), name="environment", daemon=True).start()
        return None

    def _is_fetchable(self, wheel: Wheel) -> bool:
        return wheel.url.startswith(("http://", "https://")) and wheel.sha256 not in self._unfetched

    def _missing(self, lacking: Iterable[Wheel]) -> dict[str, Any]:
        hashes = [wheel.sha256 for wheel in lacking]
        why = {sha256: self._unfetched.pop(sha256) for sha256 in hashes if sha256 in self._unfetched}
        return {"state": "missing", "missing": hashes, "why": why}

    def _lacking(self, wanted: Wanted) -> list[Wheel]:
        """The wheels that are not here, after those that were sent have been taken."""
        needed = list(wanted.wheels)
        if self._store.lacks_uv(wanted.uv):
            needed.append(wanted.uv)
        return [
            wheel
            for wheel in needed
            if not self._store.has(wheel) and not self._store.take(wheel, self._blob_path(wheel.sha256))
        ]

    def _check_room(self, wanted: Wanted, lacking: Iterable[Wheel]) -> None:
        needed = sum(wheel.size for wheel in wanted.wheels) * (_EXPANDS - 1) + sum(
            wheel.size for wheel in lacking
        )
        free = self._store.free()
        if needed > free:
            message = f"the environment needs about {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free"
            raise OSError(errno.ENOSPC, message)

    # -- the thread --

    def _make(self, wanted: Wanted, made: _Build) -> None:
        state, error, kind = "failed", "", ""
        cache = self._store.making / uuid.uuid4().hex
        try:
            state = self._fetch_and_build(wanted, made, cache)
        except BuildFailed as exc:
            error = str(exc)
            kind = "no-space" if "No space left" in error or "Disk quota" in error else "build"
        except OSError as exc:
            error, kind = str(exc), "no-space" if is_disk_full(exc) else "build"
        except Exception as exc:  # noqa: BLE001 - the top of a thread: whoever asks is told.
            traceback.print_exc()
            error, kind = f"{type(exc).__name__}: {exc}", "build"
        if state == "failed":
            self._store.clear(wanted.name)
        with self._changed:
            made.state, made.error, made.kind = state, error, kind
            self._changed.notify_all()
        # Nobody waits for this: the files that the environment has by links stay.
        shutil.rmtree(cache, ignore_errors=True)

    def _fetch_and_build(self, wanted: Wanted, made: _Build, cache: Path) -> str:
        with self._changed:
            lacking = self._lacking(wanted)
        if lacking:
            self._fetch(lacking, made)
        with self._changed:
            if self._lacking(wanted):
                return "missing"
        made.progress = f"builds with {len(wanted.wheels)} packages"
        self._store.clear(wanted.name)
        wheels = [self._store.wheel_path(wheel) for wheel in wanted.wheels]
        uv = self._store.uv(wanted.uv)
        build(uv, wanted.python, self._store.folder_of(wanted.name), wheels, cache)
        self._store.is_whole(wanted.name)
        self._tidy_at = 0.0
        return "ready"

    def _fetch(self, lacking: list[Wheel], made: _Build) -> None:
        """Fetch what can be had; what can't is noted with the reason."""
        places = {_place(wheel.url) for wheel in lacking if self._is_fetchable(wheel)}
        closed = {place: why for place in places if (why := _probe(place))}
        done, total = 0, sum(wheel.size for wheel in lacking)

        def fetch(wheel: Wheel) -> None:
            nonlocal done
            why = (
                closed.get(_place(wheel.url)) if self._is_fetchable(wheel) else "it has no address on the web"
            )
            try:
                if not why:
                    self._store.fetch(wheel)
            except OSError as exc:
                if is_disk_full(exc):
                    raise
                why = str(exc)
            if why:
                self._unfetched[wheel.sha256] = f"{wheel.file}: {why}"
            done += wheel.size
            made.progress = f"fetched {done / 1e6:.0f} of {total / 1e6:.0f} MB"

        with ThreadPoolExecutor(_TOGETHER) as pool:
            list(pool.map(fetch, lacking))


def _place(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _probe(place: tuple[str, int]) -> str:
    """Why no connection comes about, or nothing. A name server that is silent is not waited for."""
    answer: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection(place, timeout=_PROBE_TIMEOUT).close()
            answer.append("")
        except OSError as exc:
            answer.append(f"{place[0]} can't be reached: {exc}")

    if urllib.request.getproxies():
        return ""  # The connection goes through a proxy; what it says is found out by the request.
    thread = threading.Thread(target=connect, name="probe", daemon=True)
    thread.start()
    thread.join(_PROBE_TIMEOUT)
    return answer[0] if answer else f"{place[0]} did not answer in {_PROBE_TIMEOUT:g} s"
