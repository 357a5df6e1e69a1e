"""Copy files and folders between a host and this machine, as `scp` does."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Optional

from lithops.errors import CopyError
from lithops.shell.files import Files, Found

_PIECE = 1 << 18


class Place(NamedTuple):
    """A path on a host, or on this machine (None)."""

    host: Optional[str]
    path: str


class Step(NamedTuple):
    """A file to be copied, or (``source`` None) a folder to be made."""

    source: Optional[str]
    target: str
    mode: int
    size: int


def place_of(text: str) -> Place:
    """Read ``HOST:PATH``, or a path of this machine; one with a colon in it is written with ``./``."""
    host, colon, path = text.partition(":")
    if not colon or not host or "/" in host:
        return Place(None, text)
    return Place(host, path)


def plan(sources: Sequence[str], source: Files, target: Files, into: str) -> Iterator[Step]:
    """What has to be done, one after the other. Raises CopyError."""
    there = target.look(into)
    is_folder = there is not None and there.is_folder
    if (len(sources) > 1 or into.endswith("/")) and not is_folder:
        raise CopyError(f"{target.where}{into} is not a folder, so it can't take these files")
    for path in sources:
        found = source.look(path)
        if found is None:
            raise CopyError(f"there is no {source.where}{path}")
        name = posixpath.basename(path.rstrip("/"))
        yield from _steps(source, path, found, target, posixpath.join(into, name) if is_folder else into)


def _steps(source: Files, path: str, found: Found, target: Files, into: str) -> Iterator[Step]:
    if not found.is_folder:
        if not found.is_file:
            raise CopyError(f"{source.where}{path} is neither a file nor a folder")
        yield Step(path, into, found.mode, found.size)
        return
    there = target.look(into)
    if there is None:
        yield Step(None, into, found.mode, 0)
    elif not there.is_folder:
        raise CopyError(f"{target.where}{into} is a file, and {source.where}{path} is a folder")
    for name in source.names(path):
        inner = posixpath.join(path, name)
        inside = source.look(inner)
        # A link that leads nowhere, a socket or a device in a folder is no reason not to copy the rest.
        if inside is not None and (inside.is_folder or inside.is_file):
            yield from _steps(source, inner, inside, target, posixpath.join(into, name))


def carry_out(step: Step, source: Files, target: Files, copied: Callable[[int], object]) -> None:
    """Do one step; ``copied`` is told of bytes that are there. Raises CopyError."""
    if step.source is None:
        target.make_folder(step.target)
        return
    try:
        with source.read(step.source, step.size) as reader, target.write(step.target, step.mode) as writer:
            while data := reader.read(_PIECE):
                writer.write(data)
                copied(len(data))
    except (OSError, EOFError) as exc:
        why = getattr(exc, "strerror", None) or str(exc) or "the connection broke"
        names = f"{source.where}{step.source} to {target.where}{step.target}"
        raise CopyError(f"can't copy {names}: {why}") from exc
