"""The control groups of a host: to end all of its processes at once, and to limit its memory."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from .machine import cgroup2_mount, memory_cgroup1_mount, mounts

PARENT = "lithops-testbed"


class Cgroup:
    """The groups that one host's processes live in."""

    def __init__(self, run_id: str, host: str, memory: int | None) -> None:
        """Make the groups; ``memory`` is the limit in bytes."""
        root = cgroup2_mount()
        assert root is not None, "machine.require() was not called"
        self.path = root / PARENT / run_id / host
        self.path.mkdir(parents=True, exist_ok=True)
        self._memory_path: Path | None = None
        if memory is not None:
            self._memory_path = self._limit_memory(root, run_id, host, memory)

    def _limit_memory(self, root: Path, run_id: str, host: str, limit: int) -> Path:
        legacy = memory_cgroup1_mount()
        if legacy:
            path = legacy / PARENT / run_id / host
            path.mkdir(parents=True, exist_ok=True)
            (path / "memory.use_hierarchy").write_text("1")
            (path / "memory.limit_in_bytes").write_text(str(limit))
            return path
        for parent in (root, root / PARENT, root / PARENT / run_id):
            (parent / "cgroup.subtree_control").write_text("+memory")
        (self.path / "memory.max").write_text(str(limit))
        return self.path

    def join_files(self) -> list[Path]:
        """The files that a process writes its pid to, to join."""
        paths = {self.path, self._memory_path or self.path}
        return [path / "cgroup.procs" for path in sorted(paths)]

    def kill(self, timeout: float = 10) -> None:
        """End all processes at once, and wait until they are gone."""
        kill_tree(self.path, timeout)

    def oom_kills(self) -> int:
        """How many processes the kernel has killed here for want of memory."""
        if self._memory_path is None:
            return 0
        legacy = self._memory_path / "memory.oom_control"
        table = legacy if legacy.exists() else self._memory_path / "memory.events"
        counts = dict(line.split() for line in table.read_text().splitlines())
        return int(counts.get("oom_kill", 0))

    def remove(self) -> None:
        """Remove the groups, which must be empty."""
        for path in filter(None, (self.path, self._memory_path)):
            remove_tree(path)


def kill_tree(path: Path, timeout: float = 10) -> None:
    """Kill every process of the group and of the groups below it; wait until all are gone.

    Raises:
        TimeoutError: some process was still there after ``timeout`` seconds.
    """
    if not path.exists():
        return
    (path / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + timeout
    while "populated 1" in (path / "cgroup.events").read_text():
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of {path} outlive SIGKILL")
        time.sleep(0.005)


def remove_tree(path: Path) -> None:
    """Remove an empty group and the groups below it."""
    if not path.is_dir():
        return
    for child in sorted((p for p in path.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts)):
        with contextlib.suppress(OSError):
            child.rmdir()
    with contextlib.suppress(OSError):
        path.rmdir()


def trees_of(run_id: str) -> list[Path]:
    """The groups of a run in every hierarchy, to be removed after it.

    Nspawn makes some on its own: on a machine with both versions, it mirrors them in systemd's old one.
    """
    roots = [Path(target) for target, kind, _ in mounts() if kind in ("cgroup", "cgroup2")]
    return [root / PARENT / run_id for root in roots if (root / PARENT / run_id).is_dir()]
