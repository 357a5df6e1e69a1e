"""The fake cloud with real hosts behind its instances."""

from __future__ import annotations

from types import TracebackType

from tests.testbed import Testbed

from .cloud import Cloud
from .host import CloudHost
from .rack import Rack
from .region import Delays


class HostedCloud(Cloud):
    """A cloud whose instances are hosts of a bed.

    Their private addresses are reached from each other only, as far as their security groups allow it; this
    machine, where the tests run, reaches floating IP addresses.
    """

    def __init__(self, bed: Testbed, *, delays: Delays | None = None) -> None:
        super().__init__(delays=delays)
        self._bed = bed

    def __enter__(self) -> HostedCloud:
        self._rack = Rack(self._bed, self.state, self.app, self._instances.powered_off)
        self.state.hypervisor = self._rack
        self.state.seen_as = self.client_address
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.release()
        self._rack.close()
        super().__exit__(kind, error, trace)

    @property
    def address(self) -> str:
        """Where it listens: for this machine and for instances."""
        return f"{self._rack.service_address}:{self._rack.server.port}"

    @property
    def client_address(self) -> str:
        """The address of this machine as instances see it."""
        assert self._bed.bridge.gateway is not None
        return self._bed.bridge.gateway

    def host(self, name: str) -> CloudHost:
        """The host behind the instance of this name.

        Raises:
            KeyError: there is none.
        """
        return self._rack.hosts[self.instance(name).id]

    def kill(self, name: str) -> None:
        """Cut the power of an instance."""
        host = self.host(name)
        # Its network stays, in silence, for it may be started again at once.
        host.hardware.namespace.silence()
        host.cut_power()
