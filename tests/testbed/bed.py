"""The testbed: a network of real hosts on this machine, made for one run of the tests, then removed."""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from . import image, leftovers
from .booted import Hardware
from .cgroup import Cgroup
from .commands import Completed
from .credentials import Credentials
from .disk import Disk
from .host import Host, merged
from .machine import require
from .network import Bridge, Namespace, fence, make_bridge, make_hidden_bridge
from .newcomer import newcomer

_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


class Testbed:
    """A bed of hosts.

    Example::

        with Testbed() as bed:
            host = bed.host("a")
            print(host.run("uname -a").stdout)

    Raises:
        TestbedUnavailable: on entering, when this machine can't boot hosts.
    """

    __test__ = False  # pytest takes every class named Test… for one of its own.

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}
        self._next_number = 2
        self._given_back: list[int] = []
        self._lock = threading.RLock()
        self._hidden: Bridge | None = None
        self._listeners: list[socket.socket] = []

    def __enter__(self) -> Testbed:
        require()
        leftovers.remove_leftovers()
        fence()
        self.bridge = make_bridge()
        self.run_id = f"{os.getpid()}-{secrets.token_hex(3)}"
        try:
            self.folder = leftovers.claim(self.run_id, self.bridge.name)
            self.credentials = Credentials(self.folder / "credentials")
        except BaseException:
            leftovers.release(self.run_id, self.bridge.name)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self._listeners:
            listener.close()
        for host in self._hosts.values():
            host.cut_power()
            host.wait_off()
        leftovers.release(self.run_id, self.bridge.name)
        self._hosts.clear()

    @property
    def known_hosts(self) -> str:
        """The path of a known_hosts file with the keys of all hosts."""
        return str(self.credentials.known_hosts)

    def host(
        self, name: str, release: str = "bookworm", *, cpus: int | None = None, memory: str | None = None,
        disk: str | None = None, boot: bool = True, reach_via: str | None = None,
    ) -> Host:  # fmt: skip
        """Make a host; with ``boot``, return when its sshd answers.

        Args:
            name: its host name, new in this bed.
            release: the image: bookworm, trixie, bullseye; engine: bookworm with Docker and a registry, which
                are started by `tests.testbed.engine`.
            cpus: how many of this machine's CPUs it may run on.
            memory: the most that all of its processes hold, such as '512M'; beyond it the kernel kills.
            disk: the size of /home, such as '64M'; without it, this machine's disk is the limit.
            reach_via: the name of the only host that this one can be reached from.
        """
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            raise ValueError(f"{name!r} is no host name")
        tree = image.ensure(release)
        with self._lock:
            if name in self._hosts:
                raise ValueError(f"there is a host {name!r} already")
            namespace = Namespace(f"{self.bridge.name}-{name}")
            namespace.add_leg(self._bridge_for(reach_via), self.number())
            folder = self.folder / name
            folder.mkdir()
            hardware = Hardware(
                image=tree, folder=folder, namespace=namespace, disk=Disk(tree, folder / "disk", disk),
                cgroup=Cgroup(self.run_id, name, _bytes(memory)), cpus=cpus, engine=release == "engine",
            )  # fmt: skip
            self._hosts[name] = host = Host(name, hardware, self.credentials)
        if boot:
            host.start()
        return host

    def hosts(self, names: Iterable[str], release: str = "bookworm", **options: Any) -> list[Host]:
        """Make several hosts at once; ``options`` as of `host`."""
        made = [self.host(name, release, **{**options, "boot": False}) for name in names]
        if options.get("boot", True):
            with ThreadPoolExecutor() as pool:
                list(pool.map(Host.start, made))
        return made

    def number(self) -> int:
        """A number for a leg, which nobody else has."""
        with self._lock:
            if self._given_back:
                return self._given_back.pop()
            self._next_number += 1
            return self._next_number - 1

    def give_back(self, number: int) -> None:
        """Nobody has this number any more."""
        with self._lock:
            self._given_back.append(number)

    def _bridge_for(self, reach_via: str | None) -> Bridge:
        """The bridge of a new host; the host that it is reached through gets a leg on it."""
        if reach_via is None:
            return self.bridge
        self._hidden = self._hidden or make_hidden_bridge(self.bridge)
        jump = self._hosts[reach_via].hardware.namespace
        if not any(leg.bridge == self._hidden for leg in jump.legs):
            jump.add_leg(self._hidden, self.number())
        return self._hidden

    def remove(self, host: Host) -> None:
        """End a host for good; its name is free again."""
        host.remove()
        self._hosts.pop(host.name, None)

    def lithops_config(self, hosts: Iterable[Host], **overrides: Any) -> dict[str, Any]:
        """A configuration that runs functions on all of ``hosts``; see `host.merged` for the overrides."""
        listed = list(hosts)
        vm = {"hosts": [host.entry() for host in listed], "known_hosts": self.known_hosts}
        return merged({"lithops": {"backend": "vm"}, "vm": vm}, overrides)

    def newcomer(
        self, command: str, checkout: str | Path, user: str = "user", timeout: float = 600
    ) -> Completed:
        """Run a line of shell on a machine that has never seen the project, with this machine's registries.

        What is committed in the repository ``checkout`` can be cloned from /checkout. There are git, make,
        python3 and venv, and nothing else to build with.

        Raises:
            CommandFailed: on a status other than 0, and after ``timeout`` seconds.
        """
        folder = self.folder / f"newcomer-{secrets.token_hex(3)}"
        return newcomer(
            command, Path(checkout), tree=image.ensure("newcomer"), folder=folder, run_id=self.run_id,
            user=user, timeout=timeout,
        )  # fmt: skip

    def mute_server(self) -> tuple[str, int]:
        """Open a port that accepts connections and never says a word; return its address."""
        assert self.bridge.gateway is not None
        # The kernel completes connections of a listening socket by itself; nobody ever accepts them.
        listener = socket.create_server((self.bridge.gateway, 0), backlog=128)
        self._listeners.append(listener)
        return self.bridge.gateway, int(listener.getsockname()[1])


def _bytes(size: str | None) -> int | None:
    """The number of bytes that '512M' means."""
    if size is None:
        return None
    return int(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else int(size)
