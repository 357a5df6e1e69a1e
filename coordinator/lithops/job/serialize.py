"""Pickle functions and the arguments of calls, and note which modules the pickles refer to.

cloudpickle sends what is defined in ``__main__`` or inside functions by value, and everything else
by the name of its module; those modules have to be on the host, so the names are noted on the way.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any, Optional

from lithops.errors import SerializationError
from lithops.job.arguments import Arguments

PROTOCOL = 5
_PLAIN = frozenset((int, float, str, bytes, bool, type(None), complex))
_PLAIN_CONTAINERS = frozenset((list, tuple))


def name_of(function: object) -> str:
    """What a function is called in messages: its name, or that of its class."""
    inner = function
    while not hasattr(inner, "__name__") and hasattr(inner, "func"):
        inner = inner.func  # A functools.partial has no name of its own.
    if inner is not function or not hasattr(function, "__name__"):
        return str(getattr(inner, "__name__", type(inner).__name__))
    return str(function.__name__)


def source_of(function: object) -> str:
    """Where a function was defined, as ``FILE:NAME``; empty for other callables."""
    while hasattr(function, "func") or hasattr(function, "__wrapped__"):
        function = getattr(function, "func", None) or function.__wrapped__  # type: ignore[attr-defined]
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return "" if code is None else f"{code.co_filename}:{getattr(function, '__qualname__', '')}"


def dump_function(function: Callable[..., Any]) -> tuple[bytes, frozenset[str]]:
    """A function pickled, and the top-level modules that are needed to unpickle and run it.

    Raises:
        SerializationError: it, or something it refers to, can't be pickled; says what.
    """
    try:
        return _record(function)
    except Exception as exc:
        culprit = _culprit_of_function(function)
        what = f"the function {name_of(function)}()" + (f", because of {culprit}," if culprit else "")
        raise SerializationError(f"{what} can't be pickled: {type(exc).__name__}: {exc}") from exc


def dump_plain(arguments: Arguments) -> Optional[bytes]:
    """The arguments of a call pickled, if they are numbers, texts, bytes, and lists and tuples of these."""
    args, names = arguments
    if _is_plain(args) and (not names or _is_plain(tuple(names.values()))):
        return pickle.dumps((args, names), PROTOCOL)
    return None


def dump_arguments(arguments: Arguments, function_name: str, number: int) -> tuple[bytes, frozenset[str]]:
    """The arguments of a call pickled, and the top-level modules that are needed to unpickle them.

    Raises:
        SerializationError: names the argument that can't be pickled.
    """
    args, names = arguments
    try:
        return _record((args, dict(names)))
    except Exception as exc:
        culprit = _culprit(dict(enumerate(args, 1)) | dict(names))
        raise SerializationError(
            f"{culprit or 'the data'} of call {number} of {function_name}() can't be pickled: "
            f"{type(exc).__name__}: {exc}"
        ) from exc


def _is_plain(values: tuple[Any, ...]) -> bool:
    for value in values:
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind not in _PLAIN_CONTAINERS or not _PLAIN.issuperset(map(type, value)):
            return False
    return True


def _record(value: Any) -> tuple[bytes, frozenset[str]]:
    import io

    from lithops.job.recorder import Recorder

    file = io.BytesIO()
    recorder = Recorder(file, PROTOCOL)
    recorder.dump(value)
    return file.getvalue(), frozenset(recorder.modules)


def _can_be_pickled(value: Any) -> bool:
    try:
        _record(value)
    except Exception:  # noqa: BLE001 - pickling runs the code of users' classes
        return False
    return True


def _culprit(values: Mapping[Any, Any]) -> str:
    for name, value in values.items():
        if not _can_be_pickled(value):
            which = f"argument {name}" if isinstance(name, int) else f"argument '{name}'"
            return f"{which} (a {type(value).__module__}.{type(value).__qualname__})"
    return ""


def _culprit_of_function(function: Callable[..., Any]) -> str:
    """The variable of a closure, or global of a script, that can't be pickled."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    closure = getattr(function, "__closure__", None) or ()
    values: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars, closure):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            continue  # The variable has no value yet.
    known = getattr(function, "__globals__", {})
    values.update((name, known[name]) for name in code.co_names if name in known)
    for name, value in values.items():
        if not _can_be_pickled(value):
            return f"its variable '{name}' (a {type(value).__module__}.{type(value).__qualname__})"
    return ""
