"""What the program does last.

At its exit, what was registered last is called first. paramiko is imported late and then registers that
all of its connections stop; hosts are told before, over these connections, that the program ends. The
connections to the API of a cloud end by a finalizer, and finalizers are called by weakref, which registers
itself with the first of them: here, so that it comes before what is registered below.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator

_callbacks: list[Callable[[], None]] = []
_early: dict[Callable[[], None], int] = {}


def _nothing() -> None: ...


weakref.finalize(_nothing, _nothing).detach()


def register(callback: Callable[[], None]) -> None:
    """Call this at the exit, once, before all that was registered so far."""
    if callback not in _callbacks:
        _callbacks.append(callback)
    go_first()


def register_early(callback: Callable[[], None]) -> None:
    """Call this in this process when the main thread has ended, once: while threads can still be started,
    which connections to hosts need, and before pools of threads close."""
    # That is where it registers that its pools close.
    import concurrent.futures.thread  # noqa: F401

    def call() -> None:
        # Not in a child that was forked, and ends before.
        if os.getpid() == _early[callback]:
            callback()

    if callback not in _early:
        # Python has no public way; this is what concurrent.futures uses.
        threading._register_atexit(call)  # type: ignore[attr-defined]
    _early[callback] = os.getpid()


def go_first() -> None:
    """Something else has registered itself: have ours called before it."""
    for callback in _callbacks:
        atexit.unregister(callback)
        atexit.register(callback)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt here, also where an interrupted program ends and ignores it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
