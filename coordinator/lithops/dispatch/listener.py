"""Hears what the calls of a session print while they run on one host, when the user wants to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lithops.backends.machine import Link
from lithops.dispatch.client import AgentClient, Refused
from lithops.errors import HostError

if TYPE_CHECKING:
    from lithops.dispatch.runner import HostRunner

_RUNNING_ONLY = 1 << 62
"""A cursor behind all results: what ended calls printed comes along with their results."""
_PAUSE = 0.2


class Listener:
    """Polls for what running calls print. What calls that have ended printed comes with their results."""

    def __init__(self, runner: HostRunner) -> None:
        self._runner = runner
        self._session = runner.session

    def run(self) -> None:
        """The thread: listen while there is work."""
        runner, name = self._runner, self._runner.name
        while (link := runner.wait_for_link(lambda: self._session.has_work(name))) is not None:
            client = runner.client(link)
            try:
                while self._listen(client, link):
                    pass
            except HostError as exc:
                runner.broke(link, exc)
            finally:
                client.close()

    def _listen(self, client: AgentClient, link: Link) -> bool:
        session, printer = self._session, self._session.options.printer
        for job in session.jobs_on(self._runner.name):
            if printer is not None:
                try:
                    _, parts = client.printed(job, _RUNNING_ONLY, printer.seen(job), 0.0)
                except Refused:
                    continue  # Its agent is an older one, which does not tell.
                printer.show(parts, session.awaited.has)
        with session.lock:
            self._runner.changed.wait_for(lambda: self._runner.is_off(link), _PAUSE)
            return not self._runner.is_off(link) and session.has_work(self._runner.name)
