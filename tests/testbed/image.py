"""Base images: Debian trees that are made once by debootstrap and shared, read-only, by all hosts."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .commands import run
from .machine import TestbedUnavailable, debian_mirror, require

CACHE = Path("/var/cache/lithops-testbed")
PROVISION = Path(__file__).with_name("provision.sh")
PROVISION_CLOUD = Path(__file__).with_name("provision-cloud.sh")
BUILD_TIMEOUT = 1200
_HOST_PACKAGES = (
    "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,"
    "openssh-server,openssh-client,python3,sudo,iproute2"
)


@dataclass(frozen=True, kw_only=True)
class Image:
    """The recipe of a base image."""

    name: str
    release: str
    packages: str = _HOST_PACKAGES
    scripts: tuple[Path, ...] = (PROVISION,)
    """Run inside the tree, one after the other."""

    @property
    def path(self) -> Path:
        """The folder of the finished image; another recipe has another folder."""
        recipe = "\n".join([self.release, self.packages, *(path.read_text() for path in self.scripts)])
        return CACHE / f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


IMAGES = {
    image.name: image
    for image in (
        Image(name="bookworm", release="bookworm"),
        Image(name="trixie", release="trixie"),
        Image(name="bullseye", release="bullseye"),
        Image(
            name="engine",
            release="bookworm",
            packages=f"{_HOST_PACKAGES},docker.io,docker-registry,ca-certificates",
        ),
        Image(
            name="cloud",
            release="bookworm",
            # debootstrap finds no package by what it provides, as cloud-init's needs name the last one.
            packages=f"{_HOST_PACKAGES},cloud-init,python3-cffi-backend",
            scripts=(PROVISION, PROVISION_CLOUD),
        ),
        Image(
            name="newcomer",
            release="bookworm",
            packages=f"{_HOST_PACKAGES},git,make,python3-venv,ca-certificates",
        ),
    )
}


def ensure(name: str, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Return the tree of the image ``name``; build it first when it is not in the cache.

    Several processes may ask at once: one builds, the others wait for it.

    Raises:
        TestbedUnavailable: there is no such image, or a tool to build it is missing.
        CommandFailed: debootstrap or the provisioning failed.
    """
    if name not in IMAGES:
        raise TestbedUnavailable(f"no image {name!r}", f"Choose one of: {', '.join(IMAGES)}.")
    image = IMAGES[name]
    if image.path.is_dir():
        return image.path
    require()
    CACHE.mkdir(parents=True, exist_ok=True, mode=0o755)
    with _locked(CACHE / f"{image.name}.lock"):
        if not image.path.is_dir():
            _remove_old(image)
            _build(image, progress)
    return image.path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_old(image: Image) -> None:
    """Remove what an interrupted build left; finished images of older recipes may be in use and stay."""
    for path in CACHE.glob(f"{image.name}-*.partial"):
        shutil.rmtree(path)


def _build(image: Image, progress: Callable[[str], None]) -> None:
    partial = image.path.with_name(f"{image.path.name}.partial")
    mirror = debian_mirror()
    progress(f"{image.name}: debootstrap {image.release} (about a minute)")
    # A cache that a power cut ruins is built again: no need to wait for the disk at each file.
    env = {**os.environ, "DPKG_FORCE": "unsafe-io", "LC_ALL": "C.UTF-8"}
    run(
        "debootstrap", "--variant=minbase", f"--include={image.packages}",
        f"--keyring={mirror.keyring}", image.release, str(partial), mirror.url,
        timeout=BUILD_TIMEOUT, env=env,
    )  # fmt: skip
    progress(f"{image.name}: provisioning")
    for script in image.scripts:
        run("chroot", str(partial), "/bin/sh", input=script.read_text(), timeout=120, env=env)
    partial.rename(image.path)


def clean_cache() -> None:
    """Remove every base image; the next bed builds what it needs."""
    shutil.rmtree(CACHE, ignore_errors=True)
