"""Prove to the host who we are: keys of files, the SSH agent's keys, a password.

What was configured for the host is tried before what is only usual: a server that counts attempts
(``MaxAuthTries``) would otherwise hang up before the right one has its turn.
"""

from __future__ import annotations

import io
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import lithops.ssh._paramiko  # noqa: F401  (imports paramiko the fast way; has to come first)

import paramiko  # isort: skip

from lithops.errors import AuthenticationError, HostTimeout
from lithops.ssh.deadline import Deadline
from lithops.ssh.key_file import KeyFile, inspect_key
from lithops.ssh.known_hosts import fingerprint
from lithops.ssh.target import SshTarget

_log = logging.getLogger(__name__)
_CLASSES: dict[str, type[paramiko.PKey]] = {
    "ed25519": paramiko.Ed25519Key,
    "ecdsa": paramiko.ECDSAKey,
    "rsa": paramiko.RSAKey,
}


@dataclass
class _Attempts:
    """What was tried, what could not be, and what the host said."""

    tried: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    hung_up: bool = False


def authenticate(transport: paramiko.Transport, target: SshTarget, deadline: Deadline) -> None:
    """Log in; raises `AuthenticationError` that lists what was tried, or `HostTimeout`."""
    attempts = _Attempts()
    for offer in _offers(target, attempts):
        transport.auth_timeout = max(0.1, deadline.remaining())
        if _accepted(transport, target, offer, attempts):
            return
        if deadline.expired:
            raise HostTimeout(
                f"{target.where} did not answer the login in time", host=target.name, phase="authenticate"
            )
        if attempts.hung_up:
            break
    if not attempts.hung_up and _none_accepted(transport, target, attempts):
        return
    raise AuthenticationError(_explain(target, attempts), host=target.name, phase="authenticate")


Offer = tuple[str, "paramiko.PKey | str"]
"""What is offered, in words, and the key or the password."""


def _offers(target: SshTarget, attempts: _Attempts) -> Iterator[Offer]:
    """The offers in their order; a key is opened only when its turn comes."""
    yield from _file_offers(target.key_filenames, target, attempts, named=True)
    if target.password is not None:
        yield "the password", target.password
    if target.use_agent:
        yield from _agent_offers(attempts)
    yield from _file_offers(target.default_key_filenames, target, attempts, named=False)


def _file_offers(
    paths: tuple[str, ...], target: SshTarget, attempts: _Attempts, named: bool
) -> Iterator[Offer]:
    for path in paths:
        if not named and not os.path.exists(path):
            continue
        try:
            key = load_key(path, target.passphrase)
        except _LockedKey:
            attempts.locked.append(path)
        except (OSError, ValueError) as exc:
            attempts.unusable.append(f"{path} ({getattr(exc, 'strerror', None) or exc})")
        else:
            if key.asbytes() not in attempts.seen:
                attempts.seen.add(key.asbytes())
                yield f"the key {path} ({key.get_name()} {fingerprint(key.asbytes())})", key


def _agent_offers(attempts: _Attempts) -> Iterator[Offer]:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return
    try:
        keys = paramiko.Agent().get_keys()
    except (OSError, paramiko.SSHException) as exc:
        attempts.unusable.append(f"the SSH agent ({exc})")
        return
    for key in keys:
        if key.asbytes() not in attempts.seen:
            attempts.seen.add(key.asbytes())
            yield f"the agent's key {key.get_name()} {fingerprint(key.asbytes())}", key


class _LockedKey(Exception):
    """The key's file is encrypted and we have no passphrase, or not the right one."""


def load_key(path: str, passphrase: str | None) -> paramiko.PKey:
    """Read a private key; raises `OSError`, `ValueError` or `_LockedKey`."""
    with open(path, encoding="ascii", errors="replace") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        text = file.read()
    info = inspect_key(text)
    if mode & 0o077:
        _log.warning("others can read the private key %s (mode %04o); run: chmod 600 %s", path, mode, path)
    if info.encrypted and not passphrase:
        raise _LockedKey(path)
    try:
        return _parse(text, info, passphrase if info.encrypted else None)
    except paramiko.PasswordRequiredException as exc:
        raise _LockedKey(path) from exc
    except (paramiko.SSHException, ValueError) as exc:
        if info.encrypted:
            raise _LockedKey(path) from exc
        raise ValueError("its contents are damaged") from exc


def _parse(text: str, info: KeyFile, passphrase: str | None) -> paramiko.PKey:
    if info.kind != "pkcs8":
        return _CLASSES[info.kind].from_private_key(io.StringIO(text), password=passphrase)
    return _parse_pkcs8(text, passphrase)


def _parse_pkcs8(text: str, passphrase: str | None) -> paramiko.PKey:
    """paramiko can't read PKCS#8; rewritten in memory as OpenSSH's format it can."""
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(text.encode(), passphrase.encode() if passphrase else None)
    openssh = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()).decode()
    return _CLASSES[inspect_key(openssh).kind].from_private_key(io.StringIO(openssh))


def _accepted(transport: paramiko.Transport, target: SshTarget, offer: Offer, attempts: _Attempts) -> bool:
    words, secret = offer
    try:
        if isinstance(secret, str):
            still_wanted = transport.auth_password(target.username, secret)
        else:
            still_wanted = transport.auth_publickey(target.username, secret)
    except paramiko.BadAuthenticationType as exc:
        attempts.allowed = list(exc.allowed_types)
        # Not even looked at: the host takes no credentials of this kind.
        attempts.tried.append(words)
        return False
    except (paramiko.SSHException, EOFError, OSError) as exc:
        attempts.tried.append(words)
        attempts.hung_up = not transport.is_active()
        _log.debug("%s refused %s: %s", target.where, words, type(exc).__name__)
        return False
    attempts.allowed = list(still_wanted)
    attempts.tried.append(f"{words} (accepted, but the host wants more)" if still_wanted else words)
    return not still_wanted


def _none_accepted(transport: paramiko.Transport, target: SshTarget, attempts: _Attempts) -> bool:
    """Ask what the host allows, which is done by logging in with nothing; rarely, that is enough."""
    try:
        return not transport.auth_none(target.username)
    except paramiko.BadAuthenticationType as exc:
        attempts.allowed = list(exc.allowed_types)
    except (paramiko.SSHException, EOFError, OSError):
        # It hung up or refused: then what it allows stays unknown.
        attempts.hung_up = not cast(Any, transport).is_active()
    return False


def _explain(target: SshTarget, attempts: _Attempts) -> str:
    tried = ", ".join(attempts.tried) or "nothing, for there was no key or password to try"
    parts = [f"{target.where} refused the user {target.username!r}; tried: {tried}"]
    if attempts.allowed:
        parts.append(f"the host allows: {', '.join(attempts.allowed)}")
    if attempts.unusable:
        parts.append(f"could not be used: {', '.join(attempts.unusable)}")
    for path in attempts.locked:
        wrong = "the passphrase does not open it" if target.passphrase else "it needs a passphrase"
        parts.append(
            f"the key {path} is encrypted and {wrong}: run ssh-add {path}, or set ssh_key_passphrase"
        )
    if not attempts.locked:
        parts.append("check the user, the key (is its .pub in ~/.ssh/authorized_keys there?) or the password")
    return "; ".join(parts)
