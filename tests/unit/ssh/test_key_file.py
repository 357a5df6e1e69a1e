"""What the outside of a key's file tells."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from lithops.ssh.key_file import inspect_key

KEYS: dict[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa": ec.generate_private_key(ec.SECP256R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
}


def pem(kind: str, layout: form.PrivateFormat, secret: str | None = None) -> str:
    lock = form.BestAvailableEncryption(secret.encode()) if secret else form.NoEncryption()
    data: bytes = KEYS[kind].private_bytes(form.Encoding.PEM, layout, lock)
    return data.decode()


@pytest.mark.parametrize("kind", list(KEYS))
def test_openssh_keys(kind: str) -> None:
    info = inspect_key(pem(kind, form.PrivateFormat.OpenSSH))
    assert (info.kind, info.encrypted) == (kind, False)
    assert info.public


def test_an_encrypted_openssh_key_still_tells_its_public_half() -> None:
    info = inspect_key(pem("ed25519", form.PrivateFormat.OpenSSH, "secret"))
    assert info.encrypted
    assert info.public == inspect_key(pem("ed25519", form.PrivateFormat.OpenSSH)).public


@pytest.mark.parametrize("secret", [None, "secret"])
def test_pem_keys(secret: str | None) -> None:
    assert inspect_key(pem("rsa", form.PrivateFormat.TraditionalOpenSSL, secret)).kind == "rsa"
    assert inspect_key(pem("ecdsa", form.PrivateFormat.TraditionalOpenSSL, secret)).kind == "ecdsa"
    info = inspect_key(pem("rsa", form.PrivateFormat.PKCS8, secret))
    assert (info.kind, info.encrypted) == ("pkcs8", bool(secret))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ssh-ed25519 AAAA me", "public key"),
        ("PuTTY-User-Key-File-3: x", "puttygen"),
        ("hello", "not a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END", "damaged"),
    ],
)
def test_other_files_are_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        inspect_key(text)


@given(st.binary(max_size=100))
def test_damaged_keys_raise_value_errors_only(data: bytes) -> None:
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + data.hex() + "\n-----END OPENSSH PRIVATE KEY-----\n"
    with pytest.raises(ValueError, match="damaged"):
        inspect_key(text)
