"""Containers that belong to the agent of a home folder, found by their labels, are removed.

Used by an agent when it starts and when it ends, and by the fence.
"""

from __future__ import annotations

import json
import os
import sys
import time

from lithops_agent.runtimes.engine import Engine, EngineError

LABEL = "lithops.agent"
"""Whose container it is: the number of the login and the agent's home, which a fence knows, too."""
FOLDER = "containers"
"""In the home of an agent that has ever made a container."""
_PATIENCE = 10.0
_PAUSE = 0.05


def label_of(home: str) -> str:
    """What the label `LABEL` says."""
    return f"{os.getuid()}:{home}"


def remove_containers(home: str, engine: Engine | None = None) -> None:
    """Remove all containers of an agent, and wait until they are gone. An engine that is away has none."""
    engine = engine or Engine()
    filters = json.dumps({"label": [f"{LABEL}={label_of(home)}"]})
    deadline = time.monotonic() + _PATIENCE
    try:
        while found := engine.get("/containers/json", all="1", filters=filters):
            if time.monotonic() > deadline:
                names = ", ".join(container["Id"][:12] for container in found)
                sys.stderr.write(f"containers that could not be removed: {names}\n")
                return
            for container in found:
                remove_container(container["Id"], engine)
            time.sleep(_PAUSE)
    except (EngineError, ValueError, KeyError, TypeError) as exc:
        sys.stderr.write(f"containers may be left: {exc}\n")


def remove_container(name: str, engine: Engine) -> None:
    """Kill a container and remove it; it may be gone, or be going."""
    try:
        engine.ask("DELETE", f"/containers/{name}", query={"force": "1", "v": "1"})
    except EngineError:
        pass  # Whoever waits for its end looks again.
