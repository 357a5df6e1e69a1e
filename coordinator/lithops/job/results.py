"""Open what a worker sent: the pickle of a result, or of the account of an exception."""

from __future__ import annotations

import sys
from typing import Any

from lithops.environment.hint import hint_for
from lithops.errors import RemoteError, RemoteTraceback, ResultError


def load_value(body: bytes, who: dict[str, str]) -> Any:
    """Unpickle a result. ``who`` names host, job_id and call_id, for errors.

    Raises:
        ResultError: it can't be unpickled here, for example because its class can't be imported.
    """
    import pickle

    try:
        return pickle.loads(body)
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"
        raise ResultError(f"its result can't be unpickled on this machine: {reason}", **who) from exc


def load_exception(body: bytes, who: dict[str, str]) -> Exception:
    """Rebuild the exception that a function raised, with its traceback there as its cause.

    It is a `RemoteError` with the text when the exception itself can't be rebuilt here. One that
    is no `Exception` (``SystemExit``, ``KeyboardInterrupt``) is a `RemoteError` too, as it would
    end the program that asks for a result.
    """
    import pickle

    try:
        account = pickle.loads(body)
        name, message, text = account["type"], account["message"], account["traceback"]
        pickled = account["exception"]
    except Exception as exc:  # noqa: BLE001 - the body may be anything
        return ResultError(f"the account of its exception can't be read: {exc}", **who)
    original = None if pickled is None else _load_original(pickled)
    if original is None:
        name = name.removeprefix("builtins.")
        original = RemoteError(f"{name}: {message}\n\n{text}", **who)
        original.__cause__ = None
        return original
    hint = hint_for(original, who.get("host", "")) if isinstance(original, ModuleNotFoundError) else ""
    if hint and sys.version_info >= (3, 11):
        original.add_note(hint)
    elif hint:
        text = f"{text}\n{hint}"  # Python 3.10 shows no notes.
    original.__cause__ = RemoteTraceback(text)
    return original


def _load_original(pickled: bytes) -> Exception | None:
    import pickle

    try:
        original = pickle.loads(pickled)
    except Exception:  # noqa: BLE001 - unpickling runs the code of users' classes; the text remains
        return None
    return original if isinstance(original, Exception) else None
