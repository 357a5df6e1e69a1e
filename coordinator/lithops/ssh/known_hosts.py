"""Host keys: read ``known_hosts`` files, judge the key that a host shows, remember a new one.

Reading and judging are pure; `read_known_hosts` and `remember` are the only functions that touch files.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lithops.ssh.client_config import matches_patterns
from lithops.ssh.target import DEFAULT_PORT, HostKeyPolicy, SshTarget

_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""A key type whose signatures go by other names than the key."""


@dataclass(frozen=True)
class KnownHost:
    """One line of a ``known_hosts`` file."""

    hosts: str
    key_type: str
    key: bytes
    file: str
    line: int
    marker: str = ""

    def names(self, name: str) -> bool:
        """Whether the line is about ``name``, which is ``host`` or ``[host]:port``."""
        if self.hosts.startswith("|1|"):
            return _hash_matches(self.hosts, name)
        return matches_patterns(name, self.hosts.split(","))


@dataclass(frozen=True)
class Verdict:
    """What is known about the key that a host has shown, and where."""

    kind: Literal["known", "new", "changed", "revoked"]
    entry: KnownHost | None = None


def parse_known_hosts(text: str, file: str) -> list[KnownHost]:
    """The lines of a ``known_hosts`` file; those that can't be read are left out, as OpenSSH does."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        try:
            key = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        entries.append(KnownHost(words[0], words[1], key, file, number, marker))
    return entries


def lookup_names(target: SshTarget) -> tuple[str, ...]:
    """The names under which a host's key may stand, the exact one first.

    As OpenSSH does, a key that is known for the host without its port counts too.
    """
    if target.host_key_alias:
        return (target.host_key_alias.lower(),)
    address = target.address.lower()
    return (address,) if target.port == DEFAULT_PORT else (f"[{address}]:{target.port}", address)


def known_for(entries: Iterable[KnownHost], name: str) -> list[KnownHost]:
    """The entries about one name."""
    return [entry for entry in entries if entry.names(name)]


def preferred_algorithms(known: Sequence[KnownHost], supported: Sequence[str]) -> list[str]:
    """``supported`` host key algorithms, with those first for which a key is known.

    So a host with keys of several types shows the one that we can check.
    """
    first: set[str] = set()
    for entry in known:
        if not entry.marker:
            first.update(_ALGORITHMS.get(entry.key_type, (entry.key_type,)))
    return [name for name in supported if name in first] + [name for name in supported if name not in first]


def judge(entries: Sequence[KnownHost], names: Sequence[str], key: bytes) -> Verdict:
    """Compare the ``key`` that a host has shown with what is known under its ``names``."""
    about = {name: known_for(entries, name) for name in names}
    for entry in (entry for found in about.values() for entry in found if entry.key == key):
        return Verdict("revoked" if entry.marker else "known", entry)
    other = [entry for entry in about[names[0]] if not entry.marker]
    # Another key of this host is known, of this type or of another: whoever answers does not have it.
    return Verdict("changed", other[0]) if other else Verdict("new")


def fingerprint(key: bytes) -> str:
    """The fingerprint as ssh prints it: ``SHA256:…``."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def explain(target: SshTarget, verdict: Verdict, key_type: str, key: bytes) -> str:
    """Why the key is not accepted, and what to do."""
    name = lookup_names(target)[0]
    shown = f"{key_type} {fingerprint(key)}"
    entry = verdict.entry
    if verdict.kind == "changed" and entry is not None:
        return (
            f"the host key of {target.where} has changed: it shows {shown}, and {entry.file} line "
            f"{entry.line} says {entry.key_type} {fingerprint(entry.key)}. Either somebody listens in, "
            f"or the host was installed anew; if you know that it was, run: "
            f"ssh-keygen -R '{name}' -f {entry.file}"
        )
    if verdict.kind == "revoked" and entry is not None:
        return f"{target.where} shows the key {shown}, which {entry.file} line {entry.line} revokes"
    port = "" if target.port == DEFAULT_PORT else f"-p {target.port} "
    file = target.known_hosts[0] if target.known_hosts else "~/.ssh/known_hosts"
    return (
        f"the host key of {target.where} is not known: it shows {shown}. Compare it with the host's own, "
        f"then connect once with ssh ({port}{target.username}@{target.address}), or run: "
        f"ssh-keyscan {port}{target.address} >> {file}; or set vm.host_keys: accept-new"
    )


def is_accepted(verdict: Verdict, policy: HostKeyPolicy) -> bool:
    """Whether the connection may go on."""
    return verdict.kind == "known" or (verdict.kind == "new" and policy == "accept-new")


def read_known_hosts(paths: Iterable[str]) -> list[KnownHost]:
    """Read several files; one that is not there has no entries."""
    entries: list[KnownHost] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                entries += parse_known_hosts(file.read(), path)
        except OSError:
            # OpenSSH too treats a file that can't be read as an empty one.
            continue
    return entries


def remember(path: str, name: str, key_type: str, key: bytes) -> Verdict:
    """Append a new key to ``path`` (mode 0600), unless another process has just done so.

    Returns what the file says once we hold its lock: ``new`` when the line was added.
    """
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read().decode("utf-8", "replace")
        verdict = judge(parse_known_hosts(text, path), (name,), key)
        if verdict.kind == "new":
            newline = "" if not text or text.endswith("\n") else "\n"
            file.write(f"{newline}{name} {key_type} {base64.b64encode(key).decode()}\n".encode())
    return verdict


def _hash_matches(hashed: str, name: str) -> bool:
    """Compare with a hashed name, ``|1|salt|HMAC-SHA1(salt, name)``."""
    try:
        _, _, salt, digest = hashed.split("|")
        want = base64.b64decode(digest)
        return hmac.compare_digest(hmac.digest(base64.b64decode(salt), name.encode(), "sha1"), want)
    except (ValueError, binascii.Error):
        return False
