"""From what the user asked for to a `Job`: bind, pickle, check the size, pack the modules."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from lithops.errors import DataLimitError
from lithops.future import ResponseFuture, leaves, value_of
from lithops.job import serialize
from lithops.job.arguments import Arguments, Plan, with_extra
from lithops.job.info import JobInfo
from lithops.job.model import Blob, Job

if TYPE_CHECKING:
    from lithops.job.model import Session
    from lithops.job.modules import ModuleShipper


class Order(NamedTuple):
    """What the user asked for, completed by the configuration. ``data_limit`` is in bytes."""

    function: Callable[..., Any]
    items: Sequence[Any]
    executor_id: str
    job_id: str
    extra_args: Any = None
    extra_env: Optional[Mapping[str, object]] = None
    chunksize: int = 1
    runtime_memory: Optional[int] = None
    timeout: Optional[float] = None
    include_modules: Optional[Iterable[str]] = ()
    exclude_modules: Iterable[str] = ()
    data_limit: Optional[int] = None
    retries: int = 0
    created_at: float = 0.0
    first_number: int = 0


class Held(NamedTuple):
    """A call that needs results: of which calls, and how its data are made of them."""

    number: int
    inputs: Sequence[ResponseFuture]
    item: Callable[[], Any]


class ReducerInput:
    """The data of a reducer: the list of the results of these calls, and what is appended to it."""

    def __init__(self, maps: Sequence[ResponseFuture], extra: Any) -> None:
        self.maps = maps
        self._extra = extra

    def make(self) -> Any:
        """The data, when all calls have succeeded."""
        return with_extra(([future.result() for future in leaves(self.maps)],), self._extra)


class OrderDraft:
    """A job in the making. The job itself is made when the first calls are submitted."""

    def __init__(self, order: Order, shipper: ModuleShipper) -> None:
        self.order = order
        self.function_name = serialize.name_of(order.function)
        self._plan = Plan(order.function, self.function_name)
        self._shipper = shipper
        function, self._modules = serialize.dump_function(order.function)
        self._function = Blob(sha256=hashlib.sha256(function).hexdigest(), data=function)
        self._job: Optional[Job] = None
        self.data_size = 0

    def calls(self) -> tuple[list[tuple[int, bytes]], list[Held]]:
        """The calls that can be submitted, as number and data, and those that need results first.

        Raises:
            DataLimitError, SerializationError, TypeError, ValueError, NotSupportedYet: as for each part.
        """
        ready: list[tuple[int, bytes]] = []
        held: list[Held] = []
        extra, bind, dump_plain = self.order.extra_args or None, self._plan.bind, serialize.dump_plain
        for number, item in enumerate(self.order.items, self.order.first_number):
            if type(item) is ReducerInput:
                held.append(Held(number, item.maps, item.make))
                continue
            if type(item) is ResponseFuture:
                held.append(Held(number, [item], _item_of(item, extra)))
                continue
            if extra is not None:
                item = with_extra(item, extra)
            arguments = bind(item, number)
            data = dump_plain(arguments)
            if data is None:
                inputs = _futures_in(arguments)
                if inputs:
                    held.append(Held(number, inputs, _filled_in(arguments)))
                    continue
                data = self._dump(arguments, number)
            ready.append((number, data))
        self._check_size(ready)
        return ready, held

    def payload(self, number: int, item: Any) -> bytes:
        """Bind and pickle the data of one call that was held back."""
        arguments = item.arguments if type(item) is _Filled else self._plan.bind(item, number)
        data = serialize.dump_plain(arguments)
        return self._dump(arguments, number) if data is None else data

    def submit(self, session: Session, calls: Sequence[tuple[ResponseFuture, bytes]]) -> None:
        """Hand calls to a session."""
        session.submit(self.job(), calls)

    def job(self) -> Job:
        """The job, with the modules that its function and its data up to now need."""
        if self._job is None:
            order = self.order
            self._job = Job(
                job_id=order.job_id,
                executor_id=order.executor_id,
                function_name=self.function_name,
                function=self._function,
                modules=self._shipper.archive(self._modules, order.include_modules, order.exclude_modules),
                total_calls=len(order.items),
                chunksize=order.chunksize,
                extra_env={str(name): str(value) for name, value in (order.extra_env or {}).items()},
                timeout=order.timeout,
                runtime_memory=order.runtime_memory,
                created_at=order.created_at,
                retries=order.retries,
                source=serialize.source_of(order.function),
            )
        return self._job

    def info(
        self, *, runtime_name: str, session: Optional[Session], queue: Any, clock: Callable[[], float]
    ) -> JobInfo:
        """What the futures of the job share."""
        order = self.order
        stats = {"func_data_size_bytes": self.data_size, "func_size_bytes": len(self._function.data)}
        if self._job is not None and self._job.modules is not None:
            stats["func_module_size_bytes"] = len(self._job.modules.data)
        return JobInfo(
            executor_id=order.executor_id,
            job_id=order.job_id,
            function_name=self.function_name,
            runtime_name=runtime_name,
            runtime_memory=order.runtime_memory,
            execution_timeout=order.timeout,
            created_at=order.created_at,
            total_calls=len(order.items),
            stats=stats,
            session=session,
            queue=queue,
            clock=clock,
        )

    def need_modules_of(self, data: bytes) -> None:
        """Send along the modules that the data of a call refer to, as far as they can be unpickled here."""
        try:
            arguments = pickle.loads(data)
            self._modules |= serialize.dump_arguments(arguments, self.function_name, 0)[1]
        except Exception:  # noqa: BLE001 - unpickling runs the code of users' classes; the host may be able to
            return

    def _dump(self, arguments: Arguments, number: int) -> bytes:
        data, modules = serialize.dump_arguments(arguments, self.function_name, number)
        self._modules |= modules
        return data

    def _check_size(self, ready: Sequence[tuple[int, bytes]]) -> None:
        self.data_size = sum(len(data) for _, data in ready)
        limit = self.order.data_limit
        if limit is None or self.data_size <= limit:
            return
        number, largest = max(ready, key=lambda call: len(call[1]))
        raise DataLimitError(
            f"the data of the {len(ready)} calls of {self.function_name}() take "
            f"{_megabytes(self.data_size)} in all (the most, {_megabytes(len(largest))}, for call {number}), "
            "and lithops.data_limit is "
            f"{_megabytes(limit)}. Raise data_limit (in MB; False: no limit), or have the function read "
            "its data itself"
        )


class _Filled(NamedTuple):
    """Arguments that are bound already, with results in the place of futures."""

    arguments: Arguments


def _item_of(future: ResponseFuture, extra: Any) -> Callable[[], Any]:
    return lambda: with_extra(value_of(future), extra)


def _filled_in(arguments: Arguments) -> Callable[[], _Filled]:
    def fill() -> _Filled:
        args, names = arguments
        return _Filled((tuple(map(_value, args)), {name: _value(value) for name, value in names.items()}))

    return fill


def _value(value: Any) -> Any:
    return value_of(value) if type(value) is ResponseFuture else value


def _futures_in(arguments: Arguments) -> list[ResponseFuture]:
    args, names = arguments
    return [value for value in (*args, *names.values()) if type(value) is ResponseFuture]


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:.1f} MB"
