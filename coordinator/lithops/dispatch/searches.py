"""Jobs of an earlier process, and who is still asked which of their calls it has. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class Searches:
    """For each job the hosts that have not told yet. A search is over when none of them is left."""

    def __init__(self) -> None:
        self._asked: dict[str, set[str]] = {}

    def begin(self, job: str, hosts: Iterable[str]) -> None:
        """These hosts are asked for the calls of a job."""
        self._asked[job] = set(hosts)

    def told(self, job: str, host: str) -> bool:
        """A host has told what it has of a job, or never will; whether the search is over by that."""
        hosts = self._asked.get(job)
        if hosts is None:
            return False
        hosts.discard(host)
        if not hosts:
            del self._asked[job]
        return not hosts

    def jobs(self) -> list[str]:
        """The jobs that are searched for."""
        return list(self._asked)

    def asked_of(self, host: str) -> list[str]:
        """The jobs of which a host has not told yet what it has."""
        return [job for job, hosts in self._asked.items() if host in hosts]
