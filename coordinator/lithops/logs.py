"""Where the messages of this library go. Only the logger ``lithops`` is touched, never the root."""

from __future__ import annotations

import logging
from typing import IO, Optional, Union

FORMAT = "%(asctime)s [%(levelname)s] %(name)s -- %(message)s"
STREAM = "ext://sys.stderr"
_OFF = logging.CRITICAL + 1

logger = logging.getLogger("lithops")


class _Ours(logging.Handler):
    """Marks what was set up here, so that it can be replaced."""


class _StreamHandler(_Ours, logging.StreamHandler):  # type: ignore[type-arg]
    pass


class _FileHandler(_Ours, logging.FileHandler):
    pass


def is_set_up() -> bool:
    """Whether the program, or an earlier executor, has decided about these messages already."""
    root = logging.getLogger()
    return bool(logger.handlers) or logger.level != logging.NOTSET or root.level != logging.WARNING


def set_up(
    level: Union[int, str, None],
    log_format: str = FORMAT,
    stream: str = STREAM,
    filename: Optional[str] = None,
) -> None:
    """Show messages from ``level`` on, on a stream or in a file; None: show none.

    ``stream`` is ``ext://`` and the path of an object, as in `logging.config`. Only what was set up
    here before is replaced.

    Raises:
        ValueError: there is no such level or stream.
    """
    for handler in [handler for handler in logger.handlers if isinstance(handler, _Ours)]:
        logger.removeHandler(handler)
        handler.close()
    if level is None:
        logger.setLevel(_OFF)
        return
    number = _level(level)
    handler = _FileHandler(filename) if filename else _StreamHandler(_stream(stream))
    handler.setFormatter(logging.Formatter(log_format))
    logger.addHandler(handler)
    logger.setLevel(number)
    logger.propagate = False


def _level(level: Union[int, str]) -> int:
    number = level if isinstance(level, int) else logging.getLevelName(level.upper())
    if not isinstance(number, int):
        raise ValueError(f"log_level: there is no level {level!r}")
    return number


def _stream(name: str) -> IO[str]:
    import importlib

    path = name.removeprefix("ext://")
    module, _, attribute = path.rpartition(".")
    try:
        found: IO[str] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise ValueError(f"log_stream: there is no stream {name!r}") from None
    return found
