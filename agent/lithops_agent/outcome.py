"""How a call ended, as its worker pickles it: what the function returned, or an account of its exception.

Only the standard library and cloudpickle are imported here: workers import this file in the user's
interpreter.
"""

from __future__ import annotations

import pickle
import traceback
from typing import Any

_FAST_TYPES = frozenset((int, float, str, bytes, bool, type(None), complex, bytearray))


class BadResult(Exception):
    """The function returned something that can't be pickled."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.reason = reason


def dump(result: Any) -> bytes:
    """A pickled result. Raises BadResult."""
    if type(result) in _FAST_TYPES:
        return pickle.dumps(result, protocol=5)
    import cloudpickle

    try:
        return cloudpickle.dumps(result, protocol=5)  # type: ignore[no-any-return]
    except Exception as exc:
        raise BadResult(exc) from exc


def describe(exc: BaseException, skip: int = 1) -> bytes:
    """A pickled account of an exception: its type, message and traceback as text, and itself.

    ``skip`` frames, those of the worker, are left out at the start of the traceback.
    """
    import cloudpickle

    frames = exc.__traceback__
    for _ in range(skip):
        frames = frames.tb_next if frames is not None and frames.tb_next is not None else frames
    text = "".join(_format(exc, frames))
    try:
        message = str(exc)
    except Exception as broken:  # noqa: BLE001 - the code is the user's
        message = f"(its text can't be made: {type(broken).__name__})"
    try:
        pickled = cloudpickle.dumps(exc.with_traceback(None), protocol=5)
        pickle.loads(pickled)
    except Exception:  # noqa: BLE001 - the code is the user's
        pickled = None  # The reader gets the text.
    account = {
        "type": f"{type(exc).__module__}.{type(exc).__qualname__}",
        "message": message,
        "traceback": text,
        "exception": pickled,
    }
    return pickle.dumps(account, protocol=5)


def _format(exc: BaseException, frames: Any) -> list[str]:
    try:
        return traceback.format_exception(type(exc), exc, frames)
    except Exception:  # noqa: BLE001 - the code is the user's
        return [*traceback.format_tb(frames), f"{type(exc).__qualname__}\n"]
