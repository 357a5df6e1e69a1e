"""From jobs to hosts and back: which call goes where, and the loop that carries it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops.backends.machine import Supply
    from lithops.config.settings import Settings
    from lithops.dispatch.images import ImageRuntime
    from lithops.dispatch.session import RemoteSession
    from lithops.environment.prepare import Environments


def open_session(settings: Settings, executor_id: str) -> RemoteSession:
    """The session of an executor: the composition root of this side. Nothing is connected yet."""
    import os

    from lithops.config.secrets import without_secrets
    from lithops.config.settings import LocalhostSettings
    from lithops.dispatch.jobs import SessionOptions
    from lithops.dispatch.session import RemoteSession
    from lithops.printing import Printer
    from lithops.state.ledger import Ledger, NoLedger

    standalone = settings.standalone
    agent_home = os.environ.get("LITHOPS_WORKER")
    nested = bool(agent_home) and isinstance(settings.backend, LocalhostSettings)
    options = SessionOptions(
        soft_timeout=standalone.soft,
        hard_timeout=standalone.hard,
        ending=settings.ending,
        depth=int(os.environ.get("LITHOPS_WORKER_DEPTH", "1")) if nested else 0,
        nested=nested,
        start_timeout=standalone.start_timeout,
        lost_after=standalone.host_lost_timeout,
        keep_jobs=not settings.lithops.data_cleaner,
        workers=settings.lithops.workers,
        environments=None if nested else environments_of(settings),
        image=image_of(settings, nested=nested),
        printer=Printer() if settings.lithops.log_functions else None,
    )
    if agent_home:
        from lithops.backends.localhost import SameHost
        from lithops.backends.machine import FixedSupply

        there = FixedSupply([SameHost(agent_home)]) if nested else supply_of(settings, executor_id)
        return RemoteSession(there, executor_id, options, NoLedger())
    from lithops import overdue

    overdue.watch_once(settings.config)
    ledger = Ledger(executor_id, settings.backend_name, without_secrets(settings.config))
    return RemoteSession(supply_of(settings, executor_id), executor_id, options, ledger)


def environments_of(settings: Settings) -> Environments | None:
    """The environment that the configuration asks for, if it does. Raises ConfigError."""
    standalone = settings.standalone
    if not standalone.requirements:
        return None
    from lithops.bootstrap.bundle import cache_folder
    from lithops.environment.prepare import Environments
    from lithops.environment.requirements import read_requirements

    requirements = read_requirements(standalone.requirements)
    return Environments(requirements, standalone.requirements_from, cache_folder())


def image_of(settings: Settings, *, nested: bool = False) -> ImageRuntime | None:
    """The image that calls run in. A function in a container calls others in the same one."""
    import json
    import os
    import sys

    from lithops.config.runtime import container_variables, registry_login
    from lithops.dispatch.images import ImageRuntime
    from lithops.dispatch.jobs import MEGABYTE
    from lithops_agent.protocol import ContainerOptions

    if nested and settings.image is None:
        given = os.environ.get("LITHOPS_WORKER_CONTAINER")
        return ImageRuntime(options=ContainerOptions.from_json(json.loads(given))) if given else None
    if settings.image is None:
        return None
    standalone, memory = settings.standalone, settings.backend.runtime_memory
    options = ContainerOptions(
        name=settings.image,
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        network=standalone.docker_network,
        gpu=standalone.use_gpu,
        volumes=standalone.docker_volumes,
        env=container_variables(standalone.docker_env),
        memory=memory and memory * MEGABYTE,
    )
    login = registry_login(settings.image, standalone)
    return ImageRuntime(options=options, pull=standalone.pull_runtime, login=login)


def supply_of(settings: Settings, executor_id: str) -> Supply:
    """Where the machines of an executor come from, by its configuration. Nothing is connected."""
    from lithops.backends.machine import FixedSupply
    from lithops.config.settings import IbmVpcSettings, LocalhostSettings

    if isinstance(settings.backend, LocalhostSettings):
        from lithops.backends.localhost import LocalMachine

        return FixedSupply([LocalMachine(settings.backend, settings.standalone)])
    if isinstance(settings.backend, IbmVpcSettings):
        from lithops.backends import ibm_vpc

        return ibm_vpc.supply(settings, executor_id)
    from lithops.backends import vm

    return FixedSupply(vm.machines(settings.backend, settings.standalone))
