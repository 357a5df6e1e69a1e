"""Which zygote the calls of a job need: that of an interpreter of the host, or one in a container.

What is for containers is imported when the first of them is wanted: an agent without them starts faster.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from lithops_agent.protocol import ContainerOptions, JobSpec
from lithops_agent.runtimes.python import PythonZygote
from lithops_agent.runtimes.zygote import Zygote

Runtime = Union[str, ContainerOptions]
"""The path of an interpreter, or a container."""


def runtime_of(spec: JobSpec) -> Runtime:
    """What the calls of a job run in."""
    return spec.runtime if spec.container is None else ContainerOptions.from_json(spec.container)


def key_of(runtime: Runtime) -> str:
    """Tells runtimes apart."""
    return runtime if isinstance(runtime, str) else runtime.key


def environment_of(spec: JobSpec) -> dict[str, str]:
    """What a runtime adds to the environment of workers."""
    if spec.container is None:
        return {}
    from lithops_agent.runtimes.docker import worker_environment

    return worker_environment(spec)


def home_of(spec: JobSpec) -> str:
    """Where calls run when nobody says so."""
    if spec.container is None:
        return os.path.expanduser("~")
    from lithops_agent.runtimes.docker import CONTAINER_HOME

    return CONTAINER_HOME


def start_zygote(runtime: Runtime, *, worker_path: str, folder: Path, processes: int) -> Zygote:
    """Start the zygote of a runtime; ``folder`` is the agent's home. Raises OSError."""
    if isinstance(runtime, str):
        return PythonZygote(runtime, worker_path, folder / "zygote.log")
    from lithops_agent.runtimes.docker import ContainerZygote, Place

    return ContainerZygote(runtime, Place(folder, worker_path, processes))
