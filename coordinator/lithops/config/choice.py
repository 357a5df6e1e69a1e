"""Decide where functions run: the mode and the backend, from what files and arguments say."""

from __future__ import annotations

from dataclasses import dataclass

from lithops.config.kinds import Problem
from lithops.config.names import (
    BACKENDS,
    LOCALHOST,
    STANDALONE,
    STANDALONE_BACKENDS,
    SUPPORTED_BACKENDS,
    mode_of,
)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What one source says."""

    mode: str | None = None
    backend: str | None = None
    standalone_backend: str | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Where functions run."""

    mode: str
    backend: str


def choose(written: Wish, arguments: Wish) -> Choice | Problem:
    """Decide between a configuration and the arguments, which win, of an executor.

    A backend that is named decides the mode; a mode alone takes the backend that the configuration
    names for it.
    """
    asked = arguments.mode or arguments.backend or arguments.standalone_backend
    conflict = _conflict(arguments) or (None if asked else _conflict(written))
    if conflict:
        return conflict
    if arguments.backend:
        return _supported(mode_of(arguments.backend), arguments.backend, "lithops.backend")
    named = arguments.standalone_backend or written.standalone_backend
    if not arguments.mode:
        if arguments.standalone_backend:
            return _supported(STANDALONE, arguments.standalone_backend, "standalone.backend")
        if written.backend:
            return _supported(mode_of(written.backend), written.backend, "lithops.backend")
    mode = arguments.mode or written.mode or (STANDALONE if named else LOCALHOST)
    if written.backend and mode_of(written.backend) == mode and not arguments.standalone_backend:
        return _supported(mode, written.backend, "lithops.backend")
    if mode == STANDALONE and named:
        return _supported(mode, named, "standalone.backend")
    default = next(group.default for group in BACKENDS if group.mode == mode)
    return _supported(mode, default, "standalone.backend" if mode == STANDALONE else "lithops.mode")


def _conflict(wish: Wish) -> Problem | None:
    if wish.mode and wish.backend and mode_of(wish.backend) != wish.mode:
        text = (
            f"`{wish.mode}` contradicts lithops.backend `{wish.backend}`, which is `{mode_of(wish.backend)}`"
        )
        return Problem(path="lithops.mode", text=text)
    if not wish.backend or not wish.standalone_backend or wish.backend == wish.standalone_backend:
        return None
    if mode_of(wish.backend) != STANDALONE:
        return None
    text = f"`{wish.standalone_backend}` contradicts lithops.backend `{wish.backend}`: keep one of them"
    return Problem(path="standalone.backend", text=text)


def _supported(mode: str, backend: str, path: str) -> Choice | Problem:
    if backend in SUPPORTED_BACKENDS:
        return Choice(mode=mode, backend=backend)
    if path == "lithops.mode":
        what, there = f"the mode `{mode}`", _listed((LOCALHOST, STANDALONE))
    elif path == "standalone.backend":
        what, there = f"`{backend}`", _listed(STANDALONE_BACKENDS.supported)
        if backend == STANDALONE_BACKENDS.default:
            what += f", which the mode `{STANDALONE}` means when no other backend is named"
    else:
        what, there = f"`{backend}`", _listed(SUPPORTED_BACKENDS)
    return Problem(path=path, text=f"not supported yet: {what}; what is: {there}", not_yet=True)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
