"""What the calls of a job see, for a shell: the interpreter, the environment, the folder and the modules.

It is given as files in the folder of the job, which a container has, too. ``sh enter COMMAND`` runs a
command as a call of the job would be, and without a command a shell. So no variable of the job, which may be
a secret, is ever part of a command line.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_ENTER = """\
. {env}
cd {cwd} 2> /dev/null || cd {home}
if [ $# -gt 0 ]; then exec "$@"; fi
case "${{SHELL##*/}}" in
    bash | sh | "") if command -v bash > /dev/null; then exec bash --rcfile {rc} -i; fi ;;
esac
export PS1="({job}) $ "
exec "${{SHELL:-/bin/sh}}" -i
"""
_RC = """\
if [ -f ~/.bashrc ]; then . ~/.bashrc; fi
. {env}
PS1="({job}) $PS1"
"""


class Surroundings(NamedTuple):
    """Of a worker: ``python`` is its interpreter (None: the one of the container), ``path`` goes in front of
    its module path, ``cwd`` is its folder, and ``home`` where it is instead when that is not there."""

    job: str
    python: str | None
    env: Mapping[str, str]
    path: Sequence[str]
    cwd: str
    home: str


def write_entrance(folder: Path, found: Surroundings) -> Path:
    """Write the files; the path of ``enter``. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    env, rc, enter = folder / "env", folder / "rc", folder / "enter"
    names = {"env": shlex.quote(str(env)), "rc": shlex.quote(str(rc)), "job": found.job}
    places = {"cwd": shlex.quote(found.cwd), "home": shlex.quote(found.home)}
    _write(env, exports(found, folder / "bin"))
    _write(rc, _RC.format(**names))
    _write(enter, _ENTER.format(**names, **places))
    if found.python is not None:
        (folder / "bin").mkdir(mode=0o700, exist_ok=True)
        for name in ("python", "python3"):
            _write(folder / "bin" / name, f'#!/bin/sh\nexec {shlex.quote(found.python)} "$@"\n', 0o700)
    return enter


def exports(found: Surroundings, programs: Path) -> str:
    """The environment as lines of a shell; ``programs`` comes first on its search path."""
    variables = {**found.env, "PYTHONPATH": ":".join(found.path)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if _is_name(name)]
    if found.python is not None:
        # Only once, however often it is read.
        first = shlex.quote(str(programs))
        lines.append(f'case "$PATH" in {first}:*) ;; *) export PATH={first}:"$PATH" ;; esac')
    return "\n".join(lines) + "\n"


def _is_name(name: str) -> bool:
    """Whether a shell can export a variable of this name; the others a shell could not show either."""
    return name.isidentifier() and name.isascii()


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
