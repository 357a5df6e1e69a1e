"""Deletes files that nobody needs: of an agent that was killed, and of jobs that are gone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container, Iterable
from pathlib import Path


def delete_leftovers(folder: Path, files_of: Callable[[int], set[str]], jobs: Container[int]) -> None:
    """Delete what an agent had begun to write, or to delete, when it was killed.

    ``folder`` is the journal's, ``jobs`` the rows of the jobs that there are, and ``files_of`` tells the
    files of one of them.
    """
    for path in (folder / "jobs").iterdir():
        if not path.name.isdigit() or int(path.name) not in jobs:
            shutil.rmtree(path, ignore_errors=True)
            continue
        wanted = {os.path.basename(file) for file in files_of(int(path.name))}
        for file in path.iterdir():
            if file.name not in wanted:
                unlink(str(file))
    for name in ("blobs", "modules"):
        for path in (folder / name).iterdir():
            if "." in path.name:  # A temporary name.
                delete(path)
    for path in (folder / "logs").iterdir():
        unlink(str(path))


def delete_unused(folder: Path, used: Container[str], older_than: float) -> None:
    """Delete what is not used and was there before an instant."""
    for path in folder.iterdir():
        if path.name not in used and _modified_before(path, older_than):
            delete(path)


def _modified_before(path: Path, instant: float) -> bool:
    try:
        return path.stat().st_mtime < instant
    except FileNotFoundError:
        return False  # It was received completely at this moment, and has its final name now.


def delete(path: Path) -> None:
    """Delete a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        unlink(str(path))


def unlink(path: str) -> None:
    """Delete a file, if that is possible; nothing depends on it."""
    try:
        os.unlink(path)
    except OSError:
        pass  # It was deleted before, or goes at the next start.


def unlink_all(paths: Iterable[str]) -> None:
    """Delete files as `unlink` does."""
    for path in paths:
        unlink(path)
