"""Remove things of the cloud, or switch machines off, and see that it is so; and switch them on."""

from __future__ import annotations

import time
from collections.abc import Callable

from lithops.backends.ibm_vpc.api import INSTANCE, WORDS, VpcApi
from lithops.backends.ibm_vpc.fleet import DELETING, FAILED, RUNNING, STARTING, STOPPED
from lithops.errors import CloudError
from lithops.ssh.deadline import Deadline

REMOVAL_TIMEOUT = 180.0
"""Seconds that a thing may take until it is gone, what it waits for included."""
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.5, 3.0)
_IN_THE_WAY = 409
"""The status when something else needs it, or something is being done with it."""


def remove(
    api: VpcApi, kind: str, id: str, deadline: Deadline, pause: Callable[[float], None] = time.sleep
) -> None:
    """Delete a thing, trying again while something else needs it, and wait until it is gone.

    Raises:
        CloudError: it can't be deleted, or is not gone in time.
    """
    trouble: CloudError | None = None
    asked, attempt = False, 0
    while True:
        if not asked:
            try:
                api.delete(kind, id)
                asked = True
            except CloudError as exc:
                if exc.status != _IN_THE_WAY:
                    raise
                trouble = exc
        if api.look(kind, id) is None:
            return
        if deadline.expired:
            what = WORDS.get(kind, kind)
            why = f": {trouble.args[0]}" if trouble is not None else ""
            raise CloudError(
                f"the {what} {id} is not gone in time{why}", phase="dismantle", operation=f"delete {what}"
            ) from trouble
        pause(min(_pause(attempt), deadline.remaining()))
        attempt += 1


def switch_on(api: VpcApi, id: str) -> None:
    """Ask for the start of an instance; whether it starts is to be looked at.

    Raises:
        CloudError: it can't be started.
    """
    try:
        api.act(id, "start")
    except CloudError as exc:
        # Something is being done with it: it may be starting, by a request whose answer was lost.
        if exc.status != _IN_THE_WAY:
            raise


def switch_off(api: VpcApi, id: str, deadline: Deadline, pause: Callable[[float], None] = time.sleep) -> None:
    """Stop an instance, and wait until it is stopped, or gone.

    Raises:
        CloudError: it can't be stopped, or is not in time.
    """
    asked, attempt = False, 0
    while True:
        instance = api.look(INSTANCE, id)
        status = instance["status"] if instance else None
        if status in (None, STOPPED, DELETING, FAILED):
            return
        if status in (RUNNING, STARTING) and not asked:
            try:
                api.act(id, "stop")
                asked = True
            except CloudError as exc:
                if exc.status != _IN_THE_WAY:
                    raise
        if deadline.expired:
            raise CloudError(
                f"the instance {id} is not off in time: it is {status}", phase="dismantle", operation="stop"
            )
        pause(min(_pause(attempt), deadline.remaining()))
        attempt += 1


def _pause(attempt: int) -> float:
    return _PAUSES[min(attempt, len(_PAUSES) - 1)]
