"""A newcomer's machine: Debian with git, make and venv, and this machine's way to the package registries.

It is no host: no systemd, no sshd, and no network of its own, so that it reaches what this machine reaches.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .cgroup import Cgroup
from .commands import Completed, run
from .disk import Disk

CHECKOUT = "/checkout"
_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_FOLDERS = ("/etc/xdg/pip",)
_VARIABLES = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
# What these name lies on this machine's disk, which the newcomer does not see.
_LOCAL = ("PIP_FIND_LINKS", "PIP_CACHE_DIR", "PIP_CONSTRAINT", "PIP_CONFIG_FILE")


def newcomer(
    command: str, checkout: Path, *, tree: Path, folder: Path, run_id: str, user: str, timeout: float
) -> Completed:
    """Run a line of shell as ``user``, in its home, on a pristine machine where /checkout can be cloned.

    That is a read-only repository with what is committed in ``checkout``.

    Raises:
        CommandFailed: on a status other than 0, and after ``timeout`` seconds.
    """
    folder.mkdir()
    disk = Disk(tree, folder / "disk", None)
    cgroup = Cgroup(run_id, folder.name, None)
    try:
        disk.mount()
        _furnish(disk)
        repository = folder / "repository"
        run("git", "clone", "--quiet", "--bare", "--no-hardlinks", str(checkout.resolve()), str(repository))
        nspawn = [
            "systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--as-pid2", "--settings=no",
            "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe",
            f"--machine={folder.name}", f"--directory={disk.root}", f"--user={user}",
            f"--bind-ro={repository}:{CHECKOUT}",
            *(f"--setenv={name}={value}" for name, value in _environment().items()),
        ]  # fmt: skip
        join = f'echo $$ >{cgroup.join_files()[0]} && exec "$@"'
        inside = ["/bin/sh", "-c", f"cd ~ && {command}"]
        return run(
            "/bin/sh", "-c", join, "sh", *nspawn, *inside, timeout=timeout, shown=f"newcomer: {command}"
        )
    finally:
        cgroup.kill()
        disk.wipe()
        cgroup.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _furnish(disk: Disk) -> None:
    """Hand over how this machine finds and trusts the registries."""
    for name in filter(os.path.exists, _FILES):
        target = disk.hold(name)
        target.unlink(missing_ok=True)
        shutil.copy(name, target)
    for name in filter(os.path.isdir, _FOLDERS):
        shutil.copytree(name, disk.hold(name), dirs_exist_ok=True)
    # The repository belongs to another user there, which git refuses by default.
    disk.hold("/etc/gitconfig").write_text("[safe]\n\tdirectory = *\n")


def _environment() -> dict[str, str]:
    """The variables of this machine that say how registries are reached."""
    names = [
        name
        for name in os.environ
        if name.lower() in _PROXIES or (name.startswith(_VARIABLES) and name not in _LOCAL)
    ]
    return {name: os.environ[name] for name in names}
