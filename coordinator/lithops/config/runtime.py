"""What the setting `runtime` names, an interpreter of the host or a Docker image; and its registry."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lithops.errors import ConfigError

if TYPE_CHECKING:
    from lithops.config.settings import StandaloneSettings

_INTERPRETER = re.compile(r"python(3(\.\d+)?)?|[/~.].*")
PASSWORD_VARIABLE = "LITHOPS_DOCKER_PASSWORD"


def is_image(runtime: str) -> bool:
    """Whether it is none of `python`, `python3`, `python3.X` and a path, which name interpreters."""
    return _INTERPRETER.fullmatch(runtime) is None


def registry_of(image: str) -> str:
    """The registry in the name of an image; Docker Hub when it names none."""
    first, slash, _ = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if is_host else "https://index.docker.io/v1/"


def registry_login(
    image: str, standalone: StandaloneSettings, environ: Mapping[str, str] = os.environ
) -> dict[str, str] | None:
    """What the registry of an image wants to know; None when no login is configured.

    Raises:
        ConfigError: there is a user and no password, or the file of the password can't be read.
    """
    if standalone.docker_user is None:
        return None
    password = standalone.docker_password or _from_file(standalone.docker_password_file)
    password = password or environ.get(PASSWORD_VARIABLE)
    if not password:
        raise ConfigError(
            "standalone.docker_user has no password: set docker_password, docker_password_file or the "
            f"variable {PASSWORD_VARIABLE}"
        )
    server = standalone.docker_server or registry_of(image)
    return {"serveraddress": server, "username": standalone.docker_user, "password": password}


def container_variables(
    variables: Mapping[str, str | None], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Variables for a container, those without a value as the script has them.

    Raises:
        ConfigError: the script does not have one either.
    """
    missing = [name for name, value in variables.items() if value is None and name not in environ]
    if missing:
        names = ", ".join(missing)
        raise ConfigError(
            f"standalone.docker_env has no value for {names}, and the environment of the script has none: "
            "write one, or export it"
        )
    return {name: environ[name] if value is None else value for name, value in variables.items()}


def _from_file(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"standalone.docker_password_file: {path} can't be read: {exc}") from exc
