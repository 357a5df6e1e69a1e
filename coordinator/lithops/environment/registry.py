"""Which registries are asked: those of uv's configuration, else those that pip is configured with here."""

from __future__ import annotations

import configparser
import os
import sys
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path

_PIP_TO_UV = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "no-index": ("UV_NO_INDEX", " "),
}
"""What an option of pip is called in the environment of uv, and what separates several values there."""
_CHOOSES_REGISTRY = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_CONFIG_FILE")


def uv_environment(environ: Mapping[str, str], pip: Mapping[str, str]) -> dict[str, str]:
    """The environment that uv runs in: ``pip`` (its options) fills in what is not set for uv itself. Pure.

    Registries may have a password in their URL, so they never go on a command line.
    """
    result = dict(environ)
    if any(environ.get(name) for name in _CHOOSES_REGISTRY):
        return result
    for option, (name, separator) in _PIP_TO_UV.items():
        value = pip.get(option, "").split()
        if value and not environ.get(name):
            result[name] = separator.join(value)
    if "UV_INDEX" in result:
        # As pip does; uv alone takes a package from the first registry that has any version of it.
        result.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return result


def pip_options(environ: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """The options that pip has from its files, the later before the earlier, and from ``PIP_…`` variables."""
    options: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue  # pip says so itself when it is used.
        for section in ("global", "install"):
            if parser.has_section(section):
                options.update(parser.items(section))
    for option in _PIP_TO_UV:
        value = environ.get(f"PIP_{option.replace('-', '_').upper()}")
        if value:
            options[option] = value
    return options


def pip_files(environ: Mapping[str, str]) -> list[Path]:
    """Where pip reads its configuration on Linux, the most general file first."""
    home = Path(os.path.expanduser("~"))
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    shared = [Path(each) for each in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")]
    named = environ.get("PIP_CONFIG_FILE")
    return [
        *(each / "pip" / "pip.conf" for each in reversed(shared)),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        own / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
        *([Path(named)] if named else []),
    ]


def login_for(url: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password for a file of a registry, when the registry's own URL has them. Pure."""
    host = urllib.parse.urlsplit(url).hostname
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        for each in environment.get(name, "").split():
            # An index of uv may have a name: `name=https://…`.
            parts = urllib.parse.urlsplit(each[each.find("=http") + 1 :] if "=http" in each else each)
            if parts.hostname == host and parts.username:
                return urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
    return None


def environment_here() -> dict[str, str]:
    """The environment for uv on this machine."""
    pip = pip_options(os.environ, pip_files(os.environ))
    return uv_environment(os.environ, pip)
