"""Which things of the cloud nobody needs any more: decided by their names, states and what is known of them.
Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.fleet import COMING_UP, DELETING, FAILED, STOPPED
from lithops.backends.ibm_vpc.names import Name, Scope

GRACE = 120.0
"""Seconds that an agent has after its time is up."""
RESULTS_KEPT = 24 * 3600.0
"""Seconds that a machine which is off is kept because of results that nobody has collected."""
ORDER = (names.VM, names.ADDRESS, names.DISK, names.GROUP, names.SUBNET, names.GATEWAY, names.VPC)
"""The order in which things are removed."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something of this client that is there. ``status`` is that of a machine."""

    name: Name
    text: str
    kind: str
    id: str
    status: str = ""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a machine. ``heard``: an agent was there and was not seen to end; ``ends_at``: when it
    meant to at last hearing, in seconds since the epoch, None: never; ``has_results``: some that may be
    asked for are there."""

    heard: bool = False
    ends_at: float | None = None
    has_results: bool = False


@dataclass(frozen=True, kw_only=True)
class Rules:
    """``everything``: nothing is needed any more. ``keep_stopped``: where machines that are off stay."""

    everything: bool
    keep_stopped: frozenset[Scope] = frozenset()


def orphans(
    things: Sequence[Thing],
    living: Mapping[Scope, bool],
    known: Mapping[str, Known],
    rules: Rules,
    now: float,
) -> list[tuple[Thing, str]]:
    """What may go, each with why, in the order in which it is to go.

    ``living`` tells of a scope whether a program that uses it runs.
    """
    machines = {}
    for thing in things:
        if thing.name.role == names.VM:
            lives = living.get(thing.name.scope, False)
            machines[thing] = why_gone(thing, known.get(thing.text, Known()), lives, rules, now)
    # The network of a machine that stays is needed, and so is that of a program that is about to make one.
    needed = {thing.name.scope for thing, why in machines.items() if not why}
    if not rules.everything:
        needed |= {scope for scope, lives in living.items() if lives}
    found = [(thing, why) for thing, why in machines.items() if why]
    found += [
        (thing, "no machine needs it")
        for thing in things
        if thing.name.role != names.VM and thing.name.scope not in needed
    ]
    return sorted(found, key=lambda pair: (ORDER.index(pair[0].name.role), pair[0].text))


def why_gone(machine: Thing, known: Known, lives: bool, rules: Rules, now: float) -> str:
    """Why a machine is not needed; nothing when it is. ``lives``: whether a program uses its scope."""
    status = machine.status
    if rules.everything:
        return "everything is to go"
    if lives:
        return ""
    if status in (FAILED, DELETING):
        return f"it is {status}"
    if status == STOPPED:
        kept = known.has_results and known.ends_at is not None and now < known.ends_at + RESULTS_KEPT
        return "" if kept or machine.name.scope in rules.keep_stopped else "it was switched off"
    if status not in COMING_UP:
        return ""  # On its way to be off: the next look tells.
    if not known.heard:
        # The program that was to start one has ended.
        return "no agent is known to run there"
    late = known.ends_at is not None and now > known.ends_at + GRACE
    return "its agent should have ended it" if late else ""
