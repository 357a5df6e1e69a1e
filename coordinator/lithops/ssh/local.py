"""The facts of this machine that targets are resolved with: the adapter of `lithops.ssh.target`."""

from __future__ import annotations

import getpass
import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from lithops.ssh.client_config import Options, Query, lookup
from lithops.ssh.target import Login

SYSTEM_CONFIG = "/etc/ssh/ssh_config"


def local_login(home: str | None = None) -> Login:
    """Who we are here, and a look-up in ``~/.ssh/config`` and ``/etc/ssh/ssh_config``."""
    home = home or os.path.expanduser("~")
    user = getpass.getuser()
    sources = [(f"{home}/.ssh", Path(home, ".ssh/config")), ("/etc/ssh", Path(SYSTEM_CONFIG))]
    texts = [(folder, text) for folder, path in sources if (text := _read(path))]

    def look_up(host: str, wanted_user: str | None) -> Options:
        query = Query(host, wanted_user, user)
        merged: dict[str, tuple[str, ...]] = {}
        for folder, text in texts:
            for key, values in lookup(text, query, _includes(folder, home)).items():
                merged.setdefault(key, values)
        return merged

    return Login(user=user, home=home, lookup=look_up, environ=dict(os.environ))


def _includes(folder: str, home: str) -> Callable[[str], Sequence[str]]:
    def read(pattern: str) -> Sequence[str]:
        if pattern.startswith("~/"):
            pattern = home + pattern[1:]
        found = sorted(glob.glob(os.path.join(folder, pattern)))
        return [text for path in found if (text := _read(Path(path)))]

    return read


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        # Not there, or not readable for us: ssh goes on without it, and so do we.
        return None
