"""A configuration is written down without secrets, and completed with those of now."""

from __future__ import annotations

from pathlib import Path

from lithops.config import default_config, resolve
from lithops.config.secrets import with_secrets, without_secrets

CONFIG = {
    "lithops": {"backend": "vm"},
    "vm": {
        "hosts": ["plain", {"address": "own", "password": "hunter2", "port": 7}],
        "ssh_password": "hunter1",
        "ssh_key_passphrase": "hunter3",
        "ssh_username": "me",
    },
}


def test_no_secret_is_left(empty_world: Path) -> None:
    full = default_config(config_data=CONFIG)
    plain = without_secrets(full)
    assert "hunter" in str(full)
    assert "hunter" not in str(plain)
    hosts = resolve(plain).backend.hosts  # type: ignore[union-attr]
    assert [(host.address, host.port, host.username, host.password) for host in hosts] == [
        ("plain", None, "me", None),
        ("own", 7, "me", None),
    ]


def test_secrets_come_back_from_the_configuration_of_now(empty_world: Path) -> None:
    full = default_config(config_data=CONFIG)
    assert with_secrets(without_secrets(full), full) == full


def test_what_the_configuration_of_now_lacks_stays_open(empty_world: Path) -> None:
    plain = without_secrets(default_config(config_data=CONFIG))
    assert with_secrets(plain, {}) == plain
    assert with_secrets(plain, default_config(config_data={})) == plain
