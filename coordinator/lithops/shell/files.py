"""Files of a host and of this machine, seen in the same way."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Optional, Protocol, cast

from lithops.errors import CopyError

if TYPE_CHECKING:
    import paramiko


class Found(NamedTuple):
    """What is at a path."""

    mode: int
    size: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a file with bytes in it."""
        return stat.S_ISREG(self.mode)


class Files(Protocol):
    """The files of one side. Links are followed. All methods raise `CopyError`."""

    where: str
    """What comes before a path in messages."""

    def look(self, path: str) -> Optional[Found]:
        """What is there, None: nothing."""

    def names(self, path: str) -> list[str]:
        """What is in a folder."""

    def make_folder(self, path: str) -> None:
        """Make a folder."""

    def read(self, path: str, size: int) -> IO[bytes]:
        """Open a file of so many bytes."""

    def write(self, path: str, mode: int) -> IO[bytes]:
        """Open a file anew; it gets these permissions."""

    def close(self) -> None:
        """Nothing more is asked for."""


class LocalFiles:
    """The files of this machine."""

    where = ""

    def look(self, path: str) -> Optional[Found]:
        """See `Files`."""
        with _told("look at", self.where, path):
            try:
                found = os.stat(_local(path))
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Found(found.st_mode, found.st_size)

    def names(self, path: str) -> list[str]:
        """See `Files`."""
        with _told("list", self.where, path):
            return sorted(os.listdir(_local(path)))

    def make_folder(self, path: str) -> None:
        """See `Files`."""
        with _told("make", self.where, path):
            os.mkdir(_local(path))

    def read(self, path: str, size: int) -> IO[bytes]:
        """See `Files`."""
        with _told("read", self.where, path):
            return open(_local(path), "rb")

    def write(self, path: str, mode: int) -> IO[bytes]:
        """See `Files`."""
        with _told("write", self.where, path):
            descriptor = os.open(_local(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode & 0o777)
            return open(descriptor, "wb")

    def close(self) -> None:
        """See `Files`."""


def _local(path: str) -> str:
    return os.path.expanduser(path) or "."


class RemoteFiles:
    """The files of a host, over SFTP. A path that is not absolute is below the home folder."""

    def __init__(self, client: paramiko.SFTPClient, host: str) -> None:
        self._client = client
        self.where = f"{host}:"

    def look(self, path: str) -> Optional[Found]:
        """See `Files`."""
        with _told("look at", self.where, path):
            try:
                found = self._client.stat(_remote(path))
            except FileNotFoundError:
                return None
        return Found(found.st_mode or 0, found.st_size or 0)

    def names(self, path: str) -> list[str]:
        """See `Files`."""
        with _told("list", self.where, path):
            return sorted(self._client.listdir(_remote(path)))

    def make_folder(self, path: str) -> None:
        """See `Files`."""
        with _told("make", self.where, path):
            self._client.mkdir(_remote(path))

    def read(self, path: str, size: int) -> IO[bytes]:
        """See `Files`."""
        with _told("read", self.where, path):
            file = self._client.open(_remote(path), "rb")
            file.prefetch(size)
            return cast(IO[bytes], file)

    def write(self, path: str, mode: int) -> IO[bytes]:
        """See `Files`."""
        with _told("write", self.where, path):
            file = self._client.open(_remote(path), "wb")
            file.set_pipelined(True)
            file.chmod(mode & 0o777)
            return cast(IO[bytes], file)

    def close(self) -> None:
        """See `Files`."""
        self._client.close()


def _remote(path: str) -> str:
    return "." if path in ("", "~", "~/") else path.removeprefix("~/")


@contextmanager
def _told(what: str, where: str, path: str) -> Iterator[None]:
    """Errors of either side say what could not be done with which file."""
    try:
        yield
    except OSError as exc:
        why: Any = exc.strerror or str(exc) or type(exc).__name__
        raise CopyError(f"can't {what} {where}{path}: {why}") from exc
    except EOFError as exc:
        raise CopyError(f"can't {what} {where}{path}: the connection broke") from exc
