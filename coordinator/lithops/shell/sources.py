"""Which source files of this machine belong to a pickled function, for a debugger where they are not."""

from __future__ import annotations

import os
import pickletools
from collections.abc import Iterable, Mapping

_LARGEST = 4 * 1024 * 1024


def source_files(pickled: bytes) -> set[str]:
    """The paths of files of this machine that a pickle names, as the code in it does. It is not opened."""
    named = set()
    try:
        for _, argument, _ in pickletools.genops(pickled):
            if isinstance(argument, str) and os.path.isabs(argument) and os.path.isfile(argument):
                named.add(argument)
    except ValueError:
        pass  # It is cut off, or of a newer Python: what was found so far is right.
    return named


def read_sources(paths: Iterable[str]) -> dict[str, str]:
    """The texts of source files, as far as they can be read."""
    sources = {}
    for path in sorted(paths):
        try:
            if os.path.getsize(path) <= _LARGEST:
                with open(path, encoding="utf-8") as file:
                    sources[path] = file.read()
        except (OSError, UnicodeDecodeError):
            continue  # The debugger then shows no lines of it.
    return sources


def changed_since(sources: Mapping[str, str], moment: float) -> list[str]:
    """Those files that were changed after a moment: their lines may not be those that ran."""
    return [path for path in sources if _changed_at(path) > moment]


def _changed_at(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
