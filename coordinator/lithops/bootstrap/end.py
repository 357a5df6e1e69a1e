"""Find the agent that runs on a host without starting one, and end what is left of one that does not."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from lithops.bootstrap.probe import AGENT_DIR
from lithops.bootstrap.start import Connection
from lithops.errors import BootstrapError
from lithops.ssh.deadline import Deadline


@dataclass(frozen=True)
class Look:
    """What there is: ``agent`` is the state of a living agent, ``left`` whether anything else of one is."""

    agent: dict[str, Any] | None = field(default=None, repr=False)
    left: bool = False


def look(connection: Connection, *, host: str, deadline: Deadline, end: str = "") -> Look:
    """Look at a host. ``end``: where no agent is alive, end what is left of one in this way.

    Raises `BootstrapError`, or an error of the connection.
    """
    head = f"agent_dir={shlex.quote(AGENT_DIR)}\nhow={shlex.quote(end)}\n"
    script = files("lithops.bootstrap").joinpath("end.sh").read_text(encoding="utf-8")
    done = connection.run("sh -s", (head + script).encode(), deadline=deadline)
    return parse_look((done.stdout or done.stderr).decode("utf-8", "replace"), host)


def parse_look(text: str, host: str = "") -> Look:
    """Read the answer; raises `BootstrapError` when it is not whole."""
    lines = text.splitlines()
    if "lithops_look=1" not in lines or "end=1" not in lines:
        said = text.strip()[-300:] or "nothing"
        raise BootstrapError(
            f"its shell did not run the script; it said: {said}", host=host, phase="dismantle"
        )
    values = dict(line.partition("=")[::2] for line in lines[lines.index("lithops_look=1") :])
    try:
        state = json.loads(values.get("agent", "null"))
    except ValueError:
        state = None
    return Look(state if isinstance(state, dict) else None, "left" in values)
