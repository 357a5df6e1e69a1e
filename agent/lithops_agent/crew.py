"""The workers of a host: their processes, by number, and the zygotes that these come from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union

from lithops_agent.journal import Journal
from lithops_agent.listener import Listener
from lithops_agent.orders import Orders
from lithops_agent.processes import OomKills, Process, Report, describe_exit
from lithops_agent.protocol import JobSpec
from lithops_agent.runtimes import choice
from lithops_agent.runtimes.zygote import Zygote
from lithops_agent.zygotes import Zygotes

Speaker = Union[Process, Zygote]


class Exit(NamedTuple):
    """How a worker ended: in words, and whether for the want of memory.

    ``blameless``: not for anything that its call did, as far as is known.
    """

    how: str
    out_of_memory: bool = False
    blameless: bool = False


class Crew:
    """Starts workers, and tells what they report and how they end. For one thread at a time.

    ``listener`` listens to all of them; those who speak are then to be `heard`. ``on_reports`` is told what
    a worker reports. ``on_exit`` is told when one has ended: it has reported all that it had to by then, and
    is not in the crew any more. Both may be told while another one is started, too.
    """

    def __init__(
        self,
        journal: Journal,
        orders: Orders,
        listener: Listener[Speaker],
        *,
        worker_path: str,
        folder: Path,
        on_reports: Callable[[Process, Sequence[Report]], None],
        on_exit: Callable[[Process, Exit], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._orders = orders
        self._listener = listener
        self._on_reports = on_reports
        self._on_exit = on_exit
        self._processes: dict[int, Process] = {}
        self._oom_kills = OomKills()
        self.zygotes = Zygotes(
            listener, worker_path=worker_path, folder=folder, on_end=self._zygote_ended, clock=clock
        )

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def __len__(self) -> int:
        return len(self._processes)

    def get(self, worker: int) -> Process | None:
        """A worker that was started and has not ended."""
        return self._processes.get(worker)

    def start(self, worker: int, spec: JobSpec, processes: int) -> None:
        """Start a worker for a job; ``processes`` is how many workers are to be expected.

        Raises OSError when that can't be. One that could not be forked `has_ended` then, which is left to
        the caller to tell; one that this process has no descriptors for is not in the crew.
        """
        order = self._orders.order(worker, spec)
        process = Process(worker, spec.job, str(self._journal.log_path(worker)), order["note"])
        self._processes[worker] = process
        runtime = choice.runtime_of(spec)
        process.start(lambda fds: self.zygotes.fork(runtime, order, fds, processes))
        self._listener.attend(process.results, process)

    def heard(self, speakers: Sequence[Speaker]) -> None:
        """These have something to say."""
        for speaker in speakers:
            if isinstance(speaker, Process) and speaker.worker in self._processes:
                self._read(speaker)
        # A worker's reports come before the news of its end.
        for speaker in speakers:
            if isinstance(speaker, Zygote):
                self._hear(self.zygotes.hear(speaker))

    def _read(self, process: Process) -> None:
        reports = process.receive()
        if reports is None:
            self._listener.ignore(process.results)
        else:
            self._on_reports(process, reports)

    def _hear(self, message: dict[str, Any]) -> None:
        if "started" in message:
            process = self._processes.get(message["started"])
            if process is not None:
                process.started(message["pid"])
        elif "exited" in message:
            status = message["status"]
            self.has_ended(message["exited"], Exit(describe_exit(status), self._oom_kills.explain(status)))
        elif "failed" in message:
            self.has_ended(message["failed"], Exit(f"no new process can be made: {message['why']}"))

    def has_ended(self, worker: int, how: Exit) -> None:
        """A worker has ended, or could not be started. Nothing is done about one that is not known."""
        process = self._processes.pop(worker, None)
        if process is None:
            return
        self._on_reports(process, process.drain())
        self._on_exit(process, how)
        self._listener.ignore(process.results)
        process.close()

    def _zygote_ended(self, zygote: Zygote, how: str) -> None:
        for process in [process for process in self if process.zygote is zygote]:
            process.kill()
            self.has_ended(process.worker, Exit(how, blameless=True))

    def tidy(self, is_held: bool) -> None:
        """Cut logs that are too long, and end zygotes that nobody needs, unless it ``is_held``."""
        for process in self:
            process.log.trim()
        self.zygotes.end_idle(is_used=is_held or bool(self))
