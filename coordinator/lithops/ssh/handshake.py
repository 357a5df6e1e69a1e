"""Start SSH on an open connection and verify the host's key, before anything secret is sent."""

from __future__ import annotations

from typing import Any, cast

import lithops.ssh._paramiko  # noqa: F401  (imports paramiko the fast way; has to come first)

import paramiko  # isort: skip
from paramiko.common import cMSG_GLOBAL_REQUEST  # isort: skip

from lithops.errors import HostError, HostKeyError, HostTimeout
from lithops.ssh import known_hosts
from lithops.ssh.deadline import Deadline
from lithops.ssh.stream import KEEPALIVE_INTERVAL, BufferedStream, closed_early
from lithops.ssh.target import SshTarget

BANNER_CAP = 10.0
WINDOW_SIZE = 1 << 22
"""What a host may send on a channel before we have read it: 40 MB/s at 100 ms of round trip.

Not more, for sshd's own buffer grows with it: measured on loopback, 2 to 4 MB give a steady 500 MB/s,
and from 8 MB on some downloads drop to 70 MB/s.
"""
_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""Measured in paramiko at least as fast as CTR with any MAC, for it makes one call a packet."""


def start(stream: BufferedStream, target: SshTarget, deadline: Deadline) -> paramiko.Transport:
    """Negotiate keys with the host and check who it is.

    Raises `HostKeyError`, `HostTimeout`, `HostUnreachable`, or `HostError` for what is not SSH.
    """
    transport = paramiko.Transport(cast(Any, stream), default_window_size=WINDOW_SIZE)
    transport.banner_timeout = deadline.remaining(BANNER_CAP)
    transport.handshake_timeout = deadline.remaining()
    entries = known_hosts.read_known_hosts(target.known_hosts)
    _prefer(transport, target, entries)
    try:
        transport.start_client(timeout=deadline.remaining())
        if deadline.expired and not transport.initial_kex_done:
            raise TimeoutError
        _verify(transport, target, entries)
    except BaseException as exc:
        stop(transport)
        if isinstance(exc, (EOFError, OSError, paramiko.SSHException)) and not isinstance(exc, HostError):
            raise _explain(exc, stream, target, deadline) from exc
        raise
    _keep_alive(transport, stream)
    return transport


def stop(transport: paramiko.Transport) -> None:
    """Close a transport, with the timer of its handshake, which would keep the interpreter from ending."""
    transport.packetizer.complete_handshake()
    transport.close()


def _prefer(transport: paramiko.Transport, target: SshTarget, entries: list[known_hosts.KnownHost]) -> None:
    options = transport.get_security_options()
    ciphers = list(options.ciphers)
    fast = [name for name in _FAST_CIPHERS if name in ciphers]
    options.ciphers = fast + [name for name in ciphers if name not in fast]
    known = [
        entry for name in known_hosts.lookup_names(target) for entry in known_hosts.known_for(entries, name)
    ]
    options.key_types = known_hosts.preferred_algorithms(known, list(options.key_types))


def _verify(transport: paramiko.Transport, target: SshTarget, entries: list[known_hosts.KnownHost]) -> None:
    shown = transport.get_remote_server_key()
    key, key_type = shown.asbytes(), shown.get_name()
    names = known_hosts.lookup_names(target)
    verdict = known_hosts.judge(entries, names, key)
    if verdict.kind == "new" and target.host_keys == "accept-new":
        verdict = _remember(target, names[0], key_type, key)
    if not known_hosts.is_accepted(verdict, target.host_keys):
        message = known_hosts.explain(target, verdict, key_type, key)
        raise HostKeyError(message, host=target.name, phase="connect")


def _remember(target: SshTarget, name: str, key_type: str, key: bytes) -> known_hosts.Verdict:
    if not target.known_hosts:
        raise HostKeyError(
            "there is no known_hosts file to write a new key to", host=target.name, phase="connect"
        )
    try:
        return known_hosts.remember(target.known_hosts[0], name, key_type, key)
    except OSError as exc:
        message = f"can't add its key to {target.known_hosts[0]}: {exc.strerror or exc}"
        raise HostKeyError(message, host=target.name, phase="connect") from exc


def _keep_alive(transport: paramiko.Transport, stream: BufferedStream) -> None:
    """Ask the host for a sign of life now and then, and drop the connection when none comes.

    paramiko's own keepalive asks for no answer, so it would not notice a link that died behind a jump host.
    """

    def ping() -> None:
        stream.count_ping()
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        cast(Any, transport)._send_message(message)

    transport.packetizer.set_keepalive(KEEPALIVE_INTERVAL, ping)


def _explain(exc: Exception, stream: BufferedStream, target: SshTarget, deadline: Deadline) -> HostError:
    where = {"host": target.name, "phase": "connect"}
    if not stream.received and not stream.ended:
        return HostTimeout(
            f"{target.where} accepted the connection and then said nothing: sshd hangs, or it is not sshd",
            **where,
        )
    if isinstance(exc, paramiko.ssh_exception.IncompatiblePeer):
        return HostError(f"{target.where} speaks no SSH algorithm that we do: {exc}", **where)
    if not stream.received:
        return closed_early(target)
    if "banner" in str(exc) or "protocol version" in str(exc):
        return HostError(f"what listens on {target.where} is not SSH", **where)
    if deadline.expired or isinstance(exc, TimeoutError):
        return HostTimeout(f"{target.where} began SSH and then stopped answering", **where)
    return HostError(f"SSH with {target.where} failed: {exc or type(exc).__name__}", **where)
