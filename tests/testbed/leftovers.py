"""Runs and their folders: who owns which, and the removal of what a killed owner left."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from .cgroup import kill_tree, remove_tree, trees_of
from .disk import unmount_below
from .network import remove_everything_named

RUNS = Path("/var/lib/lithops-testbed")
_OWNER = "owner.json"


def claim(run_id: str, bridge: str) -> Path:
    """Make the folder of a run that this process owns."""
    folder = RUNS / run_id
    folder.mkdir(parents=True, mode=0o755)
    owner = {"pid": os.getpid(), "born": _born(os.getpid()), "bridge": bridge}
    (folder / _OWNER).write_text(json.dumps(owner))
    return folder


def release(run_id: str, bridge: str) -> None:
    """Remove all that a run may still have on this machine; safe to call for a run that is gone."""
    folder = RUNS / run_id
    for tree in trees_of(run_id):
        if (tree / "cgroup.kill").exists():
            kill_tree(tree)
    remove_everything_named(bridge)
    unmount_below(folder)
    for tree in trees_of(run_id):
        remove_tree(tree)
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> list[str]:
    """Remove the runs whose owner is dead; return their ids."""
    removed = []
    for path in sorted(RUNS.glob(f"*/{_OWNER}")):
        owner = json.loads(path.read_text())
        if _born(owner["pid"]) != owner["born"]:
            release(path.parent.name, owner["bridge"])
            removed.append(path.parent.name)
    return removed


def _born(pid: int) -> str | None:
    """When the process began, in ticks since the boot: tells it from a later one with its pid."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
