"""What this client is to the cloud and to its machines, below ``~/.lithops/ibm_vpc``: who it is, the key that
it logs in with, and the keys by which it knows its machines. All files have mode 0600."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lithops.errors import ConfigError
from lithops.ssh.key_file import inspect_key
from lithops.state.records import state_folder


@dataclass(frozen=True)
class HostKey:
    """The key of a machine: the private part for its first boot, and a file of known hosts with the other."""

    private: str = field(repr=False)
    public: str
    known_hosts: str


class Identity:
    """The files; nothing is made before it is needed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or state_folder()) / "ibm_vpc"

    @property
    def client(self) -> str:
        """The id of this client, eight hexadecimal digits."""
        text = self._once("client", lambda: secrets.token_hex(4)).strip()
        if not re.fullmatch(r"[0-9a-f]{8}", text):
            raise ConfigError(f"{self._folder / 'client'} has no id of eight hexadecimal digits: remove it")
        return text

    @property
    def login_key(self) -> str:
        """The path of the key that machines are logged in to with."""
        self._once("id_ed25519", _new_key)
        return str(self._folder / "id_ed25519")

    def host_key(self, name: str) -> HostKey:
        """The key of a machine of this name; it stays the same when the machine is made again."""
        private = self._once(f"hosts/{name}", _new_key)
        public = public_key(private)
        self._once(f"hosts/{name}.known", lambda: f"{name} {public}\n")
        return HostKey(private, public, self.known_hosts(name))

    def known_hosts(self, name: str) -> str:
        """The path of the file of known hosts of a machine of this name."""
        return str(self._folder / "hosts" / f"{name}.known")

    def forget(self, name: str) -> None:
        """The machine of this name is gone."""
        for path in (self._folder / "hosts" / name, self._folder / "hosts" / f"{name}.known"):
            path.unlink(missing_ok=True)

    def _once(self, name: str, make: Callable[[], str]) -> str:
        """The contents of a file; made if it is not there, by one of those who want it."""
        path = self._folder / name
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="ascii")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(make())
        try:
            # A link fails where a file is, so all see the one that was there first, and see it whole.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text(encoding="ascii")


def _new_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return (
        Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        .decode()
    )


def public_key(private: str) -> str:
    """The public part of an OpenSSH key of type ed25519, as a line without a comment. Raises ValueError."""
    public = inspect_key(private).public
    if public is None:
        raise ValueError("the key does not show its public part")
    return f"ssh-ed25519 {base64.b64encode(public).decode()}"


def public_key_of_file(path: str) -> str:
    """The public part of a private key's file, for a machine's list of who may log in. Raises ConfigError."""
    from lithops.ssh.authentication import load_key

    beside = Path(f"{path}.pub")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return beside.read_text(encoding="utf-8").strip()
    try:
        key = load_key(path, None)
    except Exception as exc:  # Among others what paramiko and cryptography raise.
        raise ConfigError(
            f"ibm_vpc.ssh_key_filename: {path} can't be read ({exc}), and its public part is not in {beside}"
        ) from exc
    return f"{key.get_name()} {key.get_base64()}"
