"""The way into a host: over SSH, or on this machine without it."""

from __future__ import annotations

import dataclasses
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, Optional, Protocol

from lithops.backends.machine import Link
from lithops.bootstrap.end import look
from lithops.shell import terminal
from lithops.shell.files import Files, LocalFiles, RemoteFiles
from lithops.shell.terminal import Streams
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline

_TIMEOUT = 20.0
"""Seconds for what should take a moment."""


class Access(Protocol):
    """A host that was entered. ``name`` is what the user calls it."""

    name: str

    def run(self, command: Optional[str], *, with_terminal: bool, streams: Streams) -> int:
        """Run a shell command, or a shell of the login, on this process's input and output; its exit code.

        Raises:
            HostError: the connection broke.
        """

    def files(self) -> Files:
        """The files of the host. Raises HostError."""

    def agent(self) -> Optional[Link]:
        """The agent that runs there, over the same connection; None when none does. Raises HostError."""

    def close(self) -> None:
        """Leave."""


class SshAccess:
    """A host over SSH. ``link`` makes a link to the agent of which a state was read."""

    def __init__(self, connection: SshConnection, link: Callable[[Mapping[str, Any]], Link]) -> None:
        self.name = connection.target.name
        self._connection = connection
        self._link = link

    def run(self, command: Optional[str], *, with_terminal: bool, streams: Streams) -> int:
        """See `Access`."""
        connection = self._connection
        channel = connection.open_session(Deadline.after(_TIMEOUT))
        try:
            code = terminal.run(
                channel,
                command,
                with_terminal=with_terminal,
                streams=streams,
                interrupt=lambda: terminal.send_signal(channel, "INT"),
            )
        finally:
            channel.close()
        if code == terminal.DISCONNECTED:
            connection.check()
        return code

    def files(self) -> Files:
        """See `Access`."""
        return RemoteFiles(self._connection.open_files(Deadline.after(_TIMEOUT)), self.name)

    def agent(self) -> Optional[Link]:
        """See `Access`."""
        found = look(self._connection, host=self.name, deadline=Deadline.after(_TIMEOUT)).agent
        return None if found is None else dataclasses.replace(self._link(found), close=lambda: None)

    def close(self) -> None:
        """See `Access`."""
        self._connection.close()


class LocalAccess:
    """This machine; ``find`` looks for its agent."""

    def __init__(self, name: str, find: Callable[[], Optional[Link]]) -> None:
        self.name = name
        self._find = find

    def run(self, command: Optional[str], *, with_terminal: bool, streams: Streams) -> int:
        """See `Access`."""
        arguments = local_command(command)
        # What is typed goes to all processes of the terminal; this one leaves Ctrl-C to the command, which
        # does not inherit a handler.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            done = subprocess.run(
                arguments,
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                cwd=os.path.expanduser("~"),
                check=False,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        return done.returncode if done.returncode >= 0 else 128 - done.returncode

    def files(self) -> Files:
        """See `Access`."""
        return LocalFiles()

    def agent(self) -> Optional[Link]:
        """See `Access`."""
        return self._find()

    def close(self) -> None:
        """See `Access`."""


def local_command(command: Optional[str]) -> list[str]:
    """A shell command on this machine, or the shell of the user."""
    return [os.environ.get("SHELL") or "/bin/sh"] if command is None else ["/bin/sh", "-c", command]


def joined(words: list[str] | tuple[str, ...]) -> str:
    """The words of a command line as one shell command: as they are when it is one, as with `ssh`."""
    return words[0] if len(words) == 1 else shlex.join(words)
