"""From jobs to hosts and back: which call goes where, and the loop that carries it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops.config.settings import Settings
    from lithops.dispatch.session import RemoteSession


def open_session(settings: Settings, executor_id: str) -> RemoteSession:
    """The session of an executor: the composition root of this side. Nothing is connected yet."""
    import os

    from lithops.config.secrets import without_secrets
    from lithops.config.settings import LocalhostSettings
    from lithops.dispatch.session import RemoteSession, SessionOptions
    from lithops.state.ledger import Ledger, NoLedger

    standalone = settings.standalone
    agent_home = os.environ.get("LITHOPS_WORKER")
    nested = bool(agent_home) and isinstance(settings.backend, LocalhostSettings)
    options = SessionOptions(
        soft_timeout=standalone.soft,
        hard_timeout=standalone.hard,
        ending=standalone.ending(settings.backend_name),
        depth=int(os.environ.get("LITHOPS_WORKER_DEPTH", "1")) if nested else 0,
        nested=nested,
        start_timeout=standalone.start_timeout,
        lost_after=standalone.host_lost_timeout,
    )
    if agent_home:
        ledger: Ledger | NoLedger = NoLedger()
    else:
        ledger = Ledger(executor_id, settings.backend_name, without_secrets(settings.config))
    if isinstance(settings.backend, LocalhostSettings):
        from lithops.backends.localhost import LocalMachine, SameHost

        local = SameHost(str(agent_home)) if nested else LocalMachine(settings.backend, standalone)
        return RemoteSession([local], executor_id, options, ledger)
    from lithops.backends import vm

    return RemoteSession(vm.machines(settings.backend, standalone), executor_id, options, ledger)
