"""Wait for calls and collect their results, for futures of one or several executors."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from lithops.errors import WaitTimeout
from lithops.future import ResponseFuture, leaves
from lithops.futures_list import FuturesList
from lithops.job.waiting import Waiter, lock
from lithops.progress import Count, Progress

if TYPE_CHECKING:
    from lithops.job.model import Activity, Session

ALWAYS = 0
ANY_COMPLETED = 1
ALL_COMPLETED = 100
THREADPOOL_SIZE = 64
WAIT_DUR_SEC = 1

logger = logging.getLogger(__name__)

Futures = Union[ResponseFuture, Iterable[ResponseFuture]]


def as_list(fs: Futures) -> list[ResponseFuture]:
    """A list of futures from one, or from whatever holds them.

    Raises:
        TypeError: something in it is no future.
    """
    if isinstance(fs, ResponseFuture):
        return [fs]
    futures = list(fs)
    for future in futures:
        if type(future) is not ResponseFuture:
            raise TypeError(f"a future of a call was expected, not a {type(future).__qualname__}")
    return futures


def wait(
    fs: Futures,
    internal_storage: object = None,
    job_monitor: object = None,
    throw_except: bool = True,
    return_when: float = ALL_COMPLETED,
    download_results: bool = False,
    timeout: Optional[float] = None,
    threadpool_size: Optional[int] = None,
    wait_dur_sec: Optional[float] = None,
    show_progressbar: bool = True,
    futures_from_executor_wait: bool = False,
) -> tuple[FuturesList, FuturesList]:
    """Wait until calls have ended, and give those that have and those that have not, in order.

    ``return_when``: ALL_COMPLETED, ANY_COMPLETED, ALWAYS (give what there is at once), or the
    percentage of the calls to wait for. Futures that functions returned are waited for too, and
    stand behind their call. ``download_results`` unpickles the results here. ``timeout`` is in
    seconds. The arguments that are not named here are accepted for Lithops' sake and not needed.

    Raises:
        WaitTimeout: too few have ended in time; the calls go on.
        Exception: with ``throw_except``, what the first call that failed has failed with.
        KeyboardInterrupt: the calls that were waited for and have not ended are cancelled first.
    """
    futures = as_list(fs)
    gathering = Gathering(futures, return_when, throw_except, download_results)
    gathering.run(timeout, show_progressbar, time.monotonic)
    return gathering.split()


def get_result(
    fs: Futures,
    internal_storage: object = None,
    throw_except: bool = True,
    timeout: Optional[float] = None,
    threadpool_size: Optional[int] = None,
    wait_dur_sec: Optional[float] = None,
    show_progressbar: bool = True,
) -> list[Any]:
    """Wait for calls and give the list of their results. The errors are those of `wait`.

    The results of futures that a function returned stand in the place of its own. Without
    ``throw_except`` the result of a failed call is None.
    """
    futures = as_list(fs)
    wait(
        futures,
        throw_except=throw_except,
        download_results=True,
        timeout=timeout,
        show_progressbar=show_progressbar,
    )
    return collect(futures, throw_except)


def collect(futures: Iterable[ResponseFuture], throw_except: bool) -> list[Any]:
    """The results of calls that have ended; those whose results only feed other calls are left out."""
    wanted = leaves(future for future in futures if future._produce_output)
    return [future.result(throw_except=throw_except) for future in wanted if future._produce_output]


def cancel(futures: Iterable[ResponseFuture]) -> int:
    """Cancel those calls that have not ended, and give their number."""
    sessions: dict[int, tuple[Session, list[ResponseFuture]]] = {}
    count = 0
    for future in futures:
        if future.done:
            continue
        count += 1
        if future._info.queue is not None:
            future._info.queue.withdraw(future)
        session = future._info.session
        if session is not None and not future.done:
            sessions.setdefault(id(session), (session, []))[1].append(future)
    for session, its in sessions.values():
        session.cancel(its)
    return count


def activity_of(futures: Iterable[ResponseFuture]) -> Activity:
    """What goes on at the hosts of all sessions that these futures belong to."""
    from lithops.job.model import Activity

    sessions = {id(session): session for future in futures if (session := future._info.session)}
    told = [session.activity() for session in sessions.values()]
    return Activity(
        running=sum(each.running for each in told),
        ready=sum(each.ready for each in told),
        hosts=sum(each.hosts for each in told),
        doing=next((each.doing for each in told if each.doing), ""),
    )


class Gathering:
    """One wait: which futures it is about, when it is over, and what failed first."""

    def __init__(
        self,
        futures: Sequence[ResponseFuture],
        return_when: float,
        throw_except: bool,
        download_results: bool,
        known: Callable[[ResponseFuture], bool] = lambda future: False,
        *,
        cancels: bool = True,
    ) -> None:
        self._futures = futures
        target_of(return_when, 0)  # Say what is wrong with it before anything else.
        self._when = return_when
        self._throw = throw_except
        self._download = download_results
        self._known = known  # Whose failure the caller has been told already.
        self._cancels = cancels  # Whether an interrupt ends the calls, too.
        self._waiter = Waiter(stop_on_failure=throw_except)
        self._watched: list[ResponseFuture] = []
        self._failed = 0

    def run(self, timeout: Optional[float], show_progressbar: bool, clock: Callable[[], float]) -> None:
        """Wait. The errors are those of `wait`."""
        progress = Progress(show_progressbar, clock)
        deadline = None if timeout is None else clock() + timeout
        try:
            self._watch(self._futures)
            self._loop(deadline, timeout, progress, clock)
        except KeyboardInterrupt:
            if self._cancels:
                count = cancel(self._watched)
                logger.warning("interrupted: %d calls that had not ended are cancelled", count)
            raise
        finally:
            self._waiter.leave(self._watched)
            progress.close()

    def _loop(
        self,
        deadline: Optional[float],
        timeout: Optional[float],
        progress: Progress,
        clock: Callable[[], float],
    ) -> None:
        waiter = self._waiter
        pause: Optional[float] = 0
        while True:
            fresh = waiter.wait(self._target(), pause)
            self._settle(fresh)
            progress.show(Count(waiter.ended, waiter.total, self._failed), lambda: activity_of(self._watched))
            if fresh:
                pause = 0  # What these returned may have ended already: look again.
                continue
            if waiter.ended >= self._target():
                return
            left = None if deadline is None else deadline - clock()
            if left is not None and left <= 0:
                raise WaitTimeout(
                    f"{waiter.ended} of {waiter.total} calls have ended within {timeout} s; "
                    f"{waiter.total - waiter.ended} go on"
                )
            look = progress.next_look()
            pause = min((seconds for seconds in (left, look) if seconds is not None), default=None)

    def _watch(self, futures: Sequence[ResponseFuture]) -> None:
        for future in futures:
            if not future.done:
                future._bound_session()
        self._watched.extend(futures)
        self._waiter.watch(futures)

    def _settle(self, ended: Iterable[ResponseFuture]) -> None:
        """Look at futures that have ended: follow those that they returned, raise what failed."""
        for future in ended:
            self._failed += future._failed
            children = future._follow() if future._may_have_children else future._children
            if isinstance(children, FuturesList):
                self._watch(children)
            if self._download:
                future._decode()
            elif future._state == "Ready":
                future._state = "Success"
            future._see()
            if self._throw and future._failed and not self._known(future):
                future._throw()

    def _target(self) -> int:
        return target_of(self._when, self._waiter.total)

    def split(self) -> tuple[FuturesList, FuturesList]:
        """The futures that have ended and those that have not, each in the order of the calls."""
        done, not_done = FuturesList(), FuturesList()
        with lock:
            for future in _with_children(self._futures):
                (done if future._form else not_done).append(future)
        return done, not_done


def _with_children(futures: Iterable[ResponseFuture]) -> Iterable[ResponseFuture]:
    for future in futures:
        yield future
        if isinstance(future._children, FuturesList):
            yield from _with_children(future._children)


def target_of(return_when: float, total: int) -> int:
    """How many of ``total`` calls must have ended before a wait is over.

    Raises:
        ValueError: ``return_when`` is no percentage.
    """
    if return_when in (ANY_COMPLETED, -1):  # So it is called in Lithops 3.8.
        return min(1, total)
    if not 0 <= return_when <= 100:
        raise ValueError(f"return_when is a percentage from 0 to 100, not {return_when!r}")
    return math.ceil(total * return_when / 100)
