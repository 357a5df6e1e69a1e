"""Decisions about machines: how many, what to do with one as it is found, and which one leads. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

PENDING, STARTING, RUNNING, RESTARTING = "pending", "starting", "running", "restarting"
STOPPING, STOPPED, DELETING, FAILED = "stopping", "stopped", "deleting", "failed"
COMING_UP = (PENDING, STARTING, RUNNING, RESTARTING)

_CPUS = re.compile(r"-(\d+)x\d+")


def processes_of(profile: str) -> int:
    """How many CPUs a profile has, by its name, such as `cx2-2x4`; 1 where the name does not tell."""
    match = _CPUS.search(profile)
    return max(int(match[1]), 1) if match else 1


def how_many(calls: int, first: int, each: int, most: int) -> int:
    """How many machines so many calls need; the first one runs ``first`` at a time, others ``each``."""
    if calls <= 0:
        return 0
    rest = max(calls - first, 0)
    return min(1 + -(-rest // each), most)


class Action(Enum):
    """What to do with a machine that is wanted."""

    CREATE = "create it"
    START = "start it"
    WAIT = "wait until it is otherwise"
    CONNECT = "connect to it"
    REPLACE = "delete it"


def next_action(status: str | None) -> Action:
    """What to do with a machine in this state; None: there is none of its name."""
    if status is None:
        return Action.CREATE
    if status == RUNNING:
        return Action.CONNECT
    if status == STOPPED:
        return Action.START
    return Action.REPLACE if status == FAILED else Action.WAIT


def elect(members: Mapping[int, str | None], current: int | None, wanted: Iterable[int]) -> int | None:
    """Which machine has the public address that the others are reached through; None: there is no machine.

    ``members`` are the states of those that are there, ``wanted`` the numbers of those that are seen to,
    ``current`` is the one that has it now. It moves only when that one is neither up nor coming up.
    """
    if current is not None and members.get(current) in COMING_UP:
        return current
    running = [number for number, status in members.items() if status == RUNNING]
    if running:
        return min(running)
    coming = {number for number, status in members.items() if status in COMING_UP} | set(wanted)
    return current if current in coming else min(coming, default=None)


def numbers_for(count: int, mine: Iterable[int], there: Iterable[int]) -> list[int]:
    """The numbers of so many machines: those in use already, then those that are there, then new ones."""
    chosen = list(mine)
    for number in [*sorted(there), *range(count + len(chosen))]:
        if len(chosen) >= count:
            break
        if number not in chosen:
            chosen.append(number)
    return chosen
