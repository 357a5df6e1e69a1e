"""Which runtimes are images, and what their registries are told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from lithops.config import default_config, resolve
from lithops.config.runtime import (
    PASSWORD_VARIABLE,
    container_variables,
    is_image,
    registry_login,
    registry_of,
)
from lithops.config.secrets import with_secrets, without_secrets
from lithops.config.settings import StandaloneSettings
from lithops.errors import ConfigError


@pytest.mark.parametrize(
    "runtime", ["python", "python3", "python3.12", "/usr/bin/python3", "~/venv/bin/python", "./p"]
)
def test_interpreters(runtime: str) -> None:
    assert not is_image(runtime)


@pytest.mark.parametrize(
    "runtime", ["python:3.11", "python3:1", "ghcr.io/me/image", "me/image@sha256:12", "python3.11-slim"]
)
def test_images(runtime: str) -> None:
    assert is_image(runtime)


def test_the_registry_is_in_the_name() -> None:
    assert registry_of("ghcr.io/me/image:1") == "ghcr.io"
    assert registry_of("localhost/image") == "localhost"
    assert registry_of("host:5000/image") == "host:5000"
    assert registry_of("me/image") == registry_of("image") == "https://index.docker.io/v1/"


def standalone(**keys: Any) -> StandaloneSettings:
    return resolve({"standalone": keys}).standalone


def test_without_a_user_there_is_no_login() -> None:
    assert registry_login("image", standalone(), {PASSWORD_VARIABLE: "x"}) is None


def test_a_password_from_the_configuration_a_file_or_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("from a file\n")
    everywhere = standalone(docker_user="me", docker_password="here", docker_password_file=str(path))
    environ = {PASSWORD_VARIABLE: "from there"}
    passwords = []
    for settings in (
        everywhere,
        dataclasses.replace(everywhere, docker_password=None),
        standalone(docker_user="me"),
    ):
        login = registry_login("host:5000/image", settings, environ)
        assert login is not None
        assert (login["serveraddress"], login["username"]) == ("host:5000", "me")
        passwords.append(login["password"])
    assert passwords == ["here", "from a file", "from there"]


def test_a_user_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=PASSWORD_VARIABLE):
        registry_login("image", standalone(docker_user="me"), {})
    with pytest.raises(ConfigError, match="can't be read"):
        registry_login("image", standalone(docker_user="me", docker_password_file=str(tmp_path / "none")), {})


@pytest.mark.parametrize("section", ["standalone", "vm", "localhost"])
def test_the_password_is_never_written_down(section: str) -> None:
    config = {
        "lithops": {"backend": "localhost"},
        section: {"docker_user": "me", "docker_password": "sesame"},
    }
    if section == "vm":
        config = {"lithops": {"backend": "vm"}, "vm": {"ip_address": "h", **config["vm"]}}
    full = default_config(config_data=config)
    assert "sesame" not in repr(resolve(full))
    kept = without_secrets(full)
    assert "sesame" not in repr(kept)
    assert "sesame" in repr(with_secrets(kept, full))


def test_variables_of_a_container_are_text_or_those_of_the_script(empty_world: Path) -> None:
    given = standalone(docker_env={"A": "x", "N": 2, "TOKEN": None}).docker_env
    assert container_variables(given, {"TOKEN": "sesame", "A": "other"}) == {
        "A": "x",
        "N": "2",
        "TOKEN": "sesame",
    }
    with pytest.raises(ConfigError, match=r"docker_env has no value for TOKEN.*export it"):
        container_variables(given, {})


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"A": True}, r"docker_env\.A: must be text or a number, not true or false: put it in quotes"),
        ({"A": ["sesame"]}, r"docker_env\.A: must be text or a number, not a list"),
        ({"A": "sesame\0"}, r"docker_env\.A: holds a NUL"),
        ({"A B": "sesame"}, r"docker_env: 'A B' can't be the name"),
        ({"": "sesame"}, r"docker_env: '' can't be the name"),
        ({3: "sesame"}, r"docker_env: '3' can't be the name"),
        (["A=sesame"], r"docker_env: must be a section of variables.*not a list"),
        ("A=sesame", r"docker_env: must be a section of variables"),
    ],
)
def test_variables_that_are_none(empty_world: Path, variables: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        default_config(config_data={"standalone": {"docker_env": variables}})
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize("section", ["standalone", "localhost"])
def test_variables_of_a_container_are_never_written_down(empty_world: Path, section: str) -> None:
    config = {"lithops": {"backend": "localhost"}, section: {"docker_env": {"A": "sesame"}}}
    full = default_config(config_data=config)
    assert "sesame" not in repr(resolve(full))
    assert "sesame" not in repr(without_secrets(full))
    assert resolve(without_secrets(full)).standalone.docker_env == {}
    assert resolve(with_secrets(without_secrets(full), full)).standalone.docker_env == {"A": "sesame"}


def test_an_image_is_the_runtime_of_either_backend() -> None:
    local = resolve({"lithops": {"backend": "localhost"}, "localhost": {"runtime": "me/image"}})
    assert (local.image, local.runtime) == ("me/image", "me/image")
    there = resolve({"lithops": {"backend": "vm"}, "vm": {"ip_address": "h", "runtime": "me/image"}})
    assert (there.image, there.runtime) == ("me/image", "me/image")
    plain = resolve({"lithops": {"backend": "localhost"}})
    assert plain.image is None


def test_an_image_has_its_own_packages(empty_world: Path) -> None:
    config = {"lithops": {"backend": "vm"}, "vm": {"ip_address": "h"}}
    standalone = {"runtime": "registry/image:1", "requirements": ["six"]}
    with pytest.raises(
        ConfigError, match=r"requirements: contradicts standalone\.runtime, the image registry/image:1"
    ):
        resolve({**config, "standalone": standalone})
