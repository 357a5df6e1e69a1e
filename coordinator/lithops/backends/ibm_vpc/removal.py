"""Remove things of the cloud and see that they are gone."""

from __future__ import annotations

import time
from collections.abc import Callable

from lithops.backends.ibm_vpc.api import WORDS, VpcApi
from lithops.errors import CloudError
from lithops.ssh.deadline import Deadline

REMOVAL_TIMEOUT = 180.0
"""Seconds that a thing may take until it is gone, what it waits for included."""
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.5, 3.0)


def remove(
    api: VpcApi,
    kind: str,
    id: str,
    deadline: Deadline,
    pause: Callable[[float], None] = time.sleep,
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
                if exc.status != 409:
                    raise
                trouble = exc  # In use by what is being deleted, or being deleted itself.
        if api.look(kind, id) is None:
            return
        if deadline.expired:
            what = WORDS.get(kind, kind)
            why = f": {trouble.args[0]}" if trouble is not None else ""
            raise CloudError(
                f"the {what} {id} is not gone in time{why}", phase="dismantle", operation=f"delete {what}"
            ) from trouble
        pause(min(_PAUSES[min(attempt, len(_PAUSES) - 1)], deadline.remaining()))
        attempt += 1
