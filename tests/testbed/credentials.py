"""Keys and passwords of a bed, all made for it and thrown away with it."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .commands import run

HOST_KEY_KINDS = ("ed25519", "ecdsa")


class Credentials:
    """The login keys of a bed, its password, and its known_hosts file."""

    def __init__(self, folder: Path) -> None:
        """Make the keys in ``folder``."""
        folder.mkdir(parents=True, mode=0o700)
        self.folder = folder
        self.password = secrets.token_urlsafe(12)
        self.passphrase = secrets.token_urlsafe(12)
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.touch(mode=0o600)
        self._lines: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        kinds = ["ed25519", "rsa", "ecdsa", "encrypted", "unknown"]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._make, kinds))

    def _make(self, name: str) -> None:
        kind = name if name in ("rsa", "ecdsa") else "ed25519"
        make_key(self.key(name), kind, self.passphrase if name == "encrypted" else "")

    def key(self, name: str) -> Path:
        """The private key named ed25519, rsa, ecdsa, encrypted or unknown."""
        return self.folder / f"id_{name}"

    def authorized_keys(self) -> str:
        """What every host accepts for every login."""
        accepted = ("ed25519", "rsa", "ecdsa", "encrypted")
        return "".join(self.key(name).with_suffix(".pub").read_text() for name in accepted)

    def pin(self, address: str, public_keys: list[str]) -> None:
        """Put a host's keys into known_hosts, in place of those it had."""
        with self._lock:
            self._lines[address] = [f"{address} {' '.join(key.split()[:2])}\n" for key in public_keys]
            text = "".join(line for lines in self._lines.values() for line in lines)
            fresh = self.known_hosts.with_suffix(".new")
            fresh.write_text(text)
            fresh.chmod(0o600)
            fresh.replace(self.known_hosts)


def make_key(path: Path, kind: str, passphrase: str = "") -> None:
    """Make a key pair at ``path``, in place of one that is there."""
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    size = {"rsa": ["-b", "2048"]}.get(kind, [])
    run("ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", "testbed", "-f", str(path))


def make_host_keys(folder: Path) -> list[str]:
    """Make the keys of an ssh server in ``folder``; return its public keys."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"ssh_host_{kind}_key" for kind in HOST_KEY_KINDS]
    for kind, path in zip(HOST_KEY_KINDS, paths, strict=True):
        make_key(path, kind)
    return [path.with_suffix(".pub").read_text() for path in paths]
