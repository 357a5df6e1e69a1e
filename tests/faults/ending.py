"""What tests about the end of hosts share: logins whose agents are kept running in different ways, and when
nothing of an agent is left."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from lithops.backends import vm
from lithops.backends.machine import Link
from lithops.config import resolve
from lithops.config.settings import VmSettings
from lithops.dispatch.client import AgentClient
from tests.integration.support import eventually
from tests.testbed import Host

ACCURACY = 2.0
"""Seconds after its deadline within which a host has ended."""


@dataclasses.dataclass(frozen=True)
class Login:
    """A user of a host, and who keeps its agent running: itself, systemd, or the user's own systemd."""

    host: Host
    user: str
    unit: str

    @property
    def folder(self) -> str:
        return f"/home/{self.user}/.lithops"

    def config(self, **standalone: Any) -> dict[str, Any]:
        return self.host.lithops_config(**self.host.login(self.user), standalone=standalone)

    def machine(self, **standalone: Any) -> vm.VmMachine:
        settings = resolve(self.config(**standalone))
        assert isinstance(settings.backend, VmSettings)
        (machine,) = vm.machines(settings.backend, settings.standalone)
        return machine

    # -- what there is --

    def agent(self) -> dict[str, Any]:
        """What the agent's file says."""
        state: dict[str, Any] = json.loads(self.host.run(f"cat {self.folder}/agent/agent.json").stdout)
        return state

    def pids(self, *words: str) -> list[int]:
        """The processes whose arguments have all of these words."""
        return [pid for pid, args in self.host.processes(self.user) if all(word in args for word in words)]

    def files(self) -> list[str]:
        """What lies in the agent's folder, or ['.lithops'] when that is empty."""
        look = f"ls -A {self.folder}/agent 2>/dev/null || ls -Ad {self.folder}"
        return self.host.run(look, check=False).stdout.split()

    def units(self) -> str:
        """Units of the agent and of its fence, in any state."""
        listing = "list-units --all --plain --no-legend 'lithops-*'"
        if self.unit == "user":
            return self.systemctl_user(listing)
        return self.host.run(f"systemctl {listing}").stdout

    def systemctl_user(self, command: str) -> str:
        runtime = f"XDG_RUNTIME_DIR=/run/user/{self.host.uid(self.user)}"
        return self.host.run(f"{runtime} systemctl --user {command}", user=self.user, check=False).stdout

    def what_is_left(self) -> list[Any]:
        return [*self.host.processes(self.user), *self.files(), *self.units().splitlines()]

    # -- what is done to it --

    def signal(self, name: str, *words: str) -> None:
        """Send a signal to the processes whose arguments have all of these words."""
        pids = self.pids(*words)
        assert pids
        self.host.run(f"kill -{name} {' '.join(map(str, pids))}")

    def kill_for_good(self) -> None:
        """Kill the agent with all its workers, and see that nobody starts it again."""
        unit = f"lithops-agent-{self.user}"
        if self.unit == "system":
            for command in ("mask --runtime", "kill --signal=KILL", "stop"):
                self.host.run(f"systemctl {command} {unit}", check=False)
        elif self.unit == "user":
            self.systemctl_user(f"kill --signal=KILL {unit}")
            self.systemctl_user(f"stop {unit}")
        else:
            self.signal("KILL", "serve")
        eventually(lambda: not self.pids("serve"), "the end of the agent", 2)

    def disable_fence(self) -> None:
        """Take the second fence away, behind the agent's back."""
        if self.unit == "none":
            self.signal("KILL", "fence")
        elif self.unit == "user":
            self.systemctl_user("stop 'lithops-fence-*.timer'")
        else:
            self.host.run("systemctl stop 'lithops-fence-*.timer'")
        assert "fence" not in self.units()
        assert not self.pids("fence")

    # -- waiting --

    def gone_at(self, patience: float = 15.0, kept: Sequence[str] = ()) -> float:
        """Wait until nothing of the agent is left but what is kept; the moment, by the wall clock."""
        deadline = time.monotonic() + patience
        while left := [*self.host.processes(self.user), *(f for f in self.files() if f not in kept)]:
            assert time.monotonic() < deadline, f"left after {patience:g} s: {left}"
            time.sleep(0.02)
        now = time.time()
        while units := self.units():
            # systemd forgets a unit a moment after its process has ended.
            assert time.time() < now + 2, units
            time.sleep(0.02)
        return now

    def gone_in_time(self, deadline: float, kept: Sequence[str] = (), early: float = 0.2) -> None:
        """Nothing but what is kept is left soon after the deadline, and all was there until then.

        ``early``: how much earlier the deadline may have been.
        """
        late = self.gone_at(max(deadline - time.time(), 0) + 8, kept) - deadline
        print(f"ended {late:+.2f} s after the deadline ({self.unit})")
        assert -early <= late <= ACCURACY, f"ended {late:.2f} s after its deadline"


@contextlib.contextmanager
def status(link: Link | None) -> Iterator[dict[str, Any]]:
    """What an agent says of itself."""
    assert link is not None
    client = AgentClient(link.opener, link.token, link.host)
    try:
        yield client.status()
    finally:
        client.close()
        link.close()
