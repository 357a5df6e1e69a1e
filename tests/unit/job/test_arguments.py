"""How data become arguments: a table, and the law that binding is what Python does itself."""

from __future__ import annotations

import functools
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.errors import NotSupportedYet
from lithops.job.arguments import Plan, items_of, with_extra

Point = namedtuple("Point", "x y")


def none() -> tuple[Any, ...]:
    return ()


def one(x: Any) -> tuple[Any, ...]:
    return (x,)


def two(x: Any, y: Any) -> tuple[Any, ...]:
    return (x, y)


def default(x: Any, y: Any = "d") -> tuple[Any, ...]:
    return (x, y)


def var(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    return (args, kwargs)


def mixed(a: Any, *rest: Any, k: Any = 0, **more: Any) -> tuple[Any, ...]:
    return (a, rest, k, more)


def named(*, k: Any) -> tuple[Any, ...]:
    return (k,)


def place_only(x: Any, y: Any = 1, /) -> tuple[Any, ...]:
    return (x, y)


def with_id(id: Any, x: Any) -> tuple[Any, ...]:
    return (id, x)


def id_last(x: Any, *rest: Any, id: Any = None) -> tuple[Any, ...]:
    return (x, rest, id)


def optional_storage(x: Any, storage: Any = None) -> tuple[Any, ...]:
    return (x, storage)


def own_args(args: Any, kwargs: Any) -> tuple[Any, ...]:
    return (args, kwargs)


def called(function: Callable[..., Any], item: Any, number: int = 5) -> Any:
    args, names = Plan(function, "f").bind(item, number)
    return function(*args, **names)


@pytest.mark.parametrize(
    ("function", "item", "expected"),
    [
        (none, (), ()),
        (none, [], ()),
        (none, {}, ()),
        (one, 1, (1,)),
        (one, (1,), (1,)),
        (one, [1], ([1],)),
        (one, [], ([],)),
        (one, {"x": 1}, (1,)),
        (one, ({"a": 1},), ({"a": 1},)),
        (one, None, (None,)),
        (one, {"args": (1,)}, (1,)),
        (two, (1, 2), (1, 2)),
        (two, [1, 2], (1, 2)),
        (two, Point(1, 2), (1, 2)),
        (two, OrderedDict(y=2, x=1), (1, 2)),
        (two, {"args": (1,), "kwargs": {"y": 2}}, (1, 2)),
        (two, {"kwargs": {"y": 2, "x": 1}}, (1, 2)),
        (default, 1, (1, "d")),
        (default, [1, 2], ([1, 2], "d")),
        (default, (1, 2), (1, 2)),
        (default, {"x": 1}, (1, "d")),
        (var, 1, ((1,), {})),
        (var, [1, 2], (([1, 2],), {})),
        (var, (1, 2), ((1, 2), {})),
        (var, {"a": 1}, ((), {"a": 1})),
        (var, {"args": [1, 2], "a": 1}, ((1, 2), {"a": 1})),
        (var, {"kwargs": {"a": 1}, "b": 2}, ((), {"a": 1, "b": 2})),
        (mixed, (1, 2, 3), (1, (2, 3), 0, {})),
        (mixed, {"a": 1, "k": 2, "z": 3}, (1, (), 2, {"z": 3})),
        (mixed, {"rest": (1, 2), "k": 2}, (1, (2,), 2, {})),
        (mixed, {"a": 1, "more": {"z": 3}}, (1, (), 0, {"z": 3})),
        (named, {"k": 1}, (1,)),
        (place_only, 3, (3, 1)),
        (place_only, (3, 4), (3, 4)),
        (place_only, {"x": 3}, (3, 1)),
        (with_id, "a", (5, "a")),
        (with_id, {"x": "a"}, (5, "a")),
        (with_id, {"x": "a", "id": 9}, (9, "a")),
        (id_last, (1, 2, 3), (1, (2, 3), 5)),
        (optional_storage, 1, (1, None)),
        (optional_storage, {"x": 1, "storage": 2}, (1, 2)),
        (own_args, {"args": 1, "kwargs": 2}, (1, 2)),
        (own_args, (1, 2), (1, 2)),
        (functools.partial(two, 1), 2, (1, 2)),
        (functools.partial(two, y=1), 2, (2, 1)),
        (lambda obj: obj, 7, 7),
        (lambda url: url, "http://x", "http://x"),
        (min, (3, 2), 2),
        (min, [3, 2], 2),
        (dict, {"a": 1}, {"a": 1}),
        (max, {"args": ([1, 2],), "kwargs": {"key": None}}, 2),
    ],
)
def test_bind(function: Callable[..., Any], item: Any, expected: Any) -> None:
    assert called(function, item) == expected


@pytest.mark.parametrize(
    ("function", "item", "error", "text"),
    [
        (none, 1, TypeError, r"f\(\) takes 0 arguments by position, but the data of call 5 give 1"),
        (two, 1, TypeError, "takes 2 arguments"),
        (two, (1, 2, 3), TypeError, "give 3"),
        (default, (), TypeError, "takes 1 to 2 arguments"),
        (mixed, (), TypeError, "takes 1 or more arguments"),
        (named, (), TypeError, "needs k by name"),
        (two, {"x": 1}, ValueError, "missing: y"),
        (two, {"x": 1, "y": 2, "z": 3}, ValueError, "not known: z"),
        (one, {"a": 1}, ValueError, "put it into a tuple"),
        (lambda x, storage: 0, 1, NotSupportedYet, "the Storage API"),
        (lambda ibm_cos: 0, {}, NotSupportedYet, "IBM"),
        (lambda obj: 0, "cos://b/k", NotSupportedYet, "'obj'"),
    ],
)
def test_what_does_not_fit(
    function: Callable[..., Any], item: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        called(function, item)


@given(st.lists(st.integers(), max_size=5).map(tuple))
def test_a_tuple_binds_as_python_calls(item: tuple[int, ...]) -> None:
    for function in (none, one, two, default, var, mixed, place_only):
        try:
            expected = function(*item)
        except TypeError:
            with pytest.raises(TypeError):
                called(function, item)
        else:
            assert called(function, item) == expected


@given(st.dictionaries(st.sampled_from(["x", "y", "a", "k", "z"]), st.integers()))
def test_a_dict_binds_as_python_calls(item: dict[str, int]) -> None:
    for function in (none, one, two, default, var, mixed, named):
        try:
            expected = function(**item)
        except TypeError:
            with pytest.raises(ValueError, match="check the names"):
                called(function, item)
        else:
            assert called(function, item) == expected


@given(st.integers() | st.text() | st.none() | st.binary() | st.lists(st.integers()) | st.sets(st.integers()))
def test_what_is_no_tuple_and_no_dict_is_one_argument(item: Any) -> None:
    assert called(one, item) == (item,)


@pytest.mark.parametrize(
    ("data", "items"),
    [
        ([1, 2], [1, 2]),
        (range(2), [0, 1]),
        ({3}, [3]),
        ((1, 2), [1, 2]),
        ((x for x in "ab"), ["a", "b"]),
        ({"a": 1}.keys(), ["a"]),
        ("text", ["text"]),
        (b"bytes", [b"bytes"]),
        ({"x": 1}, [{"x": 1}]),
        (5, [5]),
        (None, [None]),
    ],
)
def test_items(data: Any, items: list[Any]) -> None:
    assert items_of(data) == items


@pytest.mark.parametrize(
    ("item", "extra", "error"), [({"x": 1}, (1,), TypeError), (1, 5, TypeError), ((1,), "ab", TypeError)]
)
def test_extra_that_does_not_fit(item: Any, extra: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        with_extra(item, extra)
