"""The part of an executor that takes calls: `call_async`, `map` and `map_reduce`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from lithops.errors import NotSupportedYet
from lithops.future import ResponseFuture
from lithops.futures_list import FuturesList

if TYPE_CHECKING:
    from lithops.job.submitter import Submitter

Modules = Optional[Iterable[str]]


class Calls:
    """Takes calls and remembers their futures: ``futures`` are all, in the order of the calls."""

    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter
        self.futures: list[ResponseFuture] = []
        self._unread: list[ResponseFuture] = []
        self._jobs: dict[str, list[ResponseFuture]] = {}

    def call_async(
        self,
        func: Callable[..., Any],
        data: Any,
        extra_env: Optional[Mapping[str, object]] = None,
        runtime_memory: Optional[int] = None,
        timeout: Optional[float] = None,
        include_modules: Modules = (),
        exclude_modules: Modules = (),
    ) -> ResponseFuture:
        """Run a function once.

        Args:
            func: the function, or any other callable that can be pickled.
            data: its arguments: a tuple is spread, a dict goes by name, anything else is the one
                argument; a list is spread when the function needs more than one. The future of an
                earlier call stands for its result.
            extra_env: environment variables for the call.
            runtime_memory: MB.
            timeout: seconds after which the call is killed; else ``lithops.execution_timeout``.
            include_modules: modules to send besides those that are found; None: send none.
            exclude_modules: modules not to send.

        Raises:
            SerializationError, DataLimitError, NotSupportedYet, TypeError, ValueError: nothing was sent.
        """
        job_id = self._submitter.new_job_id("A")
        options = _options(extra_env, runtime_memory, timeout, include_modules, exclude_modules)
        return self._run(func, [data], job_id, **options)[0]

    def map(
        self,
        map_function: Callable[..., Any],
        map_iterdata: Iterable[Any],
        chunksize: Optional[int] = None,
        extra_args: Union[Sequence[Any], Mapping[str, Any], None] = None,
        extra_env: Optional[Mapping[str, object]] = None,
        runtime_memory: Optional[int] = None,
        obj_chunk_size: Optional[int] = None,
        obj_chunk_number: Optional[int] = None,
        obj_newline: Optional[str] = "\n",
        timeout: Optional[float] = None,
        include_modules: Modules = (),
        exclude_modules: Modules = (),
    ) -> FuturesList:
        """Run a function on each item of ``map_iterdata``; the results come in the order of the items.

        ``map_iterdata`` may be the futures of an earlier call: each call then starts when its input
        is there, and the results of the earlier calls are no longer part of ``get_result()``.
        ``extra_args`` are appended to each item, or merged into it by name. ``chunksize``: how many
        calls a worker takes at a time. The other arguments, and the errors, are those of `call_async`.
        """
        job_id, options = self._map_options(
            chunksize, extra_args, extra_env, runtime_memory, obj_chunk_size, obj_chunk_number, obj_newline,
            timeout, include_modules, exclude_modules,
        )  # fmt: skip
        return self._map(map_function, map_iterdata, job_id, options)

    def _map_options(
        self,
        chunksize: Optional[int] = None,
        extra_args: Union[Sequence[Any], Mapping[str, Any], None] = None,
        extra_env: Optional[Mapping[str, object]] = None,
        runtime_memory: Optional[int] = None,
        obj_chunk_size: Optional[int] = None,
        obj_chunk_number: Optional[int] = None,
        obj_newline: Optional[str] = "\n",
        timeout: Optional[float] = None,
        include_modules: Modules = (),
        exclude_modules: Modules = (),
    ) -> tuple[str, dict[str, Any]]:
        _refuse_objects(obj_chunk_size, obj_chunk_number)
        options = _options(extra_env, runtime_memory, timeout, include_modules, exclude_modules)
        return self._submitter.new_job_id("M"), {**options, "extra_args": extra_args, "chunksize": chunksize}

    def map_reduce(
        self,
        map_function: Callable[..., Any],
        map_iterdata: Iterable[Any],
        reduce_function: Callable[..., Any],
        chunksize: Optional[int] = None,
        extra_args: Union[Sequence[Any], Mapping[str, Any], None] = None,
        extra_args_reduce: Union[Sequence[Any], Mapping[str, Any], None] = None,
        extra_env: Optional[Mapping[str, object]] = None,
        map_runtime_memory: Optional[int] = None,
        reduce_runtime_memory: Optional[int] = None,
        timeout: Optional[float] = None,
        obj_chunk_size: Optional[int] = None,
        obj_chunk_number: Optional[int] = None,
        obj_newline: Optional[str] = "\n",
        obj_reduce_by_key: bool = False,
        spawn_reducer: float = 20,
        include_modules: Modules = (),
        exclude_modules: Modules = (),
    ) -> FuturesList:
        """Run ``map_function`` on each item, then ``reduce_function`` on the list of the results.

        Gives the futures of the maps and, last, of the reducer; ``get_result`` gives the reducer's
        result. The reducer starts when all maps have ended, and never occupies a worker before:
        ``spawn_reducer`` (a percentage) is accepted for Lithops' sake. This method does not wait.
        The other arguments, and the errors, are those of `map`.
        """
        from lithops.job.draft import ReducerInput

        _refuse_objects(obj_chunk_size, obj_chunk_number, obj_reduce_by_key)
        job_id = self._submitter.new_job_id("M")
        options = _options(extra_env, map_runtime_memory, timeout, include_modules, exclude_modules)
        maps = self._map(
            map_function, map_iterdata, job_id, {**options, "extra_args": extra_args, "chunksize": chunksize}
        )
        for future in maps:
            future._produce_output = False
        results = ReducerInput(maps, extra_args_reduce)
        options["runtime_memory"] = reduce_runtime_memory
        reducer = self._run(reduce_function, [results], f"R{job_id[1:]}", **options)
        return FuturesList([*maps, *reducer], self, inputs=len(maps))

    def _map(
        self, function: Callable[..., Any], iterdata: Iterable[Any], job_id: str, options: dict[str, Any]
    ) -> FuturesList:
        from lithops.job.arguments import items_of

        if not isinstance(iterdata, FuturesList):
            return self._run(function, items_of(iterdata), job_id, **options)
        inputs = iterdata._outputs()
        futures = self._run(function, inputs, job_id, **options)
        for future in iterdata:
            future._produce_output = False
        return futures

    def _run(
        self, function: Callable[..., Any], items: Sequence[Any], job_id: str, **options: Any
    ) -> FuturesList:
        futures = self._submitter.run(function, items, job_id, **options)
        futures.executor = self  # type: ignore[assignment]  # Always a FunctionExecutor.
        self._jobs[job_id] = futures[:]
        self.futures.extend(futures)
        self._unread.extend(futures)
        return futures


def _options(
    extra_env: Optional[Mapping[str, object]],
    runtime_memory: Optional[int],
    timeout: Optional[float],
    include_modules: Modules,
    exclude_modules: Modules,
) -> dict[str, Any]:
    return {
        "extra_env": extra_env,
        "runtime_memory": runtime_memory,
        "timeout": timeout,
        "include_modules": include_modules,
        "exclude_modules": exclude_modules or (),
    }


def _refuse_objects(*values: object) -> None:
    if any(value is not None and value is not False for value in values):
        raise NotSupportedYet("not supported yet: obj_chunk_size, obj_chunk_number and obj_reduce_by_key")
