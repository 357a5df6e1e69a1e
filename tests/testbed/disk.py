"""The disk of a host: what it writes lies in a layer of its own over a base image."""

from __future__ import annotations

import shutil
from pathlib import Path

from .commands import run
from .machine import mounts


class Disk:
    """An overlay of a base image, and maybe a small file system for the homes."""

    def __init__(self, image: Path, folder: Path, home_size: str | None) -> None:
        """Prepare a disk in ``folder``; ``home_size``, such as '64M', limits what /home can hold."""
        self._image = image
        self._folder = folder
        self.home_size = home_size
        self.root = folder / "root"
        self.home = folder / "home"

    def mount(self) -> None:
        """Mount the disk, which is pristine unless something was written to it before."""
        layers = {name: self._folder / name for name in ("upper", "work")}
        for path in (*layers.values(), self.root):
            path.mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={self._image},upperdir={layers['upper']},workdir={layers['work']}"
        run("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))
        if self.home_size:
            self.home.mkdir(exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", f"size={self.home_size},mode=755", "tmpfs", str(self.home))
            run("cp", "-a", f"{self.root}/home/.", str(self.home))

    def binds(self) -> list[str]:
        """The options that make systemd-nspawn mount what the overlay itself does not hold."""
        return [f"--bind={self.home}:/home"] if self.home_size else []

    def wipe(self) -> None:
        """Forget all that was written; the disk must not be in use, and is not mounted afterwards."""
        unmount_below(self._folder)
        for name in ("upper", "work", "home"):
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def hold(self, path: str) -> Path:
        """Where this machine finds the file that the host knows by the absolute ``path``."""
        return self.root / path.lstrip("/")


def unmount_below(folder: Path) -> None:
    """Unmount everything that is mounted below ``folder``, the innermost first."""
    below = [target for target, _, _ in mounts() if target.startswith(f"{folder}/")]
    for target in sorted(below, key=len, reverse=True):
        # Lazily, since a process that is about to end may still hold it.
        run("umount", "--lazy", target, check=False)
