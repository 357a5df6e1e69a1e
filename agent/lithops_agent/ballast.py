"""Space that is kept for the moment when there is none: results must be recorded on a full disk, too."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lithops_agent.disk import is_disk_full

T = TypeVar("T")

BALLAST_SIZE = 4 * 1024 * 1024
_ROOM = 2 * BALLAST_SIZE
"""Bytes that must be free before the ballast is taken from them."""


class Ballast:
    """A file that is there for nothing but to be deleted when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_spent = False
        """Whether it was deleted because the disk was full, and there is no room for it yet."""
        self.refill()

    def refill(self) -> None:
        """Make it if it is not there and there is room."""
        try:
            if self._path.exists() and self._path.stat().st_size == BALLAST_SIZE:
                self.is_spent = False
                return
            space = os.statvfs(self._path.parent)
            if space.f_bavail * space.f_frsize >= _ROOM:
                self._make()
                self.is_spent = False
        except OSError:
            self._path.unlink(missing_ok=True)  # The room was taken at this moment.

    def _make(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BALLAST_SIZE)
        finally:
            os.close(descriptor)

    def spend_on(self, write: Callable[[], T]) -> T:
        """Write what must be written: with this space, if there is no other. Raises what ``write`` raises."""
        try:
            return write()
        except OSError as exc:
            if not is_disk_full(exc) or not self._drop():
                raise
            return write()

    def refuse_when_spent(self) -> None:
        """Raise OSError with ENOSPC if what is left is for what `spend_on` writes."""
        if self.is_spent:
            self.refill()
        if self.is_spent:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path.parent))

    def _drop(self) -> bool:
        self.is_spent = True
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
