"""The second fence: ends a host at its deadline although the agent is dead, stopped or mute.

The deadline is in a small file that the living agent writes. A timer of systemd runs this program at the
deadline that it was armed for, or, where systemd is not at hand, a watchdog does: a shell, in a session of
its own, that looks into the file again and again. If the file says later by then, the fence is armed again;
if it says never, it is not. While the agent lives it ends the host itself, at the deadline; the fence
follows after a moment of grace.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

from lithops_agent import clearing, systemd
from lithops_agent.clearing import ARMED, FENCE
from lithops_agent.cloud import GUARD
from lithops_agent.instants import Clock, Instant, SystemClock
from lithops_agent.protocol import CLOUD_ENDINGS, HOST_ENDINGS

GRACE = 0.75
"""Seconds that the agent has for doing it itself."""
_LOOK_AFTER_WATCHDOG = 10.0
# $1 is the file, the rest the command that looks. A Python that waits would need ten times the memory.
_WATCHDOG = """f=$1; shift
while IFS= read -r told < "$f" || [ -n "$told" ]; do
    at=${told#*\\"uptime\\": }
    at=${at%%[!0-9]*}
    [ -n "$at" ] || exit 0
    read -r now _ < /proc/uptime
    now=${now%.*}${now#*.}
    if [ "$now" -ge "$at" ]; then "$@"; fi
    told=
    if [ "$now" -lt "$((at - 300))" ]; then sleep 1; else sleep 0.2; fi
done
"""
_SIZE = 1024
"""The file is overwritten in its place, so that a full disk does not hold up a deadline."""


class Orders(NamedTuple):
    """What the file says: when the host ends (None: never), in which way, and who runs the agent."""

    deadline: Instant | None
    ending: str
    unit: str
    program: str

    def to_json(self) -> dict[str, Any]:
        """What `read` gives back."""
        return {
            "deadline": self.deadline.to_json() if self.deadline else None,
            "ending": self.ending,
            "unit": self.unit,
            "program": self.program,
            "python": sys.executable,
            "uptime": _uptime_of(self.deadline),
        }


def _uptime_of(deadline: Instant | None) -> int | None:
    """When the fence looks, in the terms of a shell: hundredths of a second of /proc/uptime."""
    left = judge(deadline, SystemClock().now())
    if left is None:
        return None
    with open("/proc/uptime") as file:
        return max(int((float(file.read().split()[0]) + left) * 100), 1)


def judge(deadline: Instant | None, now: Instant) -> float | None:
    """Seconds until the fence must end the host, 0 or less: now; None: never."""
    return None if deadline is None else now.until(deadline) + GRACE


# ---- the files --------------------------------------------------------------------------------------


def read(home: str) -> Orders | None:
    """The orders; None when there are none (any more)."""
    told = _read(os.path.join(home, FENCE))
    try:
        deadline = told["deadline"]
        return Orders(
            Instant.from_json(deadline) if deadline else None, told["ending"], told["unit"], told["program"]
        )
    except (KeyError, TypeError, ValueError):
        return None


def write(home: str, orders: Orders) -> None:
    """Replace the orders."""
    _write(os.path.join(home, FENCE), orders.to_json())


def armed_for(home: str) -> Instant | None:
    """The moment that the timer is armed for; None without one."""
    try:
        return Instant.from_json(_read(os.path.join(home, ARMED))["at"])
    except (KeyError, TypeError, ValueError):
        return None


def _read(path: str) -> Any:
    try:
        with open(path, "rb") as file:
            return json.loads(file.read(_SIZE * 4))
    except (OSError, ValueError):
        return None


def _write(path: str, value: Any) -> None:
    text = json.dumps(value).encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        written = text.ljust(max(_SIZE, len(text)))
        os.pwrite(descriptor, written, 0)
        os.ftruncate(descriptor, len(written))
    finally:
        os.close(descriptor)


# ---- arming -----------------------------------------------------------------------------------------


def arm(home: str, orders: Orders, now: Instant) -> None:
    """See that the fence is looked at when the deadline of the orders has passed. Raises SystemdFailed."""
    left = judge(orders.deadline, now)
    if left is None:
        return
    if orders.unit == "none":
        if not clearing.processes_of(home, ("fence",)):
            _start_watchdog(home, orders.program)
    else:
        _start_timer(home, orders, max(left, 0.001), now)


def _start_timer(home: str, orders: Orders, delay: float, now: Instant) -> None:
    before = _read(os.path.join(home, ARMED)) or {}
    name = f"{_timers()}{os.urandom(4).hex()}"
    # The first counts the time that the machine is awake, so that a clock that is set back holds nothing up;
    # the second one is for a machine that slept. Whichever comes too early is armed again.
    flags = [f"--on-active={delay:.3f}s", f"--on-calendar=@{int(now.wall + delay) + 1}"]
    systemd.start_transient(
        orders.unit, name, _command(home, orders.program), {}, *flags, "--timer-property=AccuracySec=50ms"
    )
    _write(os.path.join(home, ARMED), {"at": now.plus(delay).to_json(), "timer": name})
    if before.get("timer"):
        systemd.systemctl(orders.unit, "stop", f"{before['timer']}.timer")


def _start_watchdog(home: str, program: str) -> None:
    import subprocess

    # By way of a shell that ends at once, so that it is nobody's child.
    command = ["sh", "-c", _WATCHDOG, "sh", os.path.join(home, FENCE), *_command(home, program)]
    subprocess.run(
        ["sh", "-c", '"$@" & ', "sh", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        check=False,
    )


def _command(home: str, program: str) -> list[str]:
    return [sys.executable, "-I", "-S", program, "fence", "--home", home]


def disarm(home: str, unit: str, *, waiting: bool = False) -> None:
    """Take the fence away; ``waiting``: also one that fired and waits to switch the host off."""
    for pid in clearing.processes_of(home, ("fence",)):
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if unit != "none":
        kinds = ("timer", "service") if waiting else ("timer",)
        systemd.systemctl(unit, "stop", *(f"{_timers()}*.{kind}" for kind in kinds))


def _timers() -> str:
    """How the names of this user's timers begin: by number, so that no name of a user begins another's."""
    return f"lithops-fence-{os.getuid()}-"


class Outpost:
    """The agent's side of the fence: tells it of each deadline. For one thread at a time."""

    def __init__(self, home: str, unit: str, program: str, clock: Clock) -> None:
        self._home = home
        self._unit = unit
        self._program = program
        self._clock = clock
        self._told: Orders | None = None
        self._told_at: Instant | None = None
        self._looked_at: Instant | None = None
        self._refused = False

    def tell(self, deadline: Instant | None, ending: str, *, note_only: bool = False) -> None:
        """Write the deadline down: at once when it is earlier or near, else once a second at most.

        ``note_only``: do not see yet that the fence looks in time; this takes no time.
        """
        now = self._clock.now()
        orders = Orders(deadline, ending, self._unit, self._program)
        if self._is_news(orders, now):
            write(self._home, orders)
            self._told, self._told_at = orders, now
        if not note_only and deadline is not None and self._must_arm(deadline, now):
            try:
                arm(self._home, orders._replace(unit="none") if self._refused else orders, now)
            except systemd.SystemdFailed:
                # It did before. A watchdog is better than nothing.
                self._refused = True

    def _is_news(self, orders: Orders, now: Instant) -> bool:
        before = self._told
        if before is None or before._replace(deadline=None) != orders._replace(deadline=None):
            return True
        if before.deadline is None or orders.deadline is None:
            return before.deadline is not orders.deadline
        later = before.deadline.until(orders.deadline)
        if abs(later) < 0.01:
            return False
        waited = self._told_at is None or self._told_at.until(now) >= 1.0
        return later < 0 or waited or now.until(before.deadline) < 3.0

    def _must_arm(self, deadline: Instant, now: Instant) -> bool:
        if self._unit == "none" or self._refused:
            # The watchdog sees the file; what it needs is to be there.
            if self._looked_at is not None and self._looked_at.until(now) < _LOOK_AFTER_WATCHDOG:
                return False
            self._looked_at = now
            return True
        # The timer may have fired and have been armed again since.
        armed = armed_for(self._home)
        return armed is None or armed.until(now) > 2.0 or armed.until(deadline) + GRACE < -0.05


# ---- the program ------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """``fence --home FOLDER``: look, and end the host or arm the fence again."""
    home, clock = arguments[arguments.index("--home") + 1], SystemClock()
    left, orders = _look(home, clock), read(home)
    # A watchdog looks again by itself.
    if left is not None and orders is not None and orders.unit != "none":
        arm(home, orders, clock.now())
    return 0


def _look(home: str, clock: Clock) -> float | None:
    """Seconds until the deadline; None when there is none, or the host was ended."""
    orders = read(home)
    left = None if orders is None else judge(orders.deadline, clock.now())
    if left is None or left > 0:
        return left
    with _lock(home) as lock:
        # Somebody may have started an agent until we had the lock.
        orders = read(home)
        left = None if orders is None else judge(orders.deadline, clock.now())
        if orders is None or left is None or left > 0 or lock is None:
            return left
        end_host(home, orders)
    if orders.ending in HOST_ENDINGS:
        clearing.end_machine_when_alone(home, orders.ending)
    return None


def end_host(home: str, orders: Orders, *, with_work: bool = False) -> None:
    """End the agent, whatever state it is in, and remove what it put on the host.

    Where the host is to be switched off, that remains to be done. ``with_work``: remove results that nobody
    has collected, too.
    """
    unit = f"{systemd.agent_unit()}.service"
    if orders.unit != "none":
        # It would be started again after it is killed, and may not hear that it is to stop.
        systemd.systemctl(orders.unit, "stop", "--no-block", unit)
        systemd.systemctl(orders.unit, "kill", "--signal=KILL", unit)
    clearing.kill_processes(home)
    if orders.unit != "none":
        systemd.systemctl(orders.unit, "stop", unit)
        disarm(home, orders.unit)
    clearing.clear(home, orders.ending, with_work=with_work)


def end(home: str, ending: str) -> int:
    """End what is left of an agent at once, alive or not, with all that it has; 0."""
    orders = read(home) or Orders(None, ending, "none", sys.argv[0])
    with _lock(home):
        end_host(home, orders._replace(ending=ending), with_work=True)
    if ending in HOST_ENDINGS:
        _end_machine(home, ending, orders.unit, orders.program)
    return 0


def leave(home: str, unit: str, program: str, ending: str, *, with_work: bool) -> None:
    """What a living agent does last: everything of it but this process goes, and the fence with it."""
    clearing.kill_processes(home)
    if with_work:
        clearing.drop_work(home)
    if ending in HOST_ENDINGS:
        _end_machine(home, ending, unit, program)
    else:
        disarm(home, unit)
    clearing.clear(home, ending, with_work=with_work)


def _end_machine(home: str, ending: str, unit: str, program: str) -> None:
    """End the machine, or have the fence do so as soon as no other agent is alive."""
    if not clearing.others_alive(home):
        if ending in CLOUD_ENDINGS:
            # The fence must not come before the cloud has answered; should it never, the fence is there.
            _guard(home, Orders(SystemClock().now().plus(GUARD), ending, unit, program))
            clearing.ask_cloud(home, ending)
        if clearing.power_off():
            return
        ending = clearing.POWEROFF
    _guard(home, Orders(SystemClock().now().plus(-GRACE), ending, unit, program))


def _guard(home: str, orders: Orders) -> None:
    write(home, orders)
    arm(home, orders, SystemClock().now())


@contextlib.contextmanager
def _lock(home: str) -> Any:
    """The lock of whoever starts or ends an agent; None when the home is gone."""
    try:
        file: IO[str] = open(os.path.join(home, "start.lock"), "w")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        yield None
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
