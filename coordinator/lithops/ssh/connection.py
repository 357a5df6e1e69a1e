"""One SSH connection to a host: commands, and channels to ports of the host's loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from lithops.errors import AgentError, HostError, HostLost, HostTimeout, HostUnreachable
from lithops.ssh.channel import ChannelSocket
from lithops.ssh.deadline import Deadline
from lithops.ssh.stream import BufferedStream, Socket, open_tcp
from lithops.ssh.target import SshTarget

if TYPE_CHECKING:
    import paramiko

    from lithops.ssh.execution import Completed

# paramiko costs 60 ms to import, so it comes with the first connection: see the imports in functions.

_PROHIBITED = 1
_CONNECT_FAILED = 2


class SshConnection:
    """An authenticated connection; safe to use from several threads.

    Every error is a `HostError` with the host's name and the phase.
    """

    def __init__(self, target: SshTarget, transport: paramiko.Transport, jump: SshConnection | None) -> None:
        self.target = target
        self._transport = transport
        self._jump = jump
        self._closing = threading.Lock()

    @classmethod
    def connect(cls, target: SshTarget, deadline: Deadline) -> SshConnection:
        """Connect, over the jump hosts if there are any, verify the host's key, and log in.

        Raises `HostUnreachable`, `HostTimeout`, `HostKeyError`, `AuthenticationError` or `HostError`.
        """
        jump = cls.connect(target.jump, deadline) if target.jump else None
        try:
            return cls._establish(target, jump, deadline, own=jump)
        except BaseException:
            if jump:
                jump.close()
            raise

    @classmethod
    def through(cls, jump: SshConnection, target: SshTarget, deadline: Deadline) -> SshConnection:
        """Connect over a connection to the jump host that others use too, and that is left open.

        Raises as `connect` does.
        """
        return cls._establish(target, jump, deadline, own=None)

    @classmethod
    def _establish(
        cls, target: SshTarget, jump: SshConnection | None, deadline: Deadline, own: SshConnection | None
    ) -> SshConnection:
        from lithops.ssh import authentication, handshake

        sock: Socket = jump._tunnel(target, deadline) if jump else open_tcp(target, deadline)
        transport = handshake.start(BufferedStream(sock), target, deadline)
        try:
            authentication.authenticate(transport, target, deadline)
        except BaseException:
            handshake.stop(transport)
            raise
        return cls(target, transport, own)

    @property
    def is_alive(self) -> bool:
        """Whether the connection is up, as far as is known: a dead link is noticed after some 15 seconds."""
        return self._transport.is_active()

    def run(self, command: str, stdin: bytes | Iterable[bytes] = b"", *, deadline: Deadline) -> Completed:
        """Run a shell command, feed it ``stdin``, and return its code and output.

        Raises `HostTimeout` when it has not ended by the deadline, `HostLost` when the connection broke.
        """
        from lithops.ssh import execution

        channel = self._open("session", None, deadline)
        try:
            done = execution.execute(channel, command, stdin, deadline)
        except execution.CommandTimeout as exc:
            said = exc.stderr.decode("utf-8", "replace").strip()[-500:]
            raise self._error(
                HostTimeout, "the command did not end in time" + (f": {said}" if said else "")
            ) from exc
        except (OSError, EOFError) as exc:
            raise self._lost(exc) from exc
        if done.returncode == -1 and not self.is_alive:
            raise self._lost(None)
        return done

    def open_channel(self, host: str, port: int, deadline: Deadline) -> ChannelSocket:
        """Open a connection from the host to ``host``:``port``, usually of its loopback.

        Raises `AgentError` when nobody listens there or sshd does not allow it.
        """
        channel = self._open("direct-tcpip", (host, port), deadline)
        return ChannelSocket(cast(Any, channel), self.target.name)

    def open_session(self, deadline: Deadline) -> paramiko.Channel:
        """Open a channel for one command or shell."""
        return self._open("session", None, deadline)

    def open_files(self, deadline: Deadline) -> paramiko.SFTPClient:
        """Open the host's files over SFTP."""
        from paramiko import SFTPClient, SSHException

        channel = self._open("session", None, deadline)
        channel.settimeout(deadline.remaining())
        try:
            channel.invoke_subsystem("sftp")
            client = SFTPClient(channel)
        except (SSHException, OSError, EOFError) as exc:
            channel.close()
            if not self.is_alive:
                raise self._lost(exc) from exc
            message = f"sshd there offers no SFTP (Subsystem sftp in /etc/ssh/sshd_config): {exc}"
            raise self._error(HostError, message) from exc
        channel.settimeout(None)
        return client

    def check(self) -> None:
        """Raise `HostLost` when the connection broke."""
        if not self.is_alive:
            raise self._lost(None)

    def close(self) -> None:
        """Close the connection and those to its jump hosts; closing twice does nothing."""
        with self._closing:
            self._transport.close()
            if self._jump:
                self._jump.close()

    def __enter__(self) -> SshConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, kind: str, address: tuple[str, int] | None, deadline: Deadline) -> paramiko.Channel:
        from paramiko import ChannelException, SSHException

        if not self.is_alive:
            raise self._lost(None)
        try:
            origin = ("127.0.0.1", 0) if address else None
            return self._transport.open_channel(kind, address, origin, timeout=deadline.remaining())
        except ChannelException as exc:
            raise self._refused(exc.code, address) from exc
        except (SSHException, OSError, EOFError) as exc:
            if self.is_alive:
                raise self._error(HostTimeout, "the host did not open a channel in time") from exc
            raise self._lost(exc) from exc

    def _tunnel(self, target: SshTarget, deadline: Deadline) -> Socket:
        """A channel to another host: this one is its jump host."""
        try:
            return cast(Socket, self._open("direct-tcpip", (target.address, target.port), deadline))
        except AgentError as exc:
            message = f"the jump host {self.target.where} can't connect to {target.where}: {exc.args[0]}"
            raise HostUnreachable(message, host=target.name, phase="connect") from exc

    def _refused(self, code: int, address: tuple[str, int] | None) -> HostError:
        if address is None:
            return self._error(HostError, "sshd opened no session for a command (MaxSessions, or sftp only?)")
        where = f"{address[0]}:{address[1]}"
        if code == _PROHIBITED:
            return self._error(
                AgentError,
                f"sshd does not forward connections to {where}: set AllowTcpForwarding yes "
                f"(and no PermitOpen that leaves it out) in /etc/ssh/sshd_config there",
            )
        if code == _CONNECT_FAILED:
            return self._error(AgentError, f"nobody listens on {where} there")
        return self._error(AgentError, f"sshd opened no channel to {where} (reason {code})")

    def _lost(self, exc: BaseException | None) -> HostError:
        reason = exc or self._transport.saved_exception
        detail = f": {reason}" if reason and str(reason) else ""
        return self._error(HostLost, f"the SSH connection to {self.target.where} broke{detail}")

    def _error(self, kind: type[HostError], message: str) -> HostError:
        return kind(message, host=self.target.name, phase="connect")
