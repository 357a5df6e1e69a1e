"""Run the calls of a map again when they fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from lithops.errors import WaitTimeout
from lithops.future import ResponseFuture
from lithops.job.waiting import Waiter
from lithops.progress import Count, Progress
from lithops.wait import ALL_COMPLETED, activity_of, cancel, target_of

if TYPE_CHECKING:
    from lithops.executors import FunctionExecutor


_ONE_ATTEMPT = {"retries": 0}
"""Attempts are counted here, and not by what dispatches the calls."""


class RetryingFuture:
    """The future of a call that is run again when it fails, up to ``retries`` times.

    ``response_future`` is the future of the last attempt, ``failure_count`` how many have failed.
    A call is run again by `RetryingFunctionExecutor.wait`.
    """

    def __init__(
        self,
        response_future: ResponseFuture,
        map_function: Callable[..., Any],
        input: Any,
        retries: Optional[int] = None,
        **map_kwargs: Any,
    ) -> None:
        self.response_future = response_future
        self.map_function = map_function
        self.input = input
        self.retries = retries or 0
        self.map_kwargs = map_kwargs
        self.failure_count = 0
        self.cancelled = False
        self._counted: Optional[ResponseFuture] = None

    def cancel(self) -> None:
        """Make no further attempt, and cancel the present one."""
        self.cancelled = True
        self.response_future.cancel()

    @property
    def done(self) -> bool:
        """The last attempt has ended."""
        return self.response_future.done

    @property
    def error(self) -> bool:
        """The last attempt has failed."""
        return self.response_future.error

    @property
    def stats(self) -> dict[str, Any]:
        """The numbers of the last attempt."""
        return self.response_future.stats

    def status(
        self, throw_except: bool = True, internal_storage: object = None, check_only: bool = False
    ) -> Optional[dict[str, Any]]:
        """How the last attempt ended: see `ResponseFuture.status`."""
        return self.response_future.status(throw_except=throw_except, check_only=check_only)

    def result(
        self, throw_except: bool = True, internal_storage: object = None, timeout: Optional[float] = None
    ) -> Any:
        """What the last attempt returned: see `ResponseFuture.result`."""
        return self.response_future.result(throw_except=throw_except, timeout=timeout)

    def _should_retry(self) -> bool:
        """Count the last attempt, once, if it has failed; tell whether there is to be another."""
        if self.error and self._counted is not self.response_future:
            self._counted = self.response_future
            self.failure_count += 1
        return self.error and not self.cancelled and self.failure_count <= self.retries

    def _retry(self, executor: FunctionExecutor) -> None:
        number = self.response_future._number  # The function may ask for it by its parameter `id`.
        job_id = executor._submitter.new_job_id("M")
        self.response_future = executor._run(
            self.map_function, [self.input], job_id, first_number=number, **self.map_kwargs, **_ONE_ATTEMPT
        )[0]


class RetryingFunctionExecutor:
    """Wraps an executor: its ``map`` takes ``retries``, and its ``wait`` runs failed calls again.

    >>> with RetryingFunctionExecutor(FunctionExecutor()) as executor:  # doctest: +SKIP
    ...     futures = executor.map(function, data, timeout=60, retries=2)
    ...     done, pending = executor.wait(futures, throw_except=False)
    """

    def __init__(self, executor: FunctionExecutor) -> None:
        self.executor = executor
        self.config = executor.config

    def __enter__(self) -> RetryingFunctionExecutor:
        self.executor.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.executor.__exit__(*exc_info)

    def map(
        self,
        map_function: Callable[..., Any],
        map_iterdata: Iterable[Any],
        *args: Any,
        retries: Optional[int] = None,
        **kwargs: Any,
    ) -> list[RetryingFuture]:
        """As `FunctionExecutor.map`. ``retries``: how often a call is run again after it has failed or
        exceeded ``timeout``; else ``lithops.retries`` of the configuration."""
        from lithops.job.arguments import items_of

        count = self.executor._settings.lithops.retries if retries is None else retries
        job_id, options = self.executor._map_options(*args, **kwargs)
        items = items_of(map_iterdata)
        futures = self.executor._map(map_function, items, job_id, {**options, **_ONE_ATTEMPT})
        return [
            RetryingFuture(future, map_function, item, count, **options)
            for future, item in zip(futures, items)
        ]

    def wait(
        self,
        fs: Union[RetryingFuture, Sequence[RetryingFuture]],
        throw_except: bool = True,
        return_when: float = ALL_COMPLETED,
        download_results: bool = False,
        timeout: Optional[float] = None,
        threadpool_size: Optional[int] = None,
        wait_dur_sec: Optional[float] = None,
        show_progressbar: bool = True,
    ) -> tuple[list[RetryingFuture], list[RetryingFuture]]:
        """Wait, and run calls that fail again, until enough have succeeded or used up their attempts.

        Gives those that have and those that have not. The arguments are those of `lithops.wait.wait`.

        Raises:
            WaitTimeout: too few have ended in time; the calls go on.
            Exception: with ``throw_except``, what a call failed with in its last attempt.
        """
        futures = [fs] if isinstance(fs, RetryingFuture) else list(fs)
        attempts = _Attempts(self.executor, futures, throw_except)
        target = target_of(return_when, len(futures))
        progress = Progress(show_progressbar, time.monotonic)
        try:
            attempts.run(target, timeout, progress)
        except KeyboardInterrupt:
            cancel([future.response_future for future in futures])
            raise
        finally:
            attempts.leave()
            progress.close()
        if download_results:
            for future in attempts.ended:
                future.response_future._decode()
        ended = set(map(id, attempts.ended))
        return attempts.in_order(ended, True), attempts.in_order(ended, False)

    def clean(
        self,
        fs: Optional[Iterable[RetryingFuture]] = None,
        cs: object = None,
        clean_cloudobjects: bool = True,
        clean_fn: bool = False,
        force: bool = False,
    ) -> None:
        """As `FunctionExecutor.clean`."""
        chosen = None if fs is None else [future.response_future for future in fs]
        self.executor.clean(fs=chosen, force=force)


class _Attempts:
    """One wait: which attempt belongs to which future, and which futures need no further one."""

    def __init__(self, executor: FunctionExecutor, futures: list[RetryingFuture], throw: bool) -> None:
        self._executor = executor
        self._futures = futures
        self._throw = throw
        self._waiter = Waiter(stop_on_failure=True)
        self._owners = {future.response_future: future for future in futures}
        self._failed = 0
        self.ended: list[RetryingFuture] = []

    def run(self, target: int, timeout: Optional[float], progress: Progress) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        self._waiter.watch(list(self._owners))
        failures = 0
        pause: Optional[float] = 0
        while True:
            fresh = self._waiter.wait(target + failures, pause)
            failures += self._settle(fresh)
            count = Count(len(self.ended), len(self._futures), self._failed)
            progress.show(count, lambda: activity_of(list(self._owners)))
            if len(self.ended) >= target:
                return
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                counts = f"{len(self.ended)} of {len(self._futures)} calls"
                raise WaitTimeout(f"{counts} have ended within {timeout} s; the others go on")
            look = progress.next_look()
            pause = min((seconds for seconds in (left, look) if seconds is not None), default=None)

    def _settle(self, fresh: Iterable[ResponseFuture]) -> int:
        """Look at attempts that have ended, and start others; gives the number of those."""
        again = []
        failed = None
        for attempt in fresh:
            future = self._owners.pop(attempt)
            if future._should_retry():
                again.append(future)
                continue
            self.ended.append(future)
            self._failed += attempt.error
            if attempt.error and failed is None:
                failed = attempt
        for future in again:
            future.response_future._read = True
            future._retry(self._executor)
            self._owners[future.response_future] = future
        self._waiter.watch([future.response_future for future in again])
        if failed is not None and self._throw:
            failed._throw()
        return len(again)

    def leave(self) -> None:
        self._waiter.leave(list(self._owners))

    def in_order(self, ended: set[int], wanted: bool) -> list[RetryingFuture]:
        return [future for future in self._futures if (id(future) in ended) is wanted]
