"""Creation with a note before it: whoever dies at any moment leaves nothing that can't be found."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lithops.backends.ibm_vpc.api import VpcApi
from lithops.backends.ibm_vpc.names import Scope
from lithops.errors import CloudError, CloudUnreachable
from lithops.state.cloud import CloudRecords, ResourceRecord

logger = logging.getLogger(__name__)


class Notebook:
    """The records of one scope, as an executor keeps them. Opened at the first use; thread-safe.

    Without them nothing would be created: what nobody knows of costs money. So when they can't be written,
    all that creates raises CloudError.
    """

    def __init__(
        self,
        scope: Scope,
        executor_id: str,
        region: str,
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._scope = scope
        self._executor_id = executor_id
        self._region = region
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: CloudRecords | None = None

    def knows(self, name: str) -> bool:
        """Whether something of this name may be there."""
        return self._records().get(name) is not None

    def create(self, api: VpcApi, kind: str, body: Mapping[str, Any], *, profile: str = "") -> dict[str, Any]:
        """Note down what is about to be created, and create it. Raises CloudError."""
        name = str(body["name"])
        record = ResourceRecord(
            name=name,
            kind=kind,
            scope=self._scope.key,
            executor_id=self._executor_id,
            region=self._region,
            profile=profile,
            asked_at=self._clock(),
        )
        self._records().asked(record)
        try:
            made = api.create(kind, body)
        except CloudError as exc:
            if not isinstance(exc, CloudUnreachable) or exc.status == 429:
                self._records().gone(name, self._clock())
            raise
        self._records().made(name, str(made["id"]), self._clock())
        return made

    def ready(self, name: str) -> None:
        """An agent runs on this machine."""
        self._records().ready(name, self._clock())

    def was_ready(self, name: str) -> bool:
        """Whether an agent has run on this machine since it was created."""
        record = self._records().get(name)
        return record is not None and record.ready_at is not None

    def gone(self, name: str) -> None:
        """It is not there any more."""
        self._records().gone(name, self._clock())

    def left(self) -> list[ResourceRecord]:
        """What may be there."""
        return self._records().left(self._scope.key)

    def _records(self) -> CloudRecords:
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = CloudRecords(self._folder)
                except (OSError, sqlite3.Error) as exc:
                    raise CloudError(
                        f"nothing is created in the cloud without a note of it, and the records can't be "
                        f"written: {exc}",
                        phase="create",
                    ) from exc
            return self._opened
