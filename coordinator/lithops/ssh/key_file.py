"""Look at a private key's file without opening it: its type, and whether it is encrypted. Pure."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from typing import Literal

_MAGIC = b"openssh-key-v1\0"

Kind = Literal["ed25519", "ecdsa", "rsa", "pkcs8"]


@dataclass(frozen=True)
class KeyFile:
    """What the outside of a private key's file tells; ``public`` is the public key, where it is in clear."""

    kind: Kind
    encrypted: bool
    public: bytes | None = None


def inspect_key(text: str) -> KeyFile:
    """Look at the text of a private key.

    Raises `ValueError`, with words that say what is wrong, for anything that is not a private key that
    can be used.
    """
    header = next((line.strip() for line in text.splitlines() if line.startswith("-----BEGIN ")), "")
    if header == "-----BEGIN OPENSSH PRIVATE KEY-----":
        return _inspect_openssh(text)
    encrypted = "ENCRYPTED" in text.split("\n\n")[0]
    if header == "-----BEGIN RSA PRIVATE KEY-----":
        return KeyFile("rsa", encrypted)
    if header == "-----BEGIN EC PRIVATE KEY-----":
        return KeyFile("ecdsa", encrypted)
    if header in ("-----BEGIN PRIVATE KEY-----", "-----BEGIN ENCRYPTED PRIVATE KEY-----"):
        return KeyFile("pkcs8", "ENCRYPTED" in header)
    if text.startswith(("ssh-", "ecdsa-")):
        raise ValueError("it is a public key; the private one is needed")
    if text.startswith("PuTTY-User-Key-File"):
        raise ValueError("it is a PuTTY key; convert it with: puttygen KEY -O private-openssh")
    raise ValueError("it is not a private key of OpenSSH or PEM")


def _inspect_openssh(text: str) -> KeyFile:
    """Read the header of the format that OpenSSH's PROTOCOL.key describes."""
    try:
        lines = [line.strip() for line in text.strip().splitlines()]
        data = base64.b64decode("".join(lines[1:-1]))
        if not data.startswith(_MAGIC):
            raise ValueError
        cipher, rest = _string(data[len(_MAGIC) :])
        _kdf, rest = _string(rest)
        _options, rest = _string(rest)
        public, _ = _string(rest[4:])
        key_type, _ = _string(public)
    except (ValueError, struct.error, binascii.Error):
        raise ValueError("its contents are damaged") from None
    return KeyFile(_kind(key_type.decode("ascii", "replace")), cipher != b"none", public)


def _kind(key_type: str) -> Kind:
    if key_type == "ssh-ed25519":
        return "ed25519"
    if key_type.startswith("ecdsa-sha2-"):
        return "ecdsa"
    if key_type == "ssh-rsa":
        return "rsa"
    raise ValueError(f"keys of the type {key_type} are not supported")


def _string(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", data)
    if length > len(data) - 4:
        raise ValueError
    return data[4 : 4 + length], data[4 + length :]
