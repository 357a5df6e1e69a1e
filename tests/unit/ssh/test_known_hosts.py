"""Judging host keys."""

from __future__ import annotations

import base64
import hmac
import stat
from pathlib import Path

from lithops.ssh import known_hosts
from lithops.ssh.known_hosts import (
    explain,
    fingerprint,
    is_accepted,
    judge,
    lookup_names,
    parse_known_hosts,
    preferred_algorithms,
    remember,
)
from lithops.ssh.target import SshTarget

KEY, OTHER = b"key one", b"key two"


def line(host: str, key: bytes = KEY, key_type: str = "ssh-ed25519", marker: str = "") -> str:
    return f"{marker} {host} {key_type} {base64.b64encode(key).decode()} comment\n".lstrip()


def target(port: int = 22, alias: str | None = None) -> SshTarget:
    return SshTarget(
        name="h", address="Web.example", username="u", port=port, host_key_alias=alias, known_hosts=("/kh",)
    )


def verdict(text: str, port: int = 22, alias: str | None = None, key: bytes = KEY) -> str:
    entries = parse_known_hosts(text, "/kh")
    return judge(entries, lookup_names(target(port, alias)), key).kind


def test_a_known_key() -> None:
    assert verdict(line("web.example,10.0.0.1")) == "known"
    assert verdict(line("*.example")) == "known"
    assert verdict(line("*,!web.example")) == "new"


def test_a_port_other_than_22_has_entries_of_its_own() -> None:
    assert verdict(line("[web.example]:2222"), port=2222) == "known"
    assert verdict(line("[web.example]:2222")) == "new"
    assert verdict(line("[web.example]:2222", OTHER), port=2222) == "changed"


def test_a_key_known_without_the_port_counts_but_never_against() -> None:
    assert verdict(line("web.example"), port=2222) == "known"
    assert verdict(line("web.example", OTHER), port=2222) == "new"


def test_an_alias_replaces_the_name() -> None:
    assert verdict(line("the-alias"), port=2222, alias="the-alias") == "known"
    assert verdict(line("web.example"), alias="the-alias") == "new"


def test_hashed_names() -> None:
    salt = b"12345678901234567890"
    digest = hmac.digest(salt, b"[web.example]:2222", "sha1")
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    assert verdict(line(hashed), port=2222) == "known"
    assert verdict(line(hashed)) == "new"


def test_another_type_of_key_is_a_change() -> None:
    assert verdict(line("web.example", OTHER, "ssh-rsa")) == "changed"


def test_one_of_several_keys_is_enough() -> None:
    assert verdict(line("web.example", OTHER, "ssh-rsa") + line("web.example")) == "known"


def test_revoked_and_broken_lines() -> None:
    assert verdict(line("web.example", marker="@revoked") + line("web.example")) == "revoked"
    assert verdict(line("web.example", marker="@cert-authority")) == "new"
    assert verdict("# web.example\n\nweb.example ssh-rsa\nweb.example ssh-rsa %%%\n") == "new"


def test_policies() -> None:
    new, changed = known_hosts.Verdict("new"), known_hosts.Verdict("changed")
    assert not is_accepted(new, "strict")
    assert is_accepted(new, "accept-new")
    assert not is_accepted(changed, "accept-new")


def test_algorithms_of_known_keys_come_first() -> None:
    supported = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]
    entries = parse_known_hosts(line("web.example", KEY, "ssh-rsa"), "/kh")
    assert preferred_algorithms(entries, supported) == [*supported[2:], *supported[:2]]
    assert preferred_algorithms([], supported) == supported


def test_a_changed_key_says_where_and_what_to_do() -> None:
    entries = parse_known_hosts("\n" + line("[web.example]:2222", OTHER), "/kh")
    here = target(2222)
    text = explain(here, judge(entries, lookup_names(here), KEY), "ssh-ed25519", KEY)
    for part in (
        fingerprint(KEY),
        fingerprint(OTHER),
        "/kh line 2",
        "ssh-keygen -R '[web.example]:2222' -f /kh",
    ):
        assert part in text


def test_an_unknown_key_says_what_to_do() -> None:
    text = explain(target(2222), known_hosts.Verdict("new"), "ssh-ed25519", KEY)
    for part in (fingerprint(KEY), "ssh-keyscan -p 2222", ">> /kh", "host_keys: accept-new"):
        assert part in text


def test_fingerprints_are_those_of_ssh() -> None:
    # ssh-keygen -l prints the same: base64 of the SHA-256 without padding.
    assert fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


def test_remember_appends_once(tmp_path: Path) -> None:
    path = tmp_path / "ssh" / "known_hosts"
    assert remember(str(path), "web", "ssh-ed25519", KEY).kind == "new"
    assert remember(str(path), "web", "ssh-ed25519", KEY).kind == "known"
    assert remember(str(path), "web", "ssh-ed25519", OTHER).kind == "changed"
    assert len(path.read_text().splitlines()) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_remember_ends_an_unfinished_line(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line("other").rstrip())
    remember(str(path), "web", "ssh-ed25519", KEY)
    assert [entry.hosts for entry in parse_known_hosts(path.read_text(), "")] == ["other", "web"]
