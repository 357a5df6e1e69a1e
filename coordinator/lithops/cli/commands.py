"""What commands there are: a table, so that showing a list of them imports none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A command, or a group of commands: where it is, and what it does in a line."""

    name: str
    place: str
    """``module:attribute``; of a group it is empty."""
    summary: str
    entries: Sequence[Entry] = ()


_CONFIG = (
    Entry(
        "show", "lithops.cli.configuration:show", "Show the configuration, and where each value comes from."
    ),
    Entry(
        "validate",
        "lithops.cli.configuration:validate",
        "Check the configuration, and tell all that is wrong.",
    ),
    Entry("init", "lithops.cli.configuration:init", "Write a commented configuration to start from."),
)
_WORKER = (Entry("list", "lithops.cli.workers:list_workers", "List the hosts, and what they do."),)
ROOT = (
    Entry("worker", "", "See the hosts.", _WORKER),
    Entry("config", "", "See, check and begin a configuration.", _CONFIG),
    Entry("completion", "lithops.cli.completion:completion", "Print the completion script of a shell."),
)
"""In the order in which they are listed."""
