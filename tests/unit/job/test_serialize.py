"""Pickling: what comes out is what went in, and the modules that it refers to are noted."""

from __future__ import annotations

import functools
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.errors import SerializationError
from lithops.job import serialize
from tests.unit.api import functions as fn

plain = st.recursive(
    st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(st.lists(plain).map(tuple), st.dictionaries(st.text(), plain))
def test_arguments(args: tuple[Any, ...], names: dict[str, Any]) -> None:
    data = serialize.dump_plain((args, names))
    if data is None:
        data, modules = serialize.dump_arguments((args, names), "f", 0)
        assert modules <= {"builtins"}
    assert pickle.loads(data) == (args, names)


def test_what_is_of_a_class_does_not_go_the_short_way() -> None:
    class Number(int):
        pass

    for value in (Number(1), [Number(1)], {"a": 1}, object()):
        assert serialize.dump_plain(((value,), {})) is None


def _step(x: int) -> Any:
    import xml.dom as dom  # noqa: F401

    return json.dumps(x)


@pytest.mark.parametrize(
    ("function", "modules"),
    [
        (lambda x: json.dumps(x), {"json"}),
        (lambda x: fn.add(x, 1), {"tests"}),
        (fn.add, {"tests"}),
        (functools.partial(fn.add, 1), {"tests", "functools"}),
        (fn.Callable_(1), {"tests"}),
        (fn.Callable_(1).method, {"tests"}),
        (json.dumps, {"json"}),
    ],
)
def test_modules_of_functions(function: Any, modules: set[str]) -> None:
    data, found = serialize.dump_function(function)
    assert modules <= found
    assert callable(pickle.loads(data))


def test_imports_within_functions_that_go_by_value() -> None:
    def outer() -> Any:
        def inner() -> Any:
            import colorsys.x  # type: ignore[import-not-found]  # noqa: F401
            from email import message  # noqa: F401

        return inner

    assert {"colorsys", "email"} <= serialize.dump_function(outer)[1]


def test_modules_of_data() -> None:
    _, modules = serialize.dump_arguments(((fn.Callable_(1),), {}), "f", 0)
    assert "tests" in modules


def test_attributes_of_data_are_not_asked_for() -> None:
    class Touchy:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            raise RuntimeError(name)

    data, _ = serialize.dump_arguments(((Touchy(),), {}), "f", 0)
    assert data


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (fn.add, "add"),
        (lambda: 0, "<lambda>"),
        (functools.partial(fn.add, 1), "add"),
        (functools.partial(functools.partial(fn.add, 1), 2), "add"),
        (fn.Callable_(1), "Callable_"),
        (fn.Callable_(1).method, "method"),
        (max, "max"),
    ],
)
def test_names(function: Any, name: str) -> None:
    assert serialize.name_of(function) == name


def test_the_argument_that_cannot_be_pickled_is_named() -> None:
    lock = __import__("threading").Lock()
    with pytest.raises(SerializationError, match=r"argument 2 \(a _thread.lock\) of call 7 of f\(\)"):
        serialize.dump_arguments(((1, lock), {}), "f", 7)
    with pytest.raises(SerializationError, match=r"argument 'k' \(a _thread.lock\)"):
        serialize.dump_arguments(((1,), {"k": lock}), "f", 7)
    with pytest.raises(SerializationError, match=r"function <lambda>\(\), because of its variable 'lock'"):
        serialize.dump_function(lambda: lock)


def test_code_that_goes_by_value_keeps_the_name_of_its_file() -> None:
    data, _ = serialize.dump_function(lambda: lambda: 1)
    function = pickle.loads(data)
    assert function.__code__.co_filename == function().__code__.co_filename == __file__
