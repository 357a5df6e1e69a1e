"""The network of a bed: a bridge with a free private subnet, and a leg on it for each host."""

from __future__ import annotations

import ctypes
import os
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .commands import run
from .machine import TestbedUnavailable

NETNS_FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_RANGES = ("10.213.0.0/16", "10.214.0.0/16", "10.240.0.0/16")
"""Of beds, of their hidden hosts, and of the private networks in the fake cloud."""
_LAST_RESORT = "4294967295"


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """A bridge; with ``gateway``, this machine has an address on it, else only hosts do."""

    name: str
    prefix: str
    gateway: str | None

    def address(self, number: int) -> str:
        """The address of the leg with this number, from 2 on."""
        return f"{self.prefix}.{number}"

    def remove(self) -> None:
        """Take the bridge away."""
        run("ip", "link", "delete", self.name, check=False)


def fence() -> None:
    """Keep packets for hosts that are gone, or hidden, on this machine.

    A bed's own subnet is more specific than these routes. Without them such packets would take the default
    route, and a gateway that answers for everybody would pass for a host. They stay when the bed ends, for
    clients that outlive it; `unfence` removes them.
    """
    for addresses in _RANGES:
        run("ip", "route", "add", "unreachable", addresses, "metric", _LAST_RESORT, check=False)


def unfence() -> None:
    """Undo `fence`."""
    for addresses in _RANGES:
        run("ip", "route", "delete", "unreachable", addresses, "metric", _LAST_RESORT, check=False)


def make_bridge() -> Bridge:
    """Make a bridge on a /24 of 10.213.0.0/16 that no other bed has.

    The name carries the number of the subnet, and the kernel makes only one of two equal names:
    so two beds that start at once can't take the same subnet.
    """
    for number in random.sample(range(1, 255), 254):
        name = f"ltb{number}"
        if run("ip", "link", "add", name, "type", "bridge", check=False).returncode == 0:
            bridge = Bridge(name=name, prefix=f"10.213.{number}", gateway=f"10.213.{number}.1")
            _ip(f"addr add {bridge.gateway}/24 dev {name}\nlink set {name} up")
            return bridge
    raise TestbedUnavailable("no bridge can be made", "python -m tests.testbed clean; then try again.")


def make_hidden_bridge(bridge: Bridge) -> Bridge:
    """Make a bridge that this machine has no address on: its hosts are reached through others."""
    hidden = Bridge(name=f"{bridge.name}x", prefix=bridge.prefix.replace("10.213", "10.214"), gateway=None)
    _ip(f"link add {hidden.name} type bridge\nlink set {hidden.name} up")
    return hidden


def make_private_bridge(bridge: Bridge, number: int) -> Bridge:
    """Make a bridge for any addresses, which are private to it: other bridges may have the same."""
    private = Bridge(name=f"{bridge.name}v{number}", prefix="", gateway=None)
    _ip(f"link add {private.name} type bridge")
    # This machine is on the bridge without an address; still it would answer for those it has elsewhere.
    Path(f"/proc/sys/net/ipv4/conf/{private.name}/arp_ignore").write_text("8")
    _ip(f"link set {private.name} up")
    return private


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a leg stands on its bridge; with ``all_here``, it looks for all other networks on it, too."""

    address: str
    length: int = 24
    all_here: bool = False


class Leg:
    """One end of a cable in a host's network namespace, the other end on a bridge."""

    def __init__(
        self, namespace: Namespace, bridge: Bridge, number: int, device: str, place: Place | None = None
    ) -> None:
        self.bridge = bridge
        self._place = place or Place(address=bridge.address(number))
        self.address = self._place.address
        self.device = device
        self._namespace = namespace
        self._port = f"{bridge.name}p{number}"
        # The same hardware address after a reboot, as a real card has: no neighbour's cache goes stale.
        octets = [int(part) for part in self.address.split(".")]
        self._mac = "02:d5:" + ":".join(f"{octet:02x}" for octet in octets)

    def plug(self) -> None:
        """Lay the cable: the namespace must exist."""
        _ip(
            f"link add {self._port} type veth peer name {self.device} address {self._mac} "
            f"netns {self._namespace.name}\n"
            f"link set {self._port} master {self.bridge.name} up\n"
        )
        lines = f"addr add {self.address}/{self._place.length} dev {self.device}\nlink set {self.device} up\n"
        if self._place.all_here:
            lines += f"route add default dev {self.device}\n"
        _ip(lines, namespace=self._namespace.name)

    def unplug(self) -> None:
        """Cut the cable: from now on packets vanish in both directions. Quietly when it is cut already."""
        run("ip", "link", "delete", self._port, check=False)

    def up(self) -> None:
        """Let packets through again."""
        _ip(f"link set {self._port} up")

    def down(self) -> None:
        """Let no packet through; connections are not told."""
        _ip(f"link set {self._port} down")


