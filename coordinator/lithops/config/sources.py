"""Find the configuration. One source is taken; sources are not mixed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lithops.config.text import parse_json_text, parse_yaml_text
from lithops.errors import ConfigError

ENV_JSON = "LITHOPS_CONFIG"
ENV_FILE = "LITHOPS_CONFIG_FILE"
LOCAL_FILE = ".lithops_config"
USER_FILE = "~/.lithops/config"
SYSTEM_FILE = "/etc/lithops/config"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A configuration as it was written, and where."""

    name: str
    data: Mapping[Any, Any]


def load_yaml_config(config_filename: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a configuration file, without looking at what the keys mean; an empty file gives `{}`.

    Raises:
        ConfigError: there is no such file, or it is not a YAML mapping; says the line where it can.
    """
    path = os.path.expanduser(os.fspath(config_filename))
    try:
        with open(path, encoding="utf-8") as file:
            data = parse_yaml_text(file.read())
    except OSError as exc:
        raise ConfigError(f"{path}: can't read this configuration file: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this configuration file is no text in UTF-8") from None
    except ValueError as exc:
        raise ConfigError(f"{path}: {exc}") from None
    return _mapping(data, path)


def find_source(
    config_file: str | os.PathLike[str] | None = None,
    config_data: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> Source:
    """Take the first configuration there is, in the order that `docs/configuration.md` tells.

    An empty `config_data` counts as none, as in Lithops.
    """
    if config_data:
        return Source(name="config argument", data=_mapping(config_data, "config argument"))
    if config_file:
        return _from_file(config_file)
    if environ.get(ENV_JSON, "").strip():
        try:
            data = parse_json_text(environ[ENV_JSON])
        except ValueError as exc:
            raise ConfigError(f"{ENV_JSON}: no JSON: {exc}") from None
        return Source(name=ENV_JSON, data=_mapping(data, ENV_JSON))
    if environ.get(ENV_FILE, "").strip():
        return _from_file(environ[ENV_FILE])
    for candidate in (os.path.abspath(LOCAL_FILE), os.path.expanduser(USER_FILE), SYSTEM_FILE):
        if os.path.exists(candidate):
            return _from_file(candidate)
    return Source(name="defaults", data={})


def _from_file(path: str | os.PathLike[str]) -> Source:
    return Source(name=os.path.expanduser(os.fspath(path)), data=load_yaml_config(path))


def _mapping(data: Any, name: str) -> dict[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{name}: must be sections with keys, not a {type(data).__name__}")
    return dict(data)
