"""Joins a session of SSH to this process's own input and output, as `ssh` does.

With a terminal the remote side has one, too: its size follows, every key goes there, Ctrl-C among them.
Without one, bytes pass as they are, and the two outputs stay apart.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Optional, Protocol, cast

from lithops.shell.escapes import Escapes

_PIECE = 1 << 16
_LOOK = 0.5
_DEFAULT_TERM = "xterm"
DISCONNECTED = 255
"""The exit code when the remote side tells none, as of `ssh`."""


class Channel(Protocol):
    """What is used of paramiko's channel."""

    def get_pty(self, term: str, width: int, height: int) -> None: ...

    def resize_pty(self, width: int, height: int) -> None: ...

    def exec_command(self, command: str) -> None: ...

    def invoke_shell(self) -> None: ...

    def recv(self, nbytes: int) -> bytes: ...

    def recv_stderr(self, nbytes: int) -> bytes: ...

    def sendall(self, data: bytes) -> None: ...

    def shutdown_write(self) -> None: ...

    def recv_exit_status(self) -> int: ...

    def close(self) -> None: ...


class Streams:
    """The three files of a process, and whether they are one terminal."""

    def __init__(self, stdin: int = 0, stdout: int = 1, stderr: int = 2) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr

    @property
    def is_terminal(self) -> bool:
        """Whether a person types and reads here."""
        return os.isatty(self.stdin) and os.isatty(self.stdout)

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        found = os.get_terminal_size(self.stdout)
        return found.columns or 80, found.lines or 24


def run(
    channel: Channel,
    command: Optional[str],
    *,
    with_terminal: bool,
    streams: Streams,
    interrupt: Callable[[], None],
) -> int:
    """Run a command, or a shell, on a fresh session channel; its exit code.

    ``interrupt`` sends the remote process a signal, when there is no terminal that does.
    The code is 128 and the number of the signal when this process was told to end.
    """
    if with_terminal:
        channel.get_pty(os.environ.get("TERM") or _DEFAULT_TERM, *streams.size())
    if command is None:
        channel.invoke_shell()
    else:
        channel.exec_command(command)
    session = _Session(channel, streams, Escapes() if with_terminal else None)
    with _raw(streams.stdin) if with_terminal else contextlib.nullcontext(), session.signals(interrupt):
        return session.join()


class _Session:
    def __init__(self, channel: Channel, streams: Streams, escapes: Optional[Escapes]) -> None:
        self._channel = channel
        self._streams = streams
        self._escapes = escapes
        self._ended_by = 0
        self._interrupted = False
        self._wake_read, self._wake_write = os.pipe()
        self._outputs = [
            threading.Thread(target=self._copy_out, args=(read, target), name=f"output {target}", daemon=True)
            for read, target in ((channel.recv, streams.stdout), (channel.recv_stderr, streams.stderr))
        ]
        self._input = threading.Thread(target=self._copy_in, name="input", daemon=True)

    def join(self) -> int:
        """Copy until both outputs have ended; the exit code."""
        for thread in (*self._outputs, self._input):
            thread.start()
        try:
            for thread in self._outputs:
                # A wait without an end could not be interrupted by a signal on every system.
                while thread.is_alive():
                    thread.join(_LOOK)
            code = self._channel.recv_exit_status()
        finally:
            os.write(self._wake_write, b"x")
            self._input.join()
            os.close(self._wake_write)
            os.close(self._wake_read)
        if self._ended_by:
            return 128 + self._ended_by
        return code if code >= 0 else DISCONNECTED

    @contextlib.contextmanager
    def signals(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Have the signals of this process do what they should for the remote one."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Any] = {signal.SIGTERM: self._end, signal.SIGHUP: self._end}
        if self._escapes is not None:
            handlers[signal.SIGWINCH] = lambda *_: self._channel.resize_pty(*self._streams.size())
        else:
            handlers[signal.SIGINT] = lambda *_: self._pass_on(interrupt)
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: Optional[FrameType]) -> None:
        self._ended_by = number
        self._channel.close()

    def _pass_on(self, interrupt: Callable[[], None]) -> None:
        """The first Ctrl-C is for the remote process; the second one does not ask it."""
        if self._interrupted:
            self._end(signal.SIGINT, None)
        self._interrupted = True
        interrupt()

    def _copy_out(self, read: Callable[[int], bytes], target: int) -> None:
        try:
            while data := read(_PIECE):
                write_all(target, data)
        except OSError:
            # Nobody reads it any more, or the connection broke.
            self._channel.close()

    def _copy_in(self) -> None:
        stdin = self._streams.stdin
        try:
            while True:
                ready, _, _ = select.select([stdin, self._wake_read], [], [])
                if self._wake_read in ready:
                    return
                data = os.read(stdin, _PIECE)
                if self._escapes is not None:
                    data, is_over = self._escapes.feed(data) if data else (b"", True)
                    if data:
                        self._channel.sendall(data)
                    if is_over:
                        self._channel.close()
                        return
                elif data:
                    self._channel.sendall(data)
                else:
                    self._channel.shutdown_write()
                    return
        except OSError:
            return  # The remote process has closed its input; how it ended says more.


def write_all(target: int, data: bytes) -> None:
    """Write everything to a file descriptor, even to one that does not block. Raises OSError."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(target, rest) :]
        except BlockingIOError:
            select.select([], [target], [])


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Every key is passed on as it is."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def send_signal(channel: Any, name: str) -> None:
    """Send the process of a session a signal, such as INT (RFC 4254, 6.9)."""
    import lithops.ssh._paramiko  # noqa: F401  (imports paramiko the fast way; has to come first)

    import paramiko  # isort: skip
    from paramiko.common import cMSG_CHANNEL_REQUEST  # isort: skip

    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("signal")
    message.add_boolean(False)
    message.add_string(name)
    cast(Any, channel).transport._send_user_message(message)