class Namespace:
    """The network of one host: its namespace and the legs in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = NETNS_FOLDER / name
        self.legs: list[Leg] = []
        # A host may boot while a leg is added or taken away.
        self._lock = threading.RLock()

    def add_leg(self, bridge: Bridge, number: int, place: Place | None = None) -> Leg:
        """Plan another leg; it is plugged at once when the namespace exists."""
        with self._lock:
            used = {leg.device for leg in self.legs}
            device = next(name for name in (f"host{n}" for n in range(16)) if name not in used)
            leg = Leg(self, bridge, number, device, place)
            self.legs.append(leg)
            if self.path.exists():
                leg.plug()
            return leg

    def remove_leg(self, leg: Leg) -> None:
        """Take a leg away for good."""
        with self._lock:
            leg.unplug()
            self.legs.remove(leg)

    def create(self) -> None:
        """Make the namespace anew, with its legs plugged in."""
        with self._lock:
            self.remove()
            run("ip", "netns", "add", self.name)
            _ip("link set lo up", namespace=self.name)
            for leg in self.legs:
                leg.plug()

    def silence(self) -> None:
        """Cut all cables, so that a host which is off answers nothing, not even a refusal."""
        with self._lock:
            for leg in self.legs:
                leg.unplug()

    def remove(self) -> None:
        """Take the namespace away; with it go the connections that its kernel side still holds."""
        self.silence()
        if self.path.exists():
            run("ip", "netns", "delete", self.name, check=False)


Answer = TypeVar("Answer")


def inside(namespace: Path, act: Callable[[], Answer]) -> Answer:
    """Do something in the network namespace at this path, such as opening a socket."""
    outcome: list[Answer | OSError] = []

    def enter_and_act() -> None:
        # A namespace belongs to a thread; this one ends with it.
        try:
            with namespace.open() as handle:
                if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            outcome.append(act())
        except OSError as exc:
            outcome.append(exc)

    thread = threading.Thread(target=enter_and_act)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def connect(address: str, port: int, timeout: float, namespace: Path | None = None) -> socket.socket:
    """Connect from this machine, or from inside the network namespace at ``namespace``."""

    def act() -> socket.socket:
        return socket.create_connection((address, port), timeout=timeout)

    return act() if namespace is None else inside(namespace, act)


def remove_everything_named(bridge: str) -> None:
    """Remove a dead bed's namespaces and bridges by the name of its bridge."""
    if NETNS_FOLDER.is_dir():
        for path in NETNS_FOLDER.glob(f"{bridge}-*"):
            run("ip", "netns", "delete", path.name, check=False)
    private = [path.name for path in Path("/sys/class/net").glob(f"{bridge}v*") if "p" not in path.name]
    for name in (bridge, f"{bridge}x", *private):
        run("ip", "link", "delete", name, check=False)


def _ip(commands: str, namespace: str | None = None) -> None:
    """Carry out several commands of iproute2 in one process."""
    where = ["-netns", namespace] if namespace else []
    run("ip", *where, "-batch", "-", input=commands)
