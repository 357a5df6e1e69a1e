"""The typed view of an expanded configuration, which is what the program works with.

Defaults are filled in, paths have their `~` expanded, secrets stay out of `repr`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lithops.config.expand import expand
from lithops.config.host import HostSettings
from lithops.config.hosts import read_hosts
from lithops.config.ibm import CONSUME, IBM, account_of
from lithops.config.kinds import AUTO, LOG_LEVELS, Refused
from lithops.config.names import EXIT, IBM_VPC, LOCALHOST
from lithops.config.runtime import is_image
from lithops.config.sources import Source
from lithops.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LithopsSettings:
    """The section `lithops`, without the choice of mode and backend."""

    storage: str
    storage_bucket: str | None
    workers: int | None
    data_cleaner: bool
    monitoring: str
    monitoring_interval: float
    data_limit: int | None
    """Bytes; `None`: no limit."""
    execution_timeout: float
    include_modules: tuple[str, ...] | None
    """`None`: ship none."""
    exclude_modules: tuple[str, ...]
    log_functions: bool
    retries: int
    log_level: int | None
    """A level of `logging`; `None`: off."""
    log_format: str
    log_stream: str
    log_filename: str | None


@dataclass(frozen=True, kw_only=True)
class StandaloneSettings:
    """The section `standalone`, with what the section of the backend says in its place."""

    runtime: str
    requirements: list[str] | str | None
    requirements_from: str
    """`auto`, `host` or `here`."""
    exec_mode: str
    auto_dismantle: bool | str
    """`True`, `False` or `exit`."""
    soft_dismantle_timeout: float
    hard_dismantle_timeout: float
    keep_agent: bool
    poweroff: bool
    host_lost_timeout: float
    pull_runtime: bool
    start_timeout: float
    docker_server: str | None = None
    docker_user: str | None = None
    docker_password: str | None = field(default=None, repr=False)
    docker_password_file: str | None = None
    docker_network: str = "host"
    docker_volumes: tuple[str, ...] = ()
    docker_env: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    """`None`: the value that the script has."""
    use_gpu: bool = False

    @property
    def soft(self) -> float | None:
        """The soft time-out; `None`: no host is dismantled by time."""
        return self.soft_dismantle_timeout if self.auto_dismantle else None

    @property
    def hard(self) -> float | None:
        """The hard time-out; `None`: no host is dismantled by time."""
        return self.hard_dismantle_timeout if self.auto_dismantle else None

    @property
    def ends_at_exit(self) -> bool:
        """Whether hosts are dismantled when the executor is closed."""
        return self.auto_dismantle == EXIT

    def ending(self, backend: str) -> str:
        """What dismantling means on a host, in the words of the agent's `start`. This machine stays on."""
        if self.poweroff and backend != LOCALHOST:
            return "poweroff"
        return "keep" if self.keep_agent else "remove"


@dataclass(frozen=True, kw_only=True)
class LocalhostSettings:
    """This machine."""

    interpreter: str
    """The path or name of the interpreter that runs functions."""
    worker_processes: int | None
    """`None`: as many as this machine has CPUs."""
    runtime_memory: int | None = None
    """MB for each worker process in a container; `None`: no limit."""


@dataclass(frozen=True, kw_only=True)
class VmSettings:
    """Hosts that exist. What holds for all of them is in each of them."""

    hosts: tuple[HostSettings, ...]
    host_keys: str
    """`strict` or `accept-new`."""
    known_hosts: str | None
    """`None`: as ``~/.ssh/config`` says."""
    max_workers: int | None
    """How many of the hosts are used at most; `None`: all."""
    runtime_memory: int | None = None
    """MB for each worker process in a container; `None`: no limit."""


@dataclass(frozen=True, kw_only=True)
class IbmVpcSettings:
    """Machines of IBM Cloud VPC, and their account. What is `None` is looked up or created."""

    api_key: str = field(repr=False)
    region: str
    resource_group_id: str | None
    zone: str | None
    endpoint: str | None
    iam_endpoint: str
    vpc_id: str | None
    vpc_name: str | None
    subnet_id: str | None
    security_group_id: str | None
    gateway_id: str | None
    public_gateway: bool | None
    floating_ip: str | None
    ssh_source: tuple[str, ...]
    ssh_key_id: str | None
    image_id: str | None
    instance_id: str | None
    worker_profile_name: str
    master_profile_name: str
    boot_volume_profile: str
    boot_volume_capacity: int
    """GB."""
    ssh_username: str
    ssh_key_filename: str | None
    max_workers: int
    worker_processes: int | None
    """`None`: as many as the machine has CPUs."""
    runtime_memory: int | None
    profile_id: str | None
    delete_on_dismantle: bool
    verify_resources: bool
    prices: Mapping[str, float]
    """What an hour of a profile costs."""
    currency: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A configuration."""

    mode: str
    backend_name: str
    lithops: LithopsSettings
    standalone: StandaloneSettings
    backend: LocalhostSettings | VmSettings | IbmVpcSettings
    config: Mapping[str, Any] = field(repr=False)
    """The whole of it, expanded."""

    @property
    def runtime(self) -> str:
        """The runtime of the chosen backend."""
        if isinstance(self.backend, LocalhostSettings) and self.image is None:
            return self.backend.interpreter
        return self.image or self.standalone.runtime

    @property
    def ending(self) -> str:
        """What dismantling means on a host, in the words of the agent's `start`."""
        if isinstance(self.backend, IbmVpcSettings) and not self.backend.profile_id:
            # Without a trusted profile, all that a machine can do by itself is to go off.
            return "poweroff"
        return self.ending_from_here

    @property
    def ending_from_here(self) -> str:
        """What dismantling means when it is asked for on this machine, which may ask a cloud itself."""
        if isinstance(self.backend, IbmVpcSettings):
            deletes = self.backend.delete_on_dismantle and self.standalone.exec_mode != CONSUME
            return "delete" if deletes else "stop"
        return self.standalone.ending(self.backend_name)

    @property
    def image(self) -> str | None:
        """The Docker image that functions run in; `None`: they run in an interpreter of the host."""
        local = isinstance(self.backend, LocalhostSettings)
        runtime: str = self.config[LOCALHOST]["runtime"] if local else self.standalone.runtime
        return runtime if is_image(runtime) else None


