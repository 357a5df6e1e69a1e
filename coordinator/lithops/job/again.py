"""Run calls again with the data that they had, and a function that may be another one."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lithops.errors import LithopsError, ScriptError
from lithops.future import ResponseFuture
from lithops.futures_list import FuturesList
from lithops.job.draft import Order, OrderDraft

if TYPE_CHECKING:
    from lithops.state.spool import SpooledJob

_MODULE = "__lithops_retry__"
"""The name of a script that is imported: it is none that a host could import, so functions go by value."""


def load_function(path: str, name: str) -> Callable[..., Any]:
    """A function of a script, as the file is now. What the script does for ``__main__`` is not done.

    Raises:
        ScriptError: there is no such file or function, or the script can't be imported.
    """
    if not path or not name or "<" in name:
        raise ScriptError(
            f"the function of the job ({name or 'of no name'}) can't be found again by its name: say which "
            "one with --script FILE --function NAME"
        )
    found: Any = _import(path)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ScriptError(f"{path} has no function {name}: say which one with --function")
        found = getattr(found, part)
    if not callable(found):
        raise ScriptError(f"{name} of {path} is no function")
    function: Callable[..., Any] = found
    return function


def _import(path: str) -> ModuleType:
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
    except OSError as exc:
        raise ScriptError(f"{path} can't be read ({exc.strerror}): say where it is with --script") from exc
    except (SyntaxError, ValueError) as exc:
        raise ScriptError(f"{path} can't be imported: {type(exc).__name__}: {exc}") from exc
    module = ModuleType(_MODULE)
    module.__file__ = path
    folder = os.path.dirname(os.path.abspath(path))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with _without_calls(path):
        try:
            exec(code, module.__dict__)
        except LithopsError:
            raise
        except (Exception, SystemExit) as exc:
            raise ScriptError(f"{path} can't be imported: {type(exc).__name__}: {exc}") from exc
    return module


@contextlib.contextmanager
def _without_calls(path: str) -> Iterator[None]:
    """A script that runs calls when it is imported would run all of the job again."""
    from lithops.executors import FunctionExecutor

    def refuse(*_: object) -> Any:
        raise ScriptError(
            f'{path} runs calls when it is imported: put what it does below `if __name__ == "__main__":`'
        )

    before = FunctionExecutor.__dict__["_session_factory"]
    FunctionExecutor._session_factory = staticmethod(refuse)
    try:
        yield
    finally:
        FunctionExecutor._session_factory = before


@contextlib.contextmanager
def call_again(
    config: Mapping[str, Any], function: Callable[..., Any], kept: SpooledJob, numbers: Sequence[int]
) -> Iterator[FuturesList]:
    """The futures of calls that run again as a job of their own; their executor is closed at the end.

    Raises:
        SerializationError, ConfigError: nothing was sent.
    """
    from lithops.executors import FunctionExecutor
    from lithops.job.submitter import shipper

    old = kept.job
    with FunctionExecutor(config=dict(config)) as fexec:
        submitter = fexec._submitter
        order = Order(
            function=function,
            items=[None] * len(numbers),
            executor_id=fexec.executor_id,
            # Not the name of a new job: M000 goes on to mean the old one.
            job_id=f"{old.job_id.rstrip('r')}r",
            extra_env=old.extra_env,
            chunksize=old.chunksize,
            runtime_memory=old.runtime_memory,
            timeout=old.timeout,
            retries=old.retries,
            created_at=fexec._clock(),
        )
        draft = OrderDraft(order, shipper)
        for number in numbers:
            draft.need_modules_of(kept.payloads[number])
        draft.job()  # What is wrong with its modules is said before a session is opened.
        session = submitter.session()
        info = draft.info(
            runtime_name=kept.info.runtime_name, session=session, queue=None, clock=fexec._clock
        )
        futures = FuturesList(ResponseFuture(info, number) for number in numbers)
        fexec.futures.extend(futures)
        draft.submit(session, [(future, kept.payloads[future._number]) for future in futures])
        yield futures
