"""Run one command on a channel: input, output and errors at the same time, within a deadline."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import lithops.ssh._paramiko  # noqa: F401  (imports paramiko the fast way; has to come first)

import paramiko  # isort: skip
from paramiko.common import cMSG_CHANNEL_REQUEST  # isort: skip

from lithops.ssh.channel import send_all
from lithops.ssh.deadline import Deadline

_TAKE_ALL = 1 << 30
_INLINE_INPUT = 1 << 16
"""Input up to this size fits the window that sshd opens a channel with (2 MB): sending can't block."""
_GRACE = 2.0
"""Seconds that output is waited for after the command has ended, while a child of it holds it open."""


@dataclass(frozen=True)
class Completed:
    """A command that has ended. ``returncode`` is -1 when it was killed by a signal."""

    returncode: int
    stdout: bytes
    stderr: bytes


class CommandTimeout(TimeoutError):
    """The command had not ended by its deadline; carries what it had said on stderr."""

    def __init__(self, stderr: bytes) -> None:
        super().__init__("the command did not end in time")
        self.stderr = stderr


def execute(
    channel: paramiko.Channel, command: str, stdin: bytes | Iterable[bytes], deadline: Deadline
) -> Completed:
    """Run ``command`` on a fresh session channel and return when it has ended."""
    arrived = _Arrival()
    channel.in_buffer.set_event(arrived)
    channel.in_stderr_buffer.set_event(arrived)
    try:
        _request(channel, command)
        _feed(channel, stdin)
        return _collect(channel, arrived, deadline)
    finally:
        channel.close()


class _Arrival(threading.Event):
    """Set when either output has news.

    paramiko clears it when *one* of them has been emptied, which must not lose the other's news.
    """

    def clear(self) -> None:
        return

    def reset(self) -> None:
        super().clear()


def _request(channel: paramiko.Channel, command: str) -> None:
    """Ask for the command without waiting for a yes, which saves a round trip; a no closes the channel."""
    inner = cast(Any, channel)
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(inner.remote_chanid)
    message.add_string("exec")
    message.add_boolean(False)
    message.add_string(command)
    inner.transport._send_user_message(message)


def _feed(channel: paramiko.Channel, stdin: bytes | Iterable[bytes]) -> None:
    if isinstance(stdin, bytes) and len(stdin) <= _INLINE_INPUT:
        _send(channel, (stdin,) if stdin else ())
    else:
        pieces = (stdin,) if isinstance(stdin, bytes) else stdin
        threading.Thread(target=_send, args=(channel, pieces), name="ssh-stdin", daemon=True).start()


def _send(channel: paramiko.Channel, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            send_all(channel, piece)
        channel.shutdown_write()
    except OSError:
        # The command closed its input or ended; its return code tells more than this would.
        return


def _collect(channel: paramiko.Channel, arrived: _Arrival, deadline: Deadline) -> Completed:
    out: list[bytes] = []
    err: list[bytes] = []
    ends = deadline
    while True:
        arrived.reset()
        _drain(channel, out, err)
        if channel.eof_received or channel.closed:
            break
        if ends is deadline and channel.exit_status_ready():
            ends = Deadline(min(deadline.at, deadline.clock() + _GRACE), deadline.clock)
        elif ends.expired:
            break
        # The exit status alone sets no event of the outputs, hence the second's look at it.
        arrived.wait(ends.remaining(1.0))
    channel.status_event.wait(deadline.remaining())
    _drain(channel, out, err)
    if not channel.status_event.is_set():
        raise CommandTimeout(b"".join(err))
    return Completed(channel.exit_status, b"".join(out), b"".join(err))


def _drain(channel: paramiko.Channel, out: list[bytes], err: list[bytes]) -> None:
    while channel.recv_ready():
        out.append(channel.recv(_TAKE_ALL))
    while channel.recv_stderr_ready():
        err.append(channel.recv_stderr(_TAKE_ALL))
