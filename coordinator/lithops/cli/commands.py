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
_RUNTIME = (
    Entry("list", "lithops.cli.runtimes:list_runtimes", "List the images and environments on the hosts."),
    Entry("pull", "lithops.cli.runtimes:pull", "Pull an image on each host, and try it."),
    Entry("build", "lithops.cli.runtimes:build", "Build an image, or the environment, on each host."),
    Entry("remove", "lithops.cli.runtimes:remove", "Remove an image or an environment from each host."),
)
_JOB = (
    Entry("list", "lithops.cli.jobs:list_of_jobs", "List the jobs of this machine, running or ended."),
    Entry("show", "lithops.cli.jobs:show", "Show how far a job is, where it runs, and which calls failed."),
    Entry("logs", "lithops.cli.logs:job_logs", "Show what the functions of a job print."),
    Entry("retry", "lithops.cli.retry:retry", "Run failed calls again with the script's new version."),
    Entry("cancel", "lithops.cli.jobs:cancel", "End all calls of a job."),
    Entry("attach", "lithops.cli.jobs:attach", "Wait for a job, and show how far it is."),
)
ROOT = (
    Entry("hello", "lithops.cli.trying:hello", "Run one function, and print what it returns."),
    Entry("test", "lithops.cli.trying:test", "Run a checklist of functions."),
    Entry("doctor", "lithops.cli.doctor:doctor", "Check each host, and say what to do."),
    Entry("worker", "", "See the hosts.", _WORKER),
    Entry("job", "", "See, follow and cancel jobs.", _JOB),
    Entry("runtime", "", "Images and environments on the hosts.", _RUNTIME),
    Entry("ssh", "lithops.cli.shell:ssh", "Open a shell on a host, or run a command there."),
    Entry("attach", "lithops.cli.shell:attach", "The same as ssh."),
    Entry("cp", "lithops.cli.shell:cp", "Copy files and folders to or from a host."),
    Entry("logs", "lithops.cli.logs:logs", "Show the log of an agent, and what it holds."),
    Entry("debug", "lithops.cli.debug:debug", "Run a failed call again, and stop where it fails."),
    Entry("dismantle", "lithops.cli.ending:dismantle", "End hosts now."),
    Entry("clean", "lithops.cli.ending:clean", "Remove what is left of agents and jobs."),
    Entry("config", "", "See, check and begin a configuration.", _CONFIG),
    Entry("completion", "lithops.cli.completion:completion", "Print the completion script of a shell."),
)
"""In the order in which they are listed."""