def resolve(config: Mapping[str, Any]) -> Settings:
    """Give the typed view of a configuration; one that is not expanded yet is expanded first.

    Raises:
        ConfigError: the configuration is wrong, as for `default_config`.
    """
    full = expand(Source(name="config argument", data=config), {})
    name = full["lithops"]["backend"]
    backend = _backend(name, full)
    standalone = {key: value for key, value in full["standalone"].items() if key != "backend"}
    standalone.update(
        docker_password_file=_path(standalone["docker_password_file"]),
        docker_volumes=tuple(standalone["docker_volumes"]),
        docker_env=standalone["docker_env"] or {},
    )
    return Settings(
        mode=full["lithops"]["mode"],
        backend_name=name,
        lithops=_lithops(full["lithops"]),
        standalone=StandaloneSettings(**standalone),
        backend=backend,
        config=full,
    )


def _backend(name: str, full: Mapping[str, Any]) -> LocalhostSettings | VmSettings | IbmVpcSettings:
    if name == LOCALHOST:
        return _localhost(full[name])
    return _ibm_vpc(full) if name == IBM_VPC else _vm(full[name])


def _lithops(section: Mapping[str, Any]) -> LithopsSettings:
    rest = {name: value for name, value in section.items() if name not in ("mode", "backend")}
    level, include, limit = rest["log_level"], rest["include_modules"], rest["data_limit"]
    rest.update(
        data_limit=None if limit is False else int(limit * 1024**2),
        include_modules=None if include is None else tuple(include),
        exclude_modules=tuple(rest["exclude_modules"]),
        log_level=LOG_LEVELS[level] if isinstance(level, str) else level,
        log_filename=_path(rest["log_filename"]),
    )
    return LithopsSettings(**rest)


def _localhost(section: Mapping[str, Any]) -> LocalhostSettings:
    runtime = section["runtime"]
    return LocalhostSettings(
        interpreter=sys.executable
        if runtime == "python3" or is_image(runtime)
        else os.path.expanduser(runtime),
        worker_processes=_processes(section["worker_processes"]),
        runtime_memory=section["runtime_memory"],
    )


def _vm(section: Mapping[str, Any]) -> VmSettings:
    try:
        hosts = read_hosts(section["hosts"] or [section["ip_address"]], processes=section["worker_processes"])
    except Refused as refused:  # The inventory has changed since it was checked a moment ago.
        raise ConfigError("\n".join(f"vm.hosts: {problem.text}" for problem in refused.problems)) from None
    return VmSettings(
        hosts=tuple(_with_defaults(host, section) for host in hosts),
        host_keys=section["host_keys"],
        known_hosts=_path(section["known_hosts"]),
        max_workers=section["max_workers"],
        runtime_memory=section["runtime_memory"],
    )


def _ibm_vpc(full: Mapping[str, Any]) -> IbmVpcSettings:
    section = full[IBM_VPC]
    rest = {name: value for name, value in section.items() if name not in IBM.names}
    rest.update(
        account_of(full),
        ssh_key_filename=_path(section["ssh_key_filename"]),
        ssh_source=tuple(section["ssh_source"] or ()),
        worker_processes=_processes(section["worker_processes"]),
    )
    return IbmVpcSettings(**rest)


def _with_defaults(host: HostSettings, section: Mapping[str, Any]) -> HostSettings:
    return replace(
        host,
        username=host.username or section["ssh_username"],
        port=host.port or section["ssh_port"],
        key_filename=_path(host.key_filename or section["ssh_key_filename"]),
        password=host.password or section["ssh_password"],
        key_passphrase=host.key_passphrase or section["ssh_key_passphrase"],
    )


def _processes(value: int | str) -> int | None:
    return None if value == AUTO or isinstance(value, str) else value


def _path(value: str | None) -> str | None:
    return None if value is None else os.path.expanduser(value)
