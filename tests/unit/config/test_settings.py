"""The typed view."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lithops.config import HostSettings, LocalhostSettings, VmSettings, default_config, resolve
from lithops.errors import ConfigError


def test_nothing_configured() -> None:
    settings = resolve(default_config())
    assert (settings.mode, settings.backend_name) == ("localhost", "localhost")
    assert settings.backend == LocalhostSettings(interpreter=sys.executable, worker_processes=None)
    assert settings.runtime == sys.executable
    assert settings == resolve({})


def test_numbers_and_levels_are_in_the_units_of_the_program() -> None:
    lithops = resolve({"lithops": {"data_limit": 0.5, "log_level": "debug", "log_filename": "~/log"}}).lithops
    assert (lithops.data_limit, lithops.log_level) == (512 * 1024, 10)
    assert lithops.log_filename is not None
    assert lithops.log_filename.endswith("/home/log")
    lithops = resolve({"lithops": {"data_limit": False, "log_level": None, "include_modules": None}}).lithops
    assert (lithops.data_limit, lithops.log_level, lithops.include_modules) == (None, None, None)


def test_what_holds_for_all_hosts_is_in_each(empty_world: Path) -> None:
    settings = resolve(
        {
            "lithops": {"backend": "vm"},
            "standalone": {"runtime": "python3.12"},
            "vm": {
                "hosts": ["a", "me@b:1", {"address": "c", "key": "~/c", "processes": 2, "password": "own"}],
                "ssh_user": "all",
                "ssh_port": 22,
                "ssh_key_filename": "~/k",
                "ssh_password": "hunter2",
                "ssh_key_passphrase": "hunter3",
                "worker_processes": 8,
                "known_hosts": "~/kh",
                "max_workers": 2,
            },
        }
    )
    home = str(empty_world / "home")
    assert isinstance(settings.backend, VmSettings)
    common = {"password": "hunter2", "key_passphrase": "hunter3"}
    assert settings.backend.hosts == (
        HostSettings(
            name="a", address="a", username="all", port=22, key_filename=f"{home}/k", processes=8, **common
        ),
        HostSettings(
            name="b", address="b", username="me", port=1, key_filename=f"{home}/k", processes=8, **common
        ),
        HostSettings(
            name="c",
            address="c",
            username="all",
            port=22,
            key_filename=f"{home}/c",
            processes=2,
            password="own",
            key_passphrase="hunter3",
        ),
    )
    assert (settings.backend.known_hosts, settings.backend.max_workers) == (f"{home}/kh", 2)
    assert settings.runtime == "python3.12"
    assert "hunter" not in repr(settings)


def test_one_address(empty_world: Path) -> None:
    backend = resolve({"lithops": {"backend": "vm"}, "vm": {"ip_address": "me@h:2"}}).backend
    assert isinstance(backend, VmSettings)
    assert backend.hosts == (HostSettings(name="h", address="h", username="me", port=2),)
    assert backend.known_hosts is None


def test_an_inventory(empty_world: Path) -> None:
    (empty_world / "home/inventory").write_text("[web]\nweb[1:2] ansible_user=deb\n")
    backend = resolve({"lithops": {"backend": "vm"}, "vm": {"hosts": "~/inventory"}}).backend
    assert isinstance(backend, VmSettings)
    assert [(host.name, host.username) for host in backend.hosts] == [("web1", "deb"), ("web2", "deb")]


def test_one_can_own_every_process_while_the_others_are_limited() -> None:
    config = {
        "lithops": {"backend": "vm"},
        "vm": {"hosts": [{"address": "a", "processes": "AUTO"}, "b"], "worker_processes": 2},
    }
    backend = resolve(config).backend
    assert isinstance(backend, VmSettings)
    assert [host.processes for host in backend.hosts] == [None, 2]


def test_a_wrong_configuration_is_refused_here_too() -> None:
    with pytest.raises(ConfigError, match=r"vm\.ssh_port"):
        resolve({"lithops": {"backend": "vm"}, "vm": {"ip_address": "a", "ssh_port": 0}})
