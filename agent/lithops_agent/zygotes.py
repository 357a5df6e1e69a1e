"""The zygotes of an agent: one for each runtime that calls need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lithops_agent.listener import Listener
from lithops_agent.runtimes import choice
from lithops_agent.runtimes.zygote import Zygote
from lithops_agent.worker_protocol import Order

_LINGER = 30.0
"""Seconds without a worker after which zygotes end, for the memory that they hold."""


class Zygotes:
    """Starts zygotes when they are wanted, and ends them when they are not. For one thread at a time.

    ``worker_path`` is what they import lithops_agent and cloudpickle from, ``folder`` the agent's home.
    ``listener`` listens to each; who speaks is then to be `hear`-d. ``on_end`` is told of each that ended by
    itself, and how: its workers end with it.
    """

    def __init__(
        self,
        listener: Listener[Any],
        *,
        worker_path: str,
        folder: Path,
        on_end: Callable[[Zygote, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._worker_path = worker_path
        self._folder = folder
        self._on_end = on_end
        self._clock = clock
        self._zygotes: dict[str, Zygote] = {}
        self._used_at = clock()

    def __iter__(self) -> Iterator[Zygote]:
        return iter(self._zygotes.values())

    def __len__(self) -> int:
        return len(self._zygotes)

    def prepare(self, runtime: choice.Runtime, processes: int) -> Zygote:
        """The zygote of a runtime, which lingers for the first worker from now on. Raises OSError.

        ``processes`` is how many workers are to be expected.
        """
        self._used_at = self._clock()
        return self._wanted(runtime, processes)

    def fork(
        self, runtime: choice.Runtime, order: Order, fds: Sequence[int], processes: int
    ) -> tuple[Zygote, int]:
        """Start a worker of a runtime; its zygote, and what `Zygote.fork` returns. Raises OSError."""
        words = ""
        for _ in range(2):
            zygote = self._wanted(runtime, processes)
            try:
                return zygote, zygote.fork(order, fds)
            except (BrokenPipeError, ConnectionResetError):
                # It has ended, and the news of it was not heard yet.
                words = self._bury(zygote)
        raise OSError(f"it ended at once: {words}" if words else "it ended at once")

    def _wanted(self, runtime: choice.Runtime, processes: int) -> Zygote:
        zygote = self._zygotes.get(choice.key_of(runtime))
        if zygote is None:
            zygote = choice.start_zygote(
                runtime, worker_path=self._worker_path, folder=self._folder, processes=processes
            )
            self._zygotes[zygote.key] = zygote
            self._listener.attend(zygote.socket, zygote)
        return zygote

    def hear(self, zygote: Zygote) -> dict[str, Any]:
        """What a zygote says that speaks; nothing if that is that it has ended."""
        if self._zygotes.get(zygote.key) is not zygote:
            return {}  # A thread that wanted to start a worker has noticed its end since.
        message = zygote.receive()
        if message is None:
            self._bury(zygote)
            return {}
        return message

    def _bury(self, zygote: Zygote) -> str:
        self._listener.ignore(zygote.socket)
        self._zygotes.pop(zygote.key, None)
        words = zygote.last_words()
        zygote.close()
        self._on_end(zygote, f"{zygote.name} ended" + (f": {words}" if words else ""))
        return words

    def end_idle(self, is_used: bool) -> None:
        """End all if they were not used for a while; ``is_used`` tells whether they are now."""
        now = self._clock()
        if is_used:
            self._used_at = now
        elif now - self._used_at >= _LINGER:
            for zygote in self:
                self._listener.ignore(zygote.socket)
                zygote.close()
            self._zygotes.clear()

    def close(self) -> None:
        """End all, with their workers. None is started in the place of one of these."""
        for zygote in self:
            zygote.close()
