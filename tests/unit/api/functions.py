"""Functions that the tests call."""

from __future__ import annotations

from typing import Any

import lithops
from lithops import FunctionExecutor
from lithops.future import ResponseFuture
from lithops.futures_list import FuturesList


def add(x: int, y: int) -> int:
    return x + y


def double(x: int) -> int:
    return 2 * x


def total(results: list[int]) -> int:
    return sum(results)


def fail(x: object) -> None:
    raise KeyError(x)


def fail_on_one(x: int) -> int:
    if x == 1:
        raise LookupError("one")
    return x


def results_of_own_map(count: int) -> Any:
    fexec = lithops.FunctionExecutor()
    fexec.map(lambda x: x, range(count))
    return fexec.get_result()


def futures_of_map(count: int) -> FuturesList:
    return FunctionExecutor().map(lambda x: x + 1, range(count))


def futures_of_two_maps(count: int) -> list[ResponseFuture]:
    fexec = FunctionExecutor()
    return fexec.map(lambda x: x + 1, range(count)) + fexec.map(lambda x: x + 1, range(count))


def future_of_call(x: int) -> ResponseFuture:
    return FunctionExecutor().call_async(lambda y: y + 1, x + 5)


def future_of_future(x: int) -> ResponseFuture:
    return FunctionExecutor().call_async(future_of_call, x)


class Callable_:
    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, x: int) -> int:
        return x + self.step

    def method(self, x: int) -> int:
        return x - self.step


class Ambiguous:
    """Can neither be compared, tested for truth nor shown, like some arrays and frames."""

    def __init__(self, data: object) -> None:
        self.data = data

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    def __len__(self) -> int:
        raise ValueError("ambiguous")

    def __repr__(self) -> str:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


class SideEffect:
    result = 5

    @property
    def foo(self) -> int:
        raise RuntimeError("side effect")


def result_of(x: Any) -> Any:
    return x.result
