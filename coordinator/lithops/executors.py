"""Executors: what a script calls to run its functions."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from lithops import at_exit
from lithops.calls import Calls
from lithops.errors import NotSupportedYet, WaitTimeout
from lithops.future import ResponseFuture
from lithops.futures_list import FuturesList
from lithops.job.info import owners
from lithops.wait import ALL_COMPLETED, Futures, Gathering, as_list, collect

if TYPE_CHECKING:
    from lithops.accounting.summary import JobSummary
    from lithops.config import Settings
    from lithops.job.model import Session

LogLevel = Union[str, int, None, Literal[False]]

_numbers = itertools.count()
_session_ids: dict[int, str] = {}


def _open_session(settings: Settings, executor_id: str) -> Session:
    from lithops.dispatch import open_session

    session: Session = open_session(settings, executor_id)
    return session


class FunctionExecutor(Calls):
    """Runs functions on the hosts of a configuration.

    Args:
        mode: ``localhost`` or ``standalone``.
        config: the configuration as a dictionary; without it, it is looked for (see the guide).
        config_file: the path of a configuration.
        backend: ``localhost``, ``vm`` …
        storage, monitoring: as in the configuration.
        log_level: from which level messages are shown; None: none; False: as the configuration says.
        backend_keys: any key of the backend's section, such as ``runtime`` or ``worker_processes``.

    Raises:
        ConfigError: the configuration is wrong. Hosts are not contacted before the first call.
    """

    _session_factory: Callable[[Settings, str], Session] = staticmethod(_open_session)
    _clock: Callable[[], float] = staticmethod(time.time)

    def __init__(
        self,
        mode: Optional[str] = None,
        config: Optional[Mapping[str, Any]] = None,
        config_file: Optional[str] = None,
        backend: Optional[str] = None,
        storage: Optional[str] = None,
        monitoring: Optional[str] = None,
        log_level: LogLevel = False,
        **backend_keys: Any,
    ) -> None:
        from lithops.config import default_config, resolve
        from lithops.ending import Ending
        from lithops.job.submitter import Submitter

        in_worker = "LITHOPS_WORKER" in os.environ
        if in_worker and config is None and config_file is None and backend is None and mode is None:
            # Nested: the host of this call, whatever configuration may lie around there.
            config = {"lithops": {"mode": "localhost", "backend": "localhost"}}
        chosen = {"mode": mode, "backend": backend, "storage": storage, "monitoring": monitoring}
        self.config: dict[str, Any] = default_config(
            config_file=config_file,
            config_data=config,
            config_overwrite={"lithops": _given(chosen), "backend": _given(backend_keys)},
        )
        self._settings = resolve(self.config)
        if not in_worker:
            self._set_up_logs(log_level)
        self.executor_id = _new_executor_id()
        self.mode = self._settings.mode
        self.backend = self._settings.backend_name
        super().__init__(
            Submitter(self.executor_id, self._settings, self._open, self._clock, in_worker=in_worker)
        )
        self._ending = Ending(self, self._submitter, dismantles=self._settings.standalone.ends_at_exit)
        owners[self.executor_id] = self

    def __enter__(self) -> FunctionExecutor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the connections, unless calls go on: those stay until the end of the program.

        A KeyboardInterrupt that leaves the block ends the calls too. With `standalone.auto_dismantle: exit`
        the hosts are dismantled, whatever goes on there; if one can't be, HostError is raised, unless another
        exception leaves the block.
        """
        if exc_info and exc_info[0] is KeyboardInterrupt:
            self._ending.interrupt()
        if self._ending.dismantles:
            self._ending.dismantle_used(quietly=bool(exc_info) and exc_info[0] is not None)
        elif all(future.done and not future._may_have_children for future in self._unread):
            self._ending.close()

    def __repr__(self) -> str:
        from lithops.display import describe_executor

        return describe_executor(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from lithops.display import executor_html

        return executor_html(self)

    def find_future(self, job_id: str, number: int) -> Optional[ResponseFuture]:
        """The future of a call that this executor made, while it remembers the call."""
        futures = self._jobs.get(job_id, ())
        place = number - futures[0]._number if futures else -1
        return futures[place] if 0 <= place < len(futures) else None

    def job_futures(self, job_id: str) -> Sequence[ResponseFuture]:
        """The futures of a job, while this executor remembers it."""
        return self._jobs.get(job_id, ())

    # ---- results ------------------------------------------------------------------------------------

    def wait(
        self,
        fs: Optional[Futures] = None,
        throw_except: bool = True,
        return_when: float = ALL_COMPLETED,
        download_results: bool = False,
        timeout: Optional[float] = None,
        threadpool_size: Optional[int] = None,
        wait_dur_sec: Optional[float] = None,
        show_progressbar: bool = True,
    ) -> tuple[FuturesList, FuturesList]:
        """Wait until calls have ended: those of ``fs``, or all of this executor.

        Gives two lists: those that have ended, and those that have not. See `lithops.wait.wait`
        for the arguments and the errors.
        """
        futures = self.futures if fs is None else as_list(fs)
        done, not_done = self._gather(
            futures, fs is None, throw_except, return_when, download_results, timeout, show_progressbar
        ).split()
        done.executor = not_done.executor = self
        return done, not_done

    def get_result(
        self,
        fs: Optional[Futures] = None,
        throw_except: bool = True,
        timeout: Optional[float] = None,
        threadpool_size: Optional[int] = None,
        wait_dur_sec: Optional[float] = None,
        show_progressbar: bool = True,
    ) -> Any:
        """Wait for calls and give their results: those of ``fs``, or all that were not read yet.

        The results of a `map` are a list, whatever their number; the one result of other calls
        comes bare. See `lithops.wait.get_result` for the arguments and the errors.
        """
        self._unread = [future for future in self._unread if not future._read]
        futures = self._unread if fs is None else as_list(fs)
        self._gather(futures, False, throw_except, ALL_COMPLETED, True, timeout, show_progressbar)
        results = collect(futures, throw_except)
        _mark_read(futures)
        bare = isinstance(fs, ResponseFuture) or not any(map(_is_of_map, futures))
        return results[0] if bare and len(results) == 1 else results

    def _gather(
        self,
        futures: Sequence[ResponseFuture],
        skip_known: bool,
        throw_except: bool,
        return_when: float,
        download_results: bool,
        timeout: Optional[float],
        show_progressbar: bool,
    ) -> Gathering:
        known = _was_read if skip_known else _never
        gathering = Gathering(futures, return_when, throw_except, download_results, known)
        try:
            gathering.run(timeout, show_progressbar, time.monotonic)
        except WaitTimeout:
            raise
        except BaseException:
            # As in Lithops: after a failure, get_result() is about the calls that come later.
            _mark_read(futures)
            raise
        return gathering

    def attach(self, job_id: str) -> FuturesList:
        """The futures of a job that another process submitted to the hosts of this configuration.

        They count as this executor's: ``get_result()`` waits for them. See `lithops.attach`.

        Raises:
            JobUnknown: there is no such job, or its results were collected and forgotten.
        """
        from lithops.attachment import find, open_attachment

        records = find(job_id)
        attachment = open_attachment(records[0].executor_id, self)
        futures = FuturesList(attachment.futures_of(records), self)
        known = {id(future) for future in self.futures}
        fresh = [future for future in futures if id(future) not in known]
        self.futures.extend(fresh)
        self._unread.extend(fresh)
        return futures

    # ---- the end ------------------------------------------------------------------------------------

    def clean(
        self,
        fs: Optional[Futures] = None,
        cs: object = None,
        clean_cloudobjects: bool = True,
        clean_fn: bool = False,
        force: bool = False,
        on_exit: bool = False,
    ) -> None:
        """Forget calls that have ended and were read (with ``force``: all), to free their memory.

        Futures that the program holds keep their results. The other arguments are Lithops'.
        """
        chosen = None if fs is None else {id(future) for future in as_list(fs)}

        def goes(future: ResponseFuture) -> bool:
            if chosen is not None and id(future) not in chosen:
                return False
            return force or (future.done and (future._read or chosen is not None))

        for job_id, futures in list(self._jobs.items()):
            if all(map(goes, futures)):
                del self._jobs[job_id]
        self.futures[:] = [future for future in self.futures if not goes(future)]
        self._unread = [future for future in self._unread if not goes(future)]

    def dismantle(self) -> None:
        """End the agents of all hosts now, and the machines where the backend says so.

        Calls that have not ended are cancelled. Returns when every host has confirmed that its agent is gone;
        hosts without an agent are left alone, so calling it twice does nothing more.

        Raises:
            HostError: hosts that did not confirm; it names them.
        """
        self._ending.dismantle()

    def plot(self, fs: Optional[Futures] = None, dst: Optional[str] = None, figsize: Any = (10, 6)) -> None:
        """Reserved."""
        raise NotSupportedYet("not supported yet: FunctionExecutor.plot; the numbers are in future.stats")

    def job_summary(self, cloud_objects_n: int = 0) -> JobSummary:
        """What the calls that this executor remembers took, by function, and what its machines cost.

        ``print()`` shows it as a table, ``to_dict()`` is for JSON. ``cloud_objects_n`` is Lithops': the
        number of objects that the calls have written, which is only handed on.
        """
        from lithops.accounting import summary_of

        return summary_of(self._settings, self.executor_id, self.futures, self._clock(), cloud_objects_n)

    def _open(self, settings: Settings, executor_id: str) -> Session:
        from lithops import ending

        at_exit.register(ending.close_all)
        if settings.standalone.ends_at_exit:
            at_exit.register_early(ending.dismantle_all)
        return self._ending.begin(lambda: self._session_factory(settings, executor_id))

    def _set_up_logs(self, level: LogLevel) -> None:
        from lithops import logs

        if level is not False:
            logs.set_up(level)
        elif not logs.is_set_up():
            chosen = self._settings.lithops
            logs.set_up(chosen.log_level, chosen.log_format, chosen.log_stream, chosen.log_filename)


class LocalhostExecutor(FunctionExecutor):
    """Runs functions on this machine. The arguments are those of `FunctionExecutor`."""

    def __init__(
        self,
        config: Optional[Mapping[str, Any]] = None,
        config_file: Optional[str] = None,
        storage: Optional[str] = None,
        monitoring: Optional[str] = None,
        log_level: LogLevel = False,
        **backend_keys: Any,
    ) -> None:
        super().__init__(
            config=config,
            config_file=config_file,
            backend="localhost",
            storage=storage,
            monitoring=monitoring,
            log_level=log_level,
            **backend_keys,
        )


class StandaloneExecutor(FunctionExecutor):
    """Runs functions on hosts of its own. The arguments are those of `FunctionExecutor`."""

    def __init__(
        self,
        config: Optional[Mapping[str, Any]] = None,
        config_file: Optional[str] = None,
        backend: Optional[str] = None,
        storage: Optional[str] = None,
        monitoring: Optional[str] = None,
        log_level: LogLevel = False,
        **backend_keys: Any,
    ) -> None:
        super().__init__(
            mode="standalone",
            config=config,
            config_file=config_file,
            backend=backend,
            storage=storage,
            monitoring=monitoring,
            log_level=log_level,
            **backend_keys,
        )


class ServerlessExecutor(FunctionExecutor):
    """Reserved: there are no serverless backends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupportedYet("not supported yet: ServerlessExecutor; there are localhost and vm")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _is_of_map(future: ResponseFuture) -> bool:
    return future._produce_output and future.job_id.startswith("M")


def _mark_read(futures: Iterable[ResponseFuture]) -> None:
    for future in futures:
        future._read = True


def _was_read(future: ResponseFuture) -> bool:
    return future._read


def _never(future: ResponseFuture) -> bool:
    return False


def _new_executor_id() -> str:
    """Unique on every host that this process, or one that is forked from it, may share with others."""
    process = os.getpid()
    session_id = _session_ids.get(process)
    if session_id is None:
        session_id = _session_ids[process] = os.urandom(6).hex()
    return f"{session_id}-{next(_numbers)}"
