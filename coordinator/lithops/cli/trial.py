"""The functions that `lithops hello` and `lithops test` run on hosts, and what is expected of them.

This module is imported on hosts, so it needs nothing but the standard library.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lithops.executors import FunctionExecutor

PATIENCE = 120.0
"""Seconds that a check waits for its calls."""
_MEGABYTE = 1_000_000


class Unexpected(Exception):
    """A check got another result than it should."""


@dataclass(frozen=True)
class Trial:
    """One check: what it shows, and a function that raises when that is not so."""

    name: str
    shows: str
    run: Callable[[FunctionExecutor], None]


# ---- what runs on hosts -------------------------------------------------------------------------------


def hello(name: str) -> str:
    """Greet from wherever this runs."""
    return f"Hello {name}, from {os.uname().nodename}!"


def add(x: int, y: int = 1) -> int:
    """Add two numbers."""
    return x + y


def total(results: list[int]) -> int:
    """Add many numbers."""
    return sum(results)


def reverse(data: bytes) -> bytes:
    """Turn bytes round."""
    return data[::-1]


def fail(number: int) -> None:
    """Raise an exception that names a number."""
    raise ValueError(f"number {number}")


def sleep(seconds: float) -> float:
    """Take some time."""
    time.sleep(seconds)
    return seconds


def variable(name: str) -> str:
    """The value of an environment variable there."""
    return os.environ.get(name, "")


# ---- what is expected ---------------------------------------------------------------------------------


def _equal(found: Any, expected: Any) -> None:
    if found != expected:
        raise Unexpected(f"{expected!r} was expected, and {found!r} came")


def _call(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(add, (2, 3))
    _equal(future.result(timeout=PATIENCE), 5)
    _equal(fexec.call_async(add, {"x": 4}).result(timeout=PATIENCE), 5)


def _map(fexec: FunctionExecutor) -> None:
    futures = fexec.map(add, range(20))
    _equal(fexec.get_result(futures, timeout=PATIENCE, show_progressbar=False), list(range(1, 21)))


def _map_reduce(fexec: FunctionExecutor) -> None:
    futures = fexec.map_reduce(add, range(10), total)
    _equal(fexec.get_result(futures, timeout=PATIENCE, show_progressbar=False), 55)


def _chain(fexec: FunctionExecutor) -> None:
    first = fexec.call_async(add, 1)
    _equal(fexec.call_async(add, first).result(timeout=PATIENCE), 3)


def _data(fexec: FunctionExecutor) -> None:
    data = os.urandom(2 * _MEGABYTE)
    _equal(fexec.call_async(reverse, (data,)).result(timeout=PATIENCE) == data[::-1], True)


def _exception(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(fail, 7)
    try:
        future.result(timeout=PATIENCE)
    except ValueError as exc:
        _equal(str(exc), "number 7")
        _equal("in fail" in str(exc.__cause__), True)
    else:
        raise Unexpected("an exception was expected, and none came")


def _time_out(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(sleep, 60.0, timeout=0.5)
    try:
        future.result(timeout=PATIENCE)
    except TimeoutError:
        return
    raise Unexpected("the call was not ended by its time-out")


def _cancel(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(sleep, 60.0)
    future.cancel()
    _equal(future.cancelled, True)


def _variables(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(variable, "LITHOPS_TRIAL", extra_env={"LITHOPS_TRIAL": "set"})
    _equal(future.result(timeout=PATIENCE), "set")


def _closure(fexec: FunctionExecutor) -> None:
    factor = 3
    futures = fexec.map(lambda x: factor * x, [1, 2])
    _equal(fexec.get_result(futures, timeout=PATIENCE, show_progressbar=False), [3, 6])


TRIALS = (
    Trial("call_async", "one call, with positional and keyword arguments", _call),
    Trial("map", "many calls, with their results in order", _map),
    Trial("map_reduce", "a function over the results of others", _map_reduce),
    Trial("chain", "a future as the data of another call", _chain),
    Trial("closure", "a lambda with a variable from around it", _closure),
    Trial("data", "2 MB there and back", _data),
    Trial("exception", "an exception with its traceback", _exception),
    Trial("timeout", "a call that is killed for its time", _time_out),
    Trial("cancel", "a call that is cancelled", _cancel),
    Trial("environment", "an environment variable of a job", _variables),
)
