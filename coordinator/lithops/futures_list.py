"""A list of futures that chains: ``fexec.map(f, xs).map(g).get_result()``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from lithops.executors import FunctionExecutor
    from lithops.future import ResponseFuture

    _List = list[ResponseFuture]
else:
    _List = list


class FuturesList(_List):
    """The futures of a job, in the order of its data.

    ``map`` and ``map_reduce`` run a function on the results, as they come, and turn this list into
    the futures of those calls. A pickled list carries neither its executor nor any configuration.
    """

    def __init__(
        self,
        futures: Iterable[ResponseFuture] = (),
        executor: Optional[Any] = None,
        inputs: int = 0,
    ) -> None:
        super().__init__(futures)
        self.executor: Optional[FunctionExecutor] = executor
        self._inputs = inputs  # How many of the first futures are only the input of the others.
        self._earlier: list[ResponseFuture] = []
        self._is_one = False  # A function returned one future, not a list with one.

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from lithops.display import futures_html

        return futures_html(self)

    @property
    def config(self) -> Optional[dict[str, Any]]:
        """The configuration of the executor."""
        return None if self.executor is None else self.executor.config

    @property
    def alt_list(self) -> list[ResponseFuture]:
        """The futures of all stages of the chain."""
        return [*self._earlier, *self]

    def map(self, map_function: Callable[..., Any], sync: bool = False, **kwargs: Any) -> FuturesList:
        """Run a function on each result. ``sync``: wait first. The other arguments are those of ``map``."""
        executor = self._before_next_stage(sync)
        return self._become(executor.map(map_function, self._outputs(), **kwargs))

    def map_reduce(
        self,
        map_function: Callable[..., Any],
        reduce_function: Callable[..., Any],
        sync: bool = False,
        **kwargs: Any,
    ) -> FuturesList:
        """Run a function on each result, and another on the list of what that gives."""
        executor = self._before_next_stage(sync)
        return self._become(executor.map_reduce(map_function, self._outputs(), reduce_function, **kwargs))

    def wait(self, **kwargs: Any) -> tuple[FuturesList, FuturesList]:
        """Wait for all stages of the chain: see ``FunctionExecutor.wait``."""
        return self._executor().wait(self.alt_list, **kwargs)

    def get_result(self, **kwargs: Any) -> Any:
        """The results of the last stage: see ``FunctionExecutor.get_result``."""
        return self._executor().get_result(self.alt_list, **kwargs)

    def _executor(self) -> FunctionExecutor:
        if self.executor is None:
            from lithops.executors import FunctionExecutor

            self.executor = FunctionExecutor()
        return self.executor

    def _before_next_stage(self, sync: bool) -> FunctionExecutor:
        executor = self._executor()
        if sync:
            executor.wait(self)
        return executor

    def _outputs(self) -> FuturesList:
        return FuturesList(self[self._inputs :], self.executor)

    def _become(self, stage: FuturesList) -> FuturesList:
        for future in self:
            future._produce_output = False
        self._earlier.extend(self)
        self[:] = stage
        self._inputs = stage._inputs
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (list(self),)


def _rebuild(futures: list[ResponseFuture]) -> FuturesList:
    return FuturesList(futures)
