"""What is remembered on this machine: locks by what they were made of, and the platform of hosts."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lithops.environment.fetch import folder_fingerprint
from lithops.environment.lock import Lock
from lithops.environment.platforms import HostPlatform
from lithops.environment.requirements import Requirements

FRESH = 24 * 3600.0
"""Seconds for which requirements are not resolved again: `numpy` means the same for a day."""
_REGISTRIES = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_CONSTRAINT",
)


class LockCache:
    """Locks in a folder. What can't be read or written there is as if it were not kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str, *, max_age: float = FRESH) -> Lock | None:
        """The lock of this key, unless it is older, or a folder that it was built of has changed."""
        try:
            lock = Lock.from_json(json.loads((self._folder / f"{key}.json").read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not 0 <= time.time() - lock.at < max_age:
            return None
        is_same = all(folder_fingerprint(folder) == mark for folder, mark in lock.folders)
        return lock if is_same else None

    def keep(self, key: str, lock: Lock) -> None:
        """Keep a lock under a key."""
        self._write(f"{key}.json", lock.to_json())

    def last_platform(self, host: str) -> HostPlatform | None:
        """What a host was the last time."""
        try:
            return HostPlatform(**json.loads((self._folder / _host_file(host)).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def keep_platform(self, host: str, platform: HostPlatform) -> None:
        """Note what a host is."""
        if self.last_platform(host) != platform:
            self._write(_host_file(host), platform.to_json())

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(handle, "w") as file:
                json.dump(content, file)
            os.replace(temporary, self._folder / name)
        except OSError:
            pass  # The next time takes longer.


def lock_key(
    requirements: Requirements, platform: HostPlatform, environment: Mapping[str, str], uv_version: str
) -> str:
    """What a lock depends on, as a name. Pure."""
    registries = [environment.get(name, "") for name in _REGISTRIES]
    parts = [requirements.fingerprint(), platform.minor, platform.uv_name, uv_version, *registries]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _host_file(host: str) -> str:
    return f"host-{hashlib.sha256(host.encode()).hexdigest()[:32]}"
