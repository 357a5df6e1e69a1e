"""What call_async, map and map_reduce give, for all kinds of functions and data."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import lithops
from lithops import FunctionExecutor
from lithops.errors import CallCancelled, DataLimitError, NotSupportedYet, SerializationError
from lithops.testing import HELD, INLINE
from tests.unit.api import functions as fn
from tests.unit.api.conftest import Bench


@pytest.mark.parametrize(
    ("function", "data", "expected"),
    [
        (lambda name: f"Hello {name}!", "World", "Hello World!"),
        (lambda param: "Hello World!", "", "Hello World!"),
        (lambda x: " ".join(x), ["a", "b"], "a b"),
        (fn.add, (4, 6), 10),
        (fn.add, [4, 6], 10),
        (fn.add, {"x": 2, "y": 8}, 10),
        (fn.add, {"args": (2,), "kwargs": {"y": 8}}, 10),
        (functools.partial(fn.add, 4), 6, 10),
        (functools.partial(fn.add, y=4), 6, 10),
        (fn.Callable_(3), 4, 7),
        (fn.Callable_(3).method, 4, 1),
        (fn.result_of, fn.SideEffect(), 5),
        (lambda: "none", (), "none"),
        (lambda x: x, None, None),
        (lambda x, id: (x, id), "a", ("a", 0)),
        (max, ([1, 3, 2],), 3),
        (max, (1, 3, 2), 3),
        (math.sqrt, 16, 4.0),
        (int, "7", 7),
    ],
)
def test_call_async(fexec: FunctionExecutor, function: Callable[..., Any], data: Any, expected: Any) -> None:
    future = fexec.call_async(function, data)
    assert fexec.get_result() == expected
    assert future.result() == expected


@pytest.mark.parametrize(
    ("function", "data", "expected"),
    [
        (fn.add, [(1, 1), (2, 2), (3, 3), (4, 4)], [2, 4, 6, 8]),
        (fn.add, [[1, 1], [2, 2]], [2, 4]),
        (fn.add, [{"x": 2, "y": 8}, {"x": 3, "y": 8}], [10, 11]),
        (lambda lst: " ".join(lst), [["a", "b"], ["c", "d"]], ["a b", "c d"]),
        (fn.double, range(3), [0, 2, 4]),
        (fn.double, {5}, [10]),
        (fn.double, (x for x in (1, 2)), [2, 4]),
        (fn.double, (1, 2), [2, 4]),
        (fn.double, [7], [14]),
        (fn.double, [], []),
        (lambda x, id: id, "a", [0]),
        (lambda id, x: (id, x), [7, 8], [(0, 7), (1, 8)]),
        (lambda x: None, [1, 2], [None, None]),
    ],
)
def test_map(
    fexec: FunctionExecutor, function: Callable[..., Any], data: Iterable[Any], expected: Any
) -> None:
    futures = fexec.map(function, data)
    assert len(futures) == len(expected)
    assert fexec.get_result() == expected


@pytest.mark.parametrize(
    ("data", "extra", "expected"),
    [
        ([1, 2], (10,), [11, 12]),
        ([(1,), (2,)], (10,), [11, 12]),
        ([{"x": 1}], {"y": 10}, [11]),
        ([1], {"y": 10}, [11]),
        ([1, 2], [10], [11, 12]),
    ],
)
def test_extra_args(fexec: FunctionExecutor, data: Any, extra: Any, expected: Any) -> None:
    fexec.map(fn.add, data, extra_args=extra)
    assert fexec.get_result() == expected


def test_extra_args_leave_the_data_as_they_are(fexec: FunctionExecutor) -> None:
    data = [{"x": 1}]
    fexec.map(fn.add, data, extra_args={"y": 1})
    assert data == [{"x": 1}]


def test_map_over_a_decorated_function(fexec: FunctionExecutor) -> None:
    def doubled(inner: Callable[..., int]) -> Callable[..., int]:
        def wrapper(*args: Any, **kwargs: Any) -> int:
            return 2 * inner(*args, **kwargs)

        return wrapper

    @doubled
    def add_all(a: int, b: int, c: int = 0, *args: int, d: int, e: int = 5, **kwargs: int) -> int:
        return sum([a, b, c, d, e, *args, *kwargs.values()])

    fexec.map(
        add_all,
        [
            {"a": 1, "b": 2, "d": 3},
            {"args": (1, 2), "d": 3},
            {"args": (1, 2), "d": 3, "e": 4},
            {"args": (1, 2), "d": 3, "f": 4},
            {"a": 1, "b": 2, "d": 3, "e": 6, "f": 4},
            {"args": (1, 2), "kwargs": {"d": 3, "e": 6, "f": 4}},
        ],
    )
    assert fexec.get_result() == [22, 22, 20, 30, 32, 32]


def test_several_maps_are_read_together_and_once(fexec: FunctionExecutor) -> None:
    fexec.map(fn.add, [(1, 1), (2, 2)])
    fexec.map(fn.add, [(3, 3), (4, 4)])
    assert fexec.get_result() == [2, 4, 6, 8]
    assert fexec.get_result() == []
    fexec.map(fn.add, [(1, 1)])
    assert fexec.get_result() == [2]
    first, second = fexec.map(fn.add, [(1, 1)]), fexec.map(fn.add, [(3, 3)])
    assert fexec.get_result(fs=first) == [2]
    assert fexec.get_result() == [6]
    assert fexec.get_result(second) == [6]


def test_a_list_or_a_bare_result(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(fn.double, 1)
    futures = fexec.map(fn.double, [2])
    assert fexec.get_result(future) == 2
    assert fexec.get_result([future]) == 2
    assert fexec.get_result(futures) == [4]
    assert fexec.get_result(futures[0]) == 4
    assert lithops.get_result([future, *futures]) == [2, 4]


def test_map_reduce(fexec: FunctionExecutor) -> None:
    futures = fexec.map_reduce(fn.add, [(1, 1), (2, 2), (3, 3), (4, 4)], fn.total)
    assert fexec.get_result() == 20
    assert len(futures) == 5
    assert fexec.get_result(futures) == 20
    assert [future.job_id for future in futures] == ["M000"] * 4 + ["R000"]


def test_extra_args_of_the_reducer(fexec: FunctionExecutor) -> None:
    fexec.map_reduce(
        fn.double, [1, 2], lambda results, more: (results, more), extra_args_reduce=("x",), spawn_reducer=100
    )
    assert fexec.get_result() == ([2, 4], "x")


def test_a_failed_map_fails_the_reducer(fexec: FunctionExecutor) -> None:
    futures = fexec.map_reduce(fn.fail_on_one, [0, 1, 2], fn.total)
    with pytest.raises(LookupError, match="one"):
        futures[-1].result()
    with pytest.raises(LookupError, match="one"):
        fexec.get_result()


def test_chains(fexec: FunctionExecutor) -> None:
    assert fexec.map(fn.double, [1, 2]).map(lambda x: x + 1).get_result() == [3, 5]
    futures = fexec.map(fn.double, [1, 2])
    assert fexec.get_result(fexec.map(lambda x: x + 1, futures)) == [3, 5]
    reduced = fexec.map(fn.double, [1, 2]).map_reduce(fn.double, fn.total)
    assert reduced.get_result() == 12
    assert reduced.map(lambda x: x + 1).get_result() == [13]
    assert fexec.get_result() == []


def test_chained_results_are_the_data_as_other_data_are(fexec: FunctionExecutor) -> None:
    assert fexec.map(lambda x: (x, 10), [1, 2]).map(fn.add).get_result() == [11, 12]
    assert fexec.map(fn.double, [1]).map(fn.add, extra_args=(1,)).get_result() == [3]


def test_only_the_last_stage_is_read(fexec: FunctionExecutor) -> None:
    fexec.map(lambda x: x + 1, fexec.map(fn.double, [1, 2]))
    assert fexec.get_result() == [3, 5]


def test_futures_as_arguments(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(fn.double, 4)
    assert fexec.call_async(fn.double, future).result() == 16
    assert fexec.call_async(fn.add, (future, 1)).result() == 9
    assert fexec.call_async(fn.add, {"x": 1, "y": future}).result() == 9


def test_a_dependent_call_waits_for_its_input(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    first = fexec.call_async(fn.double, 1)
    second = fexec.call_async(fn.double, first)
    assert second.new
    assert len(bench.session.submitted) == 1
    bench.session.how = INLINE
    bench.session.run()
    assert second.result(timeout=60) == 4


def test_a_failed_input_fails_what_depends_on_it(bench: Bench) -> None:
    fexec = bench.executor()
    future = fexec.map(fn.fail, [1]).map(fn.double).map(fn.double)[0]
    with pytest.raises(KeyError) as caught:
        future.result()
    assert caught.value.args == (1,)
    assert len(bench.session.submitted) == 1


def test_a_dependent_call_can_be_cancelled(bench: Bench) -> None:
    fexec = bench.executor(HELD)
    first = fexec.call_async(fn.double, 1)
    second = fexec.call_async(fn.double, first)
    second.cancel()
    assert second.cancelled
    with pytest.raises(CallCancelled):
        second.result()
    bench.session.run()
    assert first.result() == 2


@pytest.mark.usefixtures("nested")
class TestFuturesOfFunctions:
    def test_an_executor_within_a_function(self, fexec: FunctionExecutor) -> None:
        fexec.map(fn.results_of_own_map, range(1, 5))
        assert fexec.get_result() == [list(range(count)) for count in range(1, 5)]

    @pytest.mark.parametrize(
        ("function", "data", "expected"),
        [
            (fn.futures_of_map, 3, [1, 2, 3]),
            (fn.future_of_call, 3, 9),
            (fn.futures_of_two_maps, 3, [1, 2, 3, 1, 2, 3]),
            (fn.future_of_future, 3, 9),
        ],
    )
    def test_they_are_followed(
        self, fexec: FunctionExecutor, function: Callable[..., Any], data: int, expected: Any
    ) -> None:
        future = fexec.call_async(function, data)
        fexec.wait()
        assert fexec.get_result() == expected
        assert future.futures

    def test_they_stand_in_the_place_of_their_call(self, fexec: FunctionExecutor) -> None:
        fexec.map(lambda x: fn.futures_of_map(2) if x == 1 else x, range(3))
        assert fexec.get_result() == [0, 1, 2, 2]

    def test_they_feed_further_calls(self, fexec: FunctionExecutor) -> None:
        assert fexec.map(fn.future_of_call, [1, 2]).map(fn.double).get_result() == [14, 16]
        assert fexec.call_async(fn.total, fexec.call_async(fn.futures_of_map, 3)).result() == 6
        assert fexec.map_reduce(fn.futures_of_map, [2, 3], fn.total)[-1].result() == 9


def test_results_are_not_looked_at(fexec: FunctionExecutor) -> None:
    future = fexec.call_async(fn.Ambiguous, ("data",))
    assert future.result().data == "data"
    assert fexec.get_result().data == "data"
    fexec.map(fn.Ambiguous, [1, 2])
    assert [value.data for value in fexec.get_result()] == [1, 2]
    chained = fexec.map(fn.Ambiguous, [1]).map(lambda value: value.data)
    assert chained.get_result() == [1]


@pytest.mark.parametrize(
    ("function", "data", "error", "text"),
    [
        (fn.add, (1,), TypeError, r"add\(\) takes 2 arguments by position, but the data of call 0 give 1"),
        (fn.add, {"x": 1, "z": 2}, ValueError, "missing: y; not known: z"),
        (lambda: 1, "x", TypeError, "takes 0 arguments"),
        (lambda x, storage: 1, "x", NotSupportedYet, "'storage'"),
        (lambda obj: 1, "cos://bucket/key", NotSupportedYet, "'obj'"),
        (42, "x", TypeError, "a function was expected"),
        (fn.double, (i for i in "x"), SerializationError, r"argument 1 \(a builtins.generator\) of call 0"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    bench: Bench, function: Any, data: Any, error: type[Exception], text: str
) -> None:
    fexec = bench.executor()
    with pytest.raises(error, match=text):
        fexec.call_async(function, data)
    assert bench.sessions == []
    assert fexec.futures == []


def test_a_function_that_cannot_be_pickled(fexec: FunctionExecutor) -> None:
    generator = (i for i in "x")
    with pytest.raises(SerializationError, match=r"its variable 'generator' \(a builtins.generator\)"):
        fexec.call_async(lambda x: generator, 1)


def test_data_limit(bench: Bench) -> None:
    limited, free = bench.executor(data_limit=1), bench.executor(data_limit=False)
    data = [b"x" * 600_000] * 2
    with pytest.raises(DataLimitError, match=r"2 calls .* take 1\.1 MB in all .*data_limit is 1\.0 MB"):
        limited.map(len, data)
    assert free.get_result(free.map(len, data)) == [600_000] * 2


def test_what_a_job_carries(bench: Bench) -> None:
    fexec = bench.executor(execution_timeout=100, retries=2)
    fexec.call_async(fn.double, 1)
    fexec.map(fn.double, [1, 2], timeout=7, runtime_memory=512, extra_env={"A": True, "B": "b"}, chunksize=5)
    first, second = bench.session.jobs
    assert (first.timeout, first.retries, first.total_calls, first.chunksize) == (100, 2, 1, 1)
    assert (second.timeout, second.runtime_memory, second.total_calls, second.chunksize) == (7, 512, 2, 5)
    assert second.extra_env == {"A": "True", "B": "b"}
    assert (first.job_id, second.job_id) == ("A000", "M001")
    assert second.function_name == "double"
