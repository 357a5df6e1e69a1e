"""What the workers of a job are told, and see: paths, variables, and the folder in which they run."""

from __future__ import annotations

from collections.abc import Mapping

from lithops_agent.journal import Journal
from lithops_agent.protocol import JobSpec
from lithops_agent.runtimes import choice
from lithops_agent.surroundings import Surroundings
from lithops_agent.worker_protocol import Order


class Orders:
    """Makes orders from jobs that are in the journal.

    ``worker_path`` is what workers import lithops_agent and cloudpickle from. ``base_env`` is added to the
    environment of each; variables of the runtime count more, and those of the job yet more.
    """

    def __init__(self, journal: Journal, *, worker_path: str, base_env: Mapping[str, str]) -> None:
        self._journal = journal
        self._worker_path = worker_path
        self._base_env = base_env

    def order(self, worker: int, spec: JobSpec) -> Order:
        """What a worker is told when it starts."""
        return {
            "worker": worker,
            "note": str(self._journal.note_path(worker, spec.job)),
            "folder": str(self._journal.job_folder(spec.job)),
            "function": str(self._journal.blob_path(spec.function)),
            "modules": self._modules(spec),
            "env": self._environment(spec),
            "cwd": spec.cwd or choice.home_of(spec),
            "home": "/" if spec.container is None else choice.home_of(spec),
        }

    def surroundings(self, spec: JobSpec) -> Surroundings:
        """What the workers of a job see."""
        modules = self._modules(spec)
        return Surroundings(
            job=spec.job,
            python=spec.runtime if spec.container is None else None,
            env=self._environment(spec),
            path=[*([modules] if modules else []), self._worker_path],
            cwd=spec.cwd or choice.home_of(spec),
            home=choice.home_of(spec),
        )

    def _modules(self, spec: JobSpec) -> str | None:
        return str(self._journal.modules_path(spec.modules)) if spec.modules else None

    def _environment(self, spec: JobSpec) -> dict[str, str]:
        return {
            **self._base_env,
            **choice.environment_of(spec),
            **spec.env,
            "LITHOPS_WORKER_DEPTH": str(spec.depth + 1),
            "LITHOPS_WORKER_SESSION": spec.session,
        }
