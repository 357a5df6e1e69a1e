"""How the agent of a user is found on its machine: a file in its home folder. Both sides read it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

from lithops_agent.disk import is_disk_full
from lithops_agent.instants import boot_id as boot_id

EXIT_FAILED = 1
EXIT_VANISHED = 2
"""What ``start`` exits with when its program was removed meanwhile; Python's own when it was before."""
EXIT_BUSY = 75
"""What ``start`` exits with when an agent of another version has jobs: EX_TEMPFAIL of sysexits.h."""


class StateFile:
    """``agent.json`` in the home folder of an agent: where it listens, and the token (mode 0600)."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "agent.json"

    def read(self, *, in_worker: bool = False) -> dict[str, Any] | None:
        """What the file says, if the process that it names is alive on this boot.

        ``in_worker``: whoever asks is a worker of the agent. It may see another boot id from its container.
        """
        try:
            state = json.loads(self.path.read_text())
            if state["boot_id"] != boot_id() and not in_worker:
                return None
            os.kill(state["pid"], 0)
        except (OSError, ValueError, OverflowError, KeyError, TypeError):
            return None
        return dict(state)

    def written_at(self) -> int:
        """When the file was written, in nanoseconds; 0 without a file."""
        try:
            return self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def write(self, state: dict[str, Any]) -> None:
        """Replace the file; on a full disk, what is in it, so that an agent that was killed comes back."""
        text = json.dumps(state)
        temporary = self.path.with_name(f"agent.json.{os.getpid()}")
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            temporary.replace(self.path)
        except OSError as exc:
            temporary.unlink(missing_ok=True)
            if not is_disk_full(exc) or not self.path.exists():
                raise
            with open(self.path, "r+") as file:
                file.write(text)
                file.truncate()

    def remove(self) -> None:
        """Delete the file: nobody listens any more."""
        self.path.unlink(missing_ok=True)

    def token(self) -> str | None:
        """The token of an agent that ran here before, so that a restart does not change it."""
        try:
            return str(json.loads(self.path.read_text())["token"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def lock(self, name: str) -> IO[str]:
        """Wait for, and hold, an exclusive lock until the file is closed.

        Whoever held it may have removed the home; then it is there again, with another file.
        """
        path = self.home / f"{name}.lock"
        while True:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                file = open(path, "w")  # noqa: SIM115 - the caller closes it
            except FileNotFoundError:
                continue
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    return file
            except FileNotFoundError:
                pass
            file.close()
