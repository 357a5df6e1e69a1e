"""What is thought of what was found on a host: good, good enough, or in the way. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Optional

from lithops.bootstrap.bundle import Bundle
from lithops.bootstrap.probe import (
    HostFacts,
    Version,
    bundle_id,
    check_power,
    choose_python,
    choose_unit,
)
from lithops.bootstrap.start import check_room
from lithops.config.names import LOCALHOST
from lithops.config.settings import Settings
from lithops.errors import BootstrapError, HostError

Verdict = Literal["ok", "note", "fail"]

_LITTLE_DISK = 1 << 30
_LITTLE_MEMORY = 256 << 20
_CLOCK_TOLERANCE = 2.0
"""Seconds that a clock may be off before somebody should know."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at. ``note``: it works, and something could be better."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was looked at on a host."""

    host: str
    checks: Sequence[Check]

    @property
    def usable(self) -> bool:
        """Whether functions can run there."""
        return all(check.verdict != "fail" for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class Health:
    """What `health.sh` tells. Sizes are in bytes, the offset of the clock in seconds, ± ``clock_error``."""

    docker: str
    docker_version: str
    memory: Optional[int]
    memory_available: Optional[int]
    disk: Optional[int]
    clock_offset: Optional[float]
    clock_error: float


def parse_health(text: str, asked_at: float, answered_at: float, host: str = "") -> Health:
    """Read the answer of the script, which was asked for and came then. Raises BootstrapError."""
    lines = text.splitlines()
    if "lithops_health=1" not in lines or "health_end=1" not in lines:
        said = text.strip()[-300:] or "nothing"
        raise BootstrapError(f"its shell did not run the script; it said: {said}", host=host, phase="probe")
    values = dict(line.partition("=")[::2] for line in lines[lines.index("lithops_health=1") :])

    def kilobytes(name: str) -> Optional[int]:
        text = values.get(name, "")
        return int(text) * 1024 if text.isdigit() else None

    # The clock was read somewhere between the question and the answer.
    middle, error = (asked_at + answered_at) / 2, (answered_at - asked_at) / 2
    try:
        offset: Optional[float] = float(values["clock"]) - middle
    except (KeyError, ValueError):
        offset = None
    return Health(
        docker=values.get("docker", "none"),
        docker_version=values.get("docker_version", ""),
        memory=kilobytes("MemTotal"),
        memory_available=kilobytes("MemAvailable"),
        disk=kilobytes("disk_kb"),
        clock_offset=offset,
        clock_error=error,
    )


def judge(
    facts: HostFacts, health: Health, settings: Settings, bundle: Bundle, wanted: Version, host: str
) -> list[Check]:
    """What to think of a host that can be logged in to."""
    return [
        _sudo(facts, settings, host),
        _python(facts, settings, wanted, host),
        _docker(facts, health, settings),
        _disk(facts, health, bundle, host),
        _memory(health),
        _clock(health),
        _linger(facts),
        _systemd(facts),
        _agent(facts, bundle),
    ]


def _trial(attempt: Callable[[], object]) -> Optional[HostError]:
    try:
        attempt()
    except HostError as exc:
        return exc
    return None


def _sudo(facts: HostFacts, settings: Settings, host: str) -> Check:
    if settings.standalone.poweroff and settings.backend_name != LOCALHOST:
        error = _trial(lambda: check_power(facts, host))
        if error is not None:
            return Check(name="sudo", verdict="fail", found=str(error.args[0]))
    found = "is root" if facts.uid == 0 else "without a password" if facts.root else "no (not needed)"
    return Check(name="sudo", verdict="ok", found=found)


def _python(facts: HostFacts, settings: Settings, wanted: Version, host: str) -> Check:
    error = _trial(lambda: choose_python(facts, wanted, settings.runtime, host))
    if error is not None:
        return Check(name="python", verdict="fail", found=str(error.args[0]))
    chosen = choose_python(facts, wanted, settings.runtime, host)
    return Check(name="python", verdict="ok", found=", ".join(_versions(facts, chosen)))


def _versions(facts: HostFacts, chosen: str) -> Iterator[str]:
    """The interpreters, the one that runs functions marked with a star and first."""
    full = next((each for each in (facts.working, facts.explicit) if each and each.path == chosen), None)
    yield f"{full.version if full else ''} {chosen} *".lstrip()
    for each in facts.pythons:
        if each.path != chosen:
            yield f"{each.version} {each.path}"


def _docker(facts: HostFacts, health: Health, settings: Settings) -> Check:
    if health.docker == "there":
        return Check(name="docker", verdict="ok", found=health.docker_version or "there")
    verdict: Verdict = "fail" if settings.image else "ok"
    needed = "" if settings.image else " (not needed)"
    if health.docker == "forbidden":
        advice = f"sudo usermod -aG docker {facts.user}, and end the agent there" if settings.image else ""
        return Check(name="docker", verdict=verdict, found=f"the login may not use it{needed}", advice=advice)
    advice = "apt-get install docker.io, or choose an interpreter as runtime" if settings.image else ""
    return Check(name="docker", verdict=verdict, found=f"none{needed}", advice=advice)


def _disk(facts: HostFacts, health: Health, bundle: Bundle, host: str) -> Check:
    error = _trial(lambda: check_room(facts, bundle, host))
    if error is not None:
        return Check(name="disk", verdict="fail", found=str(error.args[0]))
    if facts.free_bytes is None:
        return Check(name="disk", verdict="note", found="it does not tell how much is free")
    of = f" of {_gigabytes(health.disk)}" if health.disk else ""
    found = f"{_gigabytes(facts.free_bytes)}{of} free in {facts.home}"
    if facts.free_bytes < _LITTLE_DISK:
        return Check(name="disk", verdict="note", found=found, advice="free some space, results need it, too")
    return Check(name="disk", verdict="ok", found=found)


def _memory(health: Health) -> Check:
    if health.memory is None or health.memory_available is None:
        return Check(name="memory", verdict="note", found="it does not tell")
    found = f"{_gigabytes(health.memory_available)} of {_gigabytes(health.memory)} free"
    if health.memory_available < _LITTLE_MEMORY:
        advice = "end what uses it, or set worker_processes lower"
        return Check(name="memory", verdict="note", found=found, advice=advice)
    return Check(name="memory", verdict="ok", found=found)


def _clock(health: Health) -> Check:
    if health.clock_offset is None:
        return Check(name="clock", verdict="note", found="it does not tell")
    off = abs(health.clock_offset)
    if off - health.clock_error > _CLOCK_TOLERANCE:
        ahead = "ahead" if health.clock_offset > 0 else "behind"
        return Check(
            name="clock",
            verdict="note",
            found=f"{off:.1f} s {ahead}",
            advice="times in stats are off by that, and HTTPS may fail: timedatectl set-ntp true",
        )
    return Check(name="clock", verdict="ok", found=f"right within {max(off, health.clock_error):.1f} s")


def _linger(facts: HostFacts) -> Check:
    if facts.linger or not facts.systemd or choose_unit(facts) == "system":
        return Check(name="linger", verdict="ok", found="on" if facts.linger else "off (not needed)")
    advice = f"sudo loginctl enable-linger {facts.user}: then systemd keeps the agent running"
    return Check(name="linger", verdict="note", found="off: the agent keeps itself running", advice=advice)


def _systemd(facts: HostFacts) -> Check:
    if not facts.systemd:
        return Check(name="systemd", verdict="ok", found="none: the agent keeps itself running")
    unit = choose_unit(facts)
    by = {"system": "a system unit", "user": "a user unit", "none": "no unit"}[unit]
    return Check(name="systemd", verdict="ok", found=f"there; the agent runs in {by}")


def _agent(facts: HostFacts, bundle: Bundle) -> Check:
    if facts.agent is None:
        return Check(name="agent", verdict="ok", found="none runs")
    version = str(facts.agent.get("version", "?"))
    if facts.agent.get("bundle") == bundle_id(bundle.name):
        return Check(name="agent", verdict="ok", found=f"{version} runs")
    return Check(
        name="agent",
        verdict="note",
        found=f"{version} of another release runs",
        advice="it is replaced when it is idle; `lithops dismantle` ends it now",
    )


def _gigabytes(value: int) -> str:
    return f"{value / 1e9:.1f} GB"
