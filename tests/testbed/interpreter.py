"""Other Pythons for a host: copies of the interpreters that pyenv built on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .commands import CommandFailed, run

LEFT_OUT = shutil.ignore_patterns(
    "test", "tests", "idlelib", "turtledemo", "__pycache__", "*.a", "site-packages"
)
_PROBE = "import ssl, sqlite3, ctypes, zlib"


def interpreters() -> dict[str, Path]:
    """The installed interpreters of this machine's pyenv, by version such as '3.12.1'."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return {path.name: path for path in sorted(root.glob("*.*.*")) if (path / "bin" / "python3").exists()}


def copy_interpreter(version: str, root: Path) -> str:
    """Copy the interpreter with this version (or its newest patch release) into the tree at ``root``.

    It lies where `make altinstall` would put it: its libraries in /usr/local/lib, known to ldconfig.

    Returns:
        Its path inside the tree, in /usr/local/bin.

    Raises:
        LookupError: this machine has no such interpreter, or its C library is too old for it.
    """
    found = [path for name, path in interpreters().items() if f"{name}.".startswith(f"{version}.")]
    if not found:
        raise LookupError(f"this machine has no Python {version}; it has {', '.join(interpreters())}")
    source = found[-1]
    short = ".".join(source.name.split(".")[:2])
    local = root / "usr" / "local"
    library = f"lib/python{short}"
    shutil.copytree(source / library, local / library, symlinks=True, ignore=LEFT_OUT, dirs_exist_ok=True)
    for shared in (source / "lib").glob("libpython*.so*"):
        shutil.copy2(shared, local / "lib", follow_symlinks=False)
    shutil.copy2(source / "bin" / f"python{short}", local / "bin")
    path = f"/usr/local/bin/python{short}"
    try:
        run("chroot", str(root), "/sbin/ldconfig")
        run("chroot", str(root), path, "-c", _PROBE)
    except CommandFailed as exc:
        (local / "bin" / f"python{short}").unlink()
        raise LookupError(f"Python {source.name} of this machine does not run on the host") from exc
    return path
