"""What the calls of a job print: from this machine's disk, and from the hosts that run them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Optional

from lithops.backends.machine import Link, Machine
from lithops.dispatch.client import AgentClient
from lithops.errors import HostError
from lithops.printing import Lines
from lithops.state.keepsakes import Keepsakes
from lithops.state.records import state_folder
from lithops_agent.protocol import Part

_PAUSE = 1.0


class Listening:
    """Shows what calls of a job print, each line once, whoever tells it first.

    Args:
        job_key: the job.
        number: the one call that is listened to; None: all.
        lines: cuts it into lines.
        write: shows lines.
    """

    def __init__(
        self, job_key: str, number: Optional[int], lines: Lines, write: Callable[[list[str]], None]
    ) -> None:
        self._job = job_key
        self._number = number
        self._lines = lines
        self._write = write
        self._lock = threading.Lock()
        self.heard = False
        """Whether anything was printed at all."""

    def read_kept(self) -> None:
        """Show what is on this machine. Raises OSError."""
        self._show(Keepsakes(state_folder()).printed(self._job), is_all=True)

    def ask(self, machine: Machine) -> Optional[int]:
        """Show what a host tells now; how many calls of the job it has that have not ended, None: no agent.

        Raises:
            HostError: it can't be reached.
        """
        link = machine.find()
        if link is None:
            return None
        with _client(link) as client:
            return self._poll(client.client, 0, 0.0)[1]

    def follow(self, machine: Machine, is_over: Callable[[], bool]) -> None:
        """Show what a host tells, until the job is over and the host has none of its calls any more.

        Raises:
            HostError: it can't be reached.
        """
        over = threading.Event()
        while (link := machine.find()) is None:
            if is_over() or over.wait(_PAUSE):
                return
        cursor = 0
        with _client(link) as client:
            while True:
                ends = is_over()
                cursor, left = self._poll(client.client, cursor, _PAUSE)
                if ends and not left:
                    return
                if not left:
                    over.wait(_PAUSE)

    def _poll(self, client: AgentClient, cursor: int, wait: float) -> tuple[int, int]:
        with self._lock:
            seen = self._lines.seen(self._job)
        header, parts = client.printed(self._job, cursor, seen, wait)
        running = set(header["running"])
        # A call that runs may have ended in an earlier attempt of which nothing is left.
        self._show([part for part in parts if part.number not in running], is_all=True)
        self._show([part for part in parts if part.number in running], is_all=False)
        return int(header["cursor"]), int(header["left"])

    def _show(self, parts: Sequence[Part], *, is_all: bool) -> None:
        mine = [part for part in parts if self._number is None or part.number == self._number]
        with self._lock:
            self.heard = self.heard or bool(mine)
            for part in mine:
                lines = self._lines.hear(part, is_all=is_all)
                if lines:
                    self._write(lines)

    def end(self) -> None:
        """Show the beginnings of lines that are left."""
        with self._lock:
            lines = self._lines.forget(self._job)
            if lines:
                self._write(lines)


class _client:
    """A client that closes its link, too."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.client = AgentClient(link.opener, link.token, link.host)

    def __enter__(self) -> _client:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._link.close()


def follow_all(
    machines: Sequence[Machine], listening: Listening, is_over: Callable[[], bool]
) -> list[HostError]:
    """Follow all hosts at the same time until the job is over; those that could not be followed, and why."""
    failures: list[HostError] = []

    def work(machine: Machine) -> None:
        try:
            listening.follow(machine, is_over)
        except HostError as exc:
            failures.append(exc)

    threads = [
        threading.Thread(target=work, args=(machine,), name=f"follow {machine.name}", daemon=True)
        for machine in machines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
