"""From jobs to hosts and back: which call goes where, and the loop that carries it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops.config.settings import Settings
    from lithops.dispatch.session import RemoteSession


def open_session(settings: Settings, executor_id: str) -> RemoteSession:
    """The session of an executor: the composition root of this side. Nothing is connected yet."""
    import os

    from lithops.config.settings import LocalhostSettings
    from lithops.dispatch.session import RemoteSession, SessionOptions

    standalone = settings.standalone
    dismantle = standalone.auto_dismantle
    agent_home = os.environ.get("LITHOPS_WORKER")
    nested = bool(agent_home) and isinstance(settings.backend, LocalhostSettings)
    options = SessionOptions(
        soft_timeout=standalone.soft_dismantle_timeout if dismantle else None,
        hard_timeout=standalone.hard_dismantle_timeout if dismantle else None,
        depth=int(os.environ.get("LITHOPS_WORKER_DEPTH", "1")) if nested else 0,
        nested=nested,
        start_timeout=standalone.start_timeout,
    )
    if isinstance(settings.backend, LocalhostSettings):
        from lithops.backends.localhost import LocalMachine, SameHost

        local = SameHost(str(agent_home)) if nested else LocalMachine(settings.backend, standalone)
        return RemoteSession([local], executor_id, options)
    from lithops.backends import vm

    return RemoteSession(vm.machines(settings.backend, standalone), executor_id, options)
