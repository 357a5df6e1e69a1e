"""The fake cloud as tests see it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .faults import Call, Fault, Faults
from .iam import END_ITSELF, Iam, Profile
from .instances import Instances
from .region import Delays, Quota, Region
from .resources import Instance
from .schedule import Clock, SystemClock
from .server import Server
from .service import make_app

_TICK = 0.02


class Cloud:
    """A region of VPC with its identity service, empty at first, as long as the block lasts.

    Instances are simulated: they turn running by the clock, and nothing can be reached. `tests.cloud.bed`
    puts hosts behind them.

    Example::

        with Cloud() as cloud:
            config = cloud.config(exec_mode="create")
            ...
            assert cloud.resources() == {}
    """

    def __init__(
        self, *, region: str = "us-south", clock: Clock | None = None, delays: Delays | None = None
    ) -> None:
        clock = clock or SystemClock()
        self.iam = Iam(clock=clock, api_key=secrets.token_urlsafe(32))
        self.state = Region(name=region, clock=clock, iam=self.iam, delays=delays or Delays())
        self.faults = Faults()
        self.app = make_app(self.state, self.faults)
        self._instances = Instances(self.state)
        self._over = threading.Event()

    def __enter__(self) -> Cloud:
        self._server = Server(self.app)
        # Requests let happen what is due; this is for what nobody asks about.
        self._ticker = threading.Thread(target=self._tick, name="cloud", daemon=True)
        self._ticker.start()
        return self

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            self.state.settle()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self.faults.release()
        self._ticker.join()
        self._server.close()
        if self.state.bugs and error is None:
            raise AssertionError("the fake cloud has failed") from self.state.bugs[0]

    # How to reach it.

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._server.port}"

    @property
    def vpc_endpoint(self) -> str:
        """The URL of the VPC API, with its version."""
        return f"http://{self.address}/v1"

    @property
    def iam_endpoint(self) -> str:
        """The URL of the identity service."""
        return f"http://{self.address}"

    @property
    def api_key(self) -> str:
        """The key of the account."""
        return self.iam.api_key

    @property
    def region(self) -> str:
        """The name of the region."""
        return self.state.name

    @property
    def zone(self) -> str:
        """The first zone."""
        return self.state.zones[0]

    @property
    def resource_group_id(self) -> str:
        """The only resource group."""
        return self.state.resource_group_id

    @property
    def image_id(self) -> str:
        """An image that instances can boot."""
        return next(image.id for image in self.state.images.values() if image.system == "debian-12-amd64")

    @property
    def quota(self) -> Quota:
        """How much there may be; can be changed."""
        return self.state.quota

    @property
    def delays(self) -> Delays:
        """How long things take; can be changed."""
        return self.state.delays

    def trusted_profile(self, name: str = "worker", may: tuple[tuple[str, str], ...] = END_ITSELF) -> Profile:
        """Make a trusted profile that may do this."""
        return self.iam.add_profile(name, may)

    def config(self, exec_mode: str = "create", **sections: dict[str, Any]) -> dict[str, Any]:
        """A configuration that runs functions here; what ``sections`` say wins."""
        config: dict[str, Any] = {
            "lithops": {"backend": "ibm_vpc"},
            "standalone": {"exec_mode": exec_mode},
            "ibm": {
                "iam_api_key": self.api_key, "region": self.region,
                "resource_group_id": self.resource_group_id,
            },
            "ibm_vpc": {
                "endpoint": self.vpc_endpoint, "iam_endpoint": self.iam_endpoint, "image_id": self.image_id,
            },
        }  # fmt: skip
        for name, section in sections.items():
            config[name] = {**config.get(name, {}), **section}
        return config

    def client(self) -> Any:
        """The SDK's client, with the account's key."""
        from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
        from ibm_vpc import VpcV1

        client = VpcV1(authenticator=IAMAuthenticator(self.api_key, url=self.iam_endpoint))
        client.set_service_url(self.vpc_endpoint)
        return client

    # What exists.

    def resources(self) -> dict[str, list[str]]:
        """The names of all that exists, by kind; kinds of which there is nothing are left out.

        What comes and goes with something else is not counted: the default security group of a VPC.
        """
        with self.state.lock:
            self.state.settle()
            defaults = {vpc.default_group for vpc in self.state.store["vpcs"].values()}
            found = {
                kind: sorted(each.name for each in things.values() if each.id not in defaults)
                for kind, things in self.state.store.items()
            }
        return {kind: names for kind, names in found.items() if names}

    def instance(self, name: str) -> Instance:
        """The instance of this name.

        Raises:
            KeyError: there is none.
        """
        with self.state.lock:
            self.state.settle()
            for instance in self.state.store["instances"].values():
                if instance.name == name:
                    return instance  # type: ignore[no-any-return]
        raise KeyError(name)

    def wait(self, holds: Callable[[Cloud], bool], what: str, timeout: float = 30) -> None:
        """Wait until something holds.

        Raises:
            TimeoutError: it does not in time.
        """
        deadline = time.monotonic() + timeout
        while not holds(self):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout:g} s: {what}; there is {self.resources()}")
            time.sleep(0.02)

    def wait_empty(self, timeout: float = 30, but: dict[str, list[str]] | None = None) -> None:
        """Wait until nothing exists any more, but for this."""
        self.wait(lambda cloud: cloud.resources() == (but or {}), f"all gone but {but or 'nothing'}", timeout)

    # What goes wrong.

    @property
    def calls(self) -> list[Call]:
        """All requests so far."""
        return list(self.faults.calls)

    def inject(
        self, method: str, path_pattern: str, fault: Fault | int, times: int = 1, *, skip: int = 0
    ) -> None:
        """Let requests go wrong: see `Faults.inject`."""
        self.faults.inject(method, path_pattern, fault, times, skip=skip)

    def inject_call(self, number: int, fault: Fault | int) -> None:
        """Let the request with this number from now on, counted from 1, go wrong, whatever it is."""
        self.faults.inject("*", ".*", fault, skip=number - 1)

    def next_instances(self, *fates: str) -> None:
        """What becomes of the next instances: '', 'failed', 'stuck' (never boots), or 'no_sshd'."""
        with self.state.lock:
            self.state.fates.extend(fates)

    def delete_behind(self, name: str) -> None:
        """Delete an instance as somebody else would."""
        instance = self.instance(name)
        self.state.soon(lambda: self._instances.delete(instance))

    def power_off(self, name: str) -> None:
        """Let a simulated instance switch itself off."""
        instance = self.instance(name)
        self.state.soon(lambda: self._instances.powered_off(instance))
