"""Turns calls into jobs and hands them to the session of one executor, which it opens when needed."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Optional

from lithops.future import ResponseFuture
from lithops.futures_list import FuturesList
from lithops.job.chain import Chain, Dependent
from lithops.job.draft import Held, Order, OrderDraft
from lithops.job.modules import ModuleShipper

if TYPE_CHECKING:
    from lithops.config import Settings
    from lithops.job.model import Session

logger = logging.getLogger("lithops.executors")

shipper = ModuleShipper(time.monotonic)
"""One for the process, so that executors share what was found."""


class Submitter:
    """The calls of one executor. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        executor_id: str,
        settings: Settings,
        open_session: Callable[[Settings, str], Session],
        clock: Callable[[], float],
        *,
        in_worker: bool = False,
    ) -> None:
        self._in_worker = in_worker
        self._executor_id = executor_id
        self._settings = settings
        self._open_session = open_session
        self._clock = clock
        self._job_numbers = itertools.count()
        self._session: Optional[Session] = None
        self._chain: Optional[Chain] = None

    def new_job_id(self, kind: str) -> str:
        """The id of the next job: a letter for its kind, and its number."""
        return f"{kind}{next(self._job_numbers):03d}"

    def run(
        self, function: Callable[..., Any], items: Sequence[Any], job_id: str, **options: Any
    ) -> FuturesList:
        """Submit a call of ``function`` for each item, or hold it back until its inputs are there.

        Raises:
            SerializationError, DataLimitError, NotSupportedYet, TypeError, ValueError: nothing was sent.
        """
        if not callable(function):
            raise TypeError(f"a function was expected, not a {type(function).__qualname__}")
        order = self._order(function, items, job_id, options)
        draft = OrderDraft(order, shipper)
        ready, held = draft.calls()
        if ready:
            draft.job()  # What is wrong with its modules is said before a session is opened.
        session = self.session() if items else None
        chain = self._get_chain() if held else None
        info = draft.info(
            runtime_name=self._settings.runtime, session=session, queue=chain, clock=self._clock
        )
        first = order.first_number
        futures = FuturesList(ResponseFuture(info, first + place) for place in range(len(items)))
        logger.debug("%s: %d calls of %s()", order.job_id, len(items), info.function_name)
        if session is not None and ready:
            draft.submit(session, [(futures[number - first], data) for number, data in ready])
        if chain is not None:
            chain.add([_dependent(draft, futures[call.number - first], call) for call in held])
        return futures

    def session(self) -> Session:
        """The session, opened at the first call."""
        if self._session is None:
            self._session = self._open_session(self._settings, self._executor_id)
        return self._session

    def close(self) -> None:
        """Close the session, if there is one; the next call opens another."""
        chain, session = self._chain, self._session
        self._chain = self._session = None
        if chain is not None:
            chain.close()
        if session is not None:
            session.close()

    @property
    def has_session(self) -> bool:
        """Whether anything was asked of the hosts since the last close."""
        return self._session is not None

    def _get_chain(self) -> Chain:
        if self._chain is None:
            self._chain = Chain(self._executor_id, short_lived=self._in_worker)
        return self._chain

    def _order(
        self, function: Callable[..., Any], items: Sequence[Any], job_id: str, options: dict[str, Any]
    ) -> Order:
        defaults = self._settings.lithops
        return Order(
            function=function,
            items=items,
            executor_id=self._executor_id,
            job_id=job_id,
            include_modules=_merged(defaults.include_modules, options.pop("include_modules", ())),
            exclude_modules=_merged(defaults.exclude_modules, options.pop("exclude_modules", ())) or (),
            chunksize=options.pop("chunksize", None) or 1,
            timeout=options.pop("timeout", None) or defaults.execution_timeout,
            retries=options.pop("retries", defaults.retries),
            data_limit=defaults.data_limit,
            created_at=self._clock(),
            **options,
        )


def _dependent(draft: OrderDraft, future: ResponseFuture, call: Held) -> Dependent:
    return Dependent(draft, future, call.inputs, call.item)


def _merged(
    configured: Optional[Iterable[str]], called: Optional[Iterable[str]]
) -> Optional[tuple[str, ...]]:
    """The modules of the configuration and of the call; None is none, unless the call names some."""
    if called is None or (configured is None and not called):
        return None
    return (*(configured or ()), *called)
