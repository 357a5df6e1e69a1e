"""Real hosts behind the instances: their networks, their floating IP addresses and their power."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import flask

from tests.testbed import Testbed, image
from tests.testbed.booted import Hardware
from tests.testbed.cgroup import Cgroup
from tests.testbed.commands import run
from tests.testbed.disk import Disk
from tests.testbed.network import Bridge, Leg, Namespace, Place, inside, make_private_bridge

from .firewall import ruleset
from .host import CloudHost
from .metadata import Metadata
from .region import Region
from .resources import Instance
from .server import Server


class Lan:
    """The network of a VPC: a bridge of its own, on which the cloud's services have an address, too."""

    def __init__(self, bridge: Bridge, services: Namespace, server: Server) -> None:
        self.bridge = bridge
        self._services = services
        self._server = server
        self._legs = 2

    def number(self) -> int:
        """A number for a leg on this bridge."""
        self._legs += 1
        return self._legs

    def remove(self) -> None:
        """Take it away."""
        self._server.close()
        self._services.remove()
        self.bridge.remove()


class Rack:
    """What boots hosts of a bed for the instances of a region."""

    def __init__(
        self, bed: Testbed, region: Region, app: flask.Flask, powered_off: Callable[[Instance], None]
    ) -> None:
        self._bed = bed
        self._region = region
        self._app = app
        self._powered_off = powered_off
        self._tree = image.ensure("cloud")
        self._lans: dict[str, Lan] = {}
        self._lan_count = 0
        self._numbers: dict[str, int] = {}
        """The bed's numbers of floating IP addresses."""
        self._doors: dict[str, tuple[str, Leg]] = {}
        """The floating IP address of an instance, and the leg that has it."""
        self._lock = threading.RLock()
        self._pool = ThreadPoolExecutor(thread_name_prefix="rack")
        self._wiring = threading.Semaphore(0)
        self._over = False
        self.hosts: dict[str, CloudHost] = {}
        """By the id of the instance."""
        # This machine and the instances reach the services at one address.
        self.service_address = bed.bridge.prefix.replace("10.213", "10.214") + ".1"
        run("ip", "addr", "add", f"{self.service_address}/32", "dev", bed.bridge.name, check=False)
        self.server = Server(app, self.service_address)
        region.new_address = self._new_address
        self._wirer = threading.Thread(target=self._wire, name="rack wiring", daemon=True)
        self._wirer.start()

    def close(self) -> None:
        """End all hosts, and take everything away."""
        self._over = True
        self._wiring.release()
        self._wirer.join()
        self._pool.shutdown()
        with self._lock:
            for host in self.hosts.values():
                host.remove()
            for lan in self._lans.values():
                lan.remove()
            for number in self._numbers.values():
                self._bed.give_back(number)
        self.server.close()
        run("ip", "addr", "del", f"{self.service_address}/32", "dev", self._bed.bridge.name, check=False)

    # The hypervisor of the region.

    def boot(self, instance: Instance, done: Callable[[], None]) -> None:
        """Make the host at its first boot, and switch it on."""

        def act() -> None:
            self._host(instance).start(wait=False)
            self.network_changed()
            done()

        self._pool.submit(self._noting_bugs, act)

    def shut_down(self, instance: Instance, force: bool, done: Callable[[], None]) -> None:
        """Switch the host off."""

        def act() -> None:
            host = self._host(instance)
            if force:
                host.kill()
            else:
                host.poweroff()
            done()

        self._pool.submit(self._noting_bugs, act)

    def reboot(self, instance: Instance, force: bool, done: Callable[[], None]) -> None:
        """Switch the host off and on."""

        def act() -> None:
            host = self._host(instance)
            if force:
                host.kill()
                host.start()
            else:
                host.reboot()
            self.network_changed()
            done()

        self._pool.submit(self._noting_bugs, act)

    def destroy(self, instance: Instance, done: Callable[[], None]) -> None:
        """Take the host away."""

        def act() -> None:
            with self._lock:
                host = self.hosts.pop(instance.id, None)
                door = self._doors.pop(instance.id, None)
                if host and door:
                    host.hardware.namespace.remove_leg(door[1])
            if host:
                host.remove()
            done()

        self._pool.submit(self._noting_bugs, act)

    def network_changed(self) -> None:
        """Let the wirer look at addresses and groups again."""
        self._wiring.release()

    def _noting_bugs(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as exc:
            # A bug of the fake must not pass for a fault of the service.
            self._region.bugs.append(exc)
            raise

    # Hosts.

    def _host(self, instance: Instance) -> CloudHost:
        with self._lock:
            if instance.id not in self.hosts:
                self.hosts[instance.id] = self._make(instance)
            return self.hosts[instance.id]

    def _make(self, instance: Instance) -> CloudHost:
        with self._region.lock:
            subnet = self._region.store["subnets"][instance.interface.subnet]
            keys = [self._region.store["keys"][key].public_key for key in instance.keys]
            length = ipaddress.IPv4Network(subnet.cidr).prefixlen
        lan = self._lan(instance.vpc)
        number = lan.number()
        label = f"{lan.bridge.name.rpartition('v')[2]}-{number}"
        namespace = Namespace(f"{self._bed.bridge.name}-cloud{label}")
        place = Place(address=instance.interface.address, length=length, all_here=True)
        namespace.add_leg(lan.bridge, number, place)
        folder = self._bed.folder / f"cloud{label}"
        folder.mkdir()
        hardware = Hardware(
            image=self._tree, folder=folder, namespace=namespace, cpus=None,
            disk=Disk(self._tree, folder / "disk", None),
            cgroup=Cgroup(self._bed.run_id, f"cloud{label}", None),
        )  # fmt: skip
        return CloudHost(
            instance.name, hardware, self._bed.credentials, user_data=instance.user_data, public_keys=keys,
            instance_id=instance.id, sshd=instance.fate != "no_sshd",
            metadata=Metadata(self._region, instance).app(), ruleset=lambda: self._rules(instance),
            when_off=lambda: self._region.soon(lambda: self._powered_off(instance)),
        )  # fmt: skip

    def _rules(self, instance: Instance) -> str:
        with self._region.lock:
            return ruleset(self._region, instance)

    def _lan(self, vpc: str) -> Lan:
        if vpc not in self._lans:
            self._lan_count += 1
            bridge = make_private_bridge(self._bed.bridge, self._lan_count)
            services = Namespace(f"{self._bed.bridge.name}-services{self._lan_count}")
            services.add_leg(bridge, 1, Place(address=self.service_address, length=32, all_here=True))
            services.create()
            port = self.server.port
            listener = inside(
                services.path, lambda: socket.create_server((self.service_address, port), backlog=64)
            )
            self._lans[vpc] = Lan(bridge, services, Server(self._app, self.service_address, listener))
        return self._lans[vpc]

    # Addresses and groups.

    def _new_address(self) -> str:
        taken = {ip.address for ip in self._region.store["floating_ips"].values()}
        for address in self._numbers:
            if address not in taken:
                return address
        number = self._bed.number()
        address = self._bed.bridge.address(number)
        self._numbers[address] = number
        return address

    def _wire(self) -> None:
        while True:
            self._wiring.acquire()
            while self._wiring.acquire(blocking=False):
                pass  # One look is enough for all changes so far.
            if self._over:
                return
            self._noting_bugs(self._wire_all)

    def _wire_all(self) -> None:
        with self._region.lock:
            wanted = {
                instance.id: ip.address
                for instance in self._region.store["instances"].values()
                for ip in self._region.bound_to(instance.interface)
            }
        with self._lock:
            # An address is taken from the one host before it is given to the other.
            for id in [id for id, (address, _) in self._doors.items() if wanted.get(id) != address]:
                self.hosts[id].hardware.namespace.remove_leg(self._doors.pop(id)[1])
            for id, host in list(self.hosts.items()):
                if id in wanted and id not in self._doors:
                    leg = host.hardware.namespace.add_leg(self._bed.bridge, self._numbers[wanted[id]])
                    self._doors[id] = (wanted[id], leg)
                if host.running:
                    host.apply_rules()
