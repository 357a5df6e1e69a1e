"""Arguments that name a host or a job, which a shell can complete."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from lithops.cli.invocation import Invocation

_OFFERED = 50


class JobName(click.ParamType):
    """A job of the records."""

    name = "JOB"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The newest jobs whose keys begin so."""
        with Invocation().records() as records:
            jobs = records.jobs() if records else []
        fitting = [job for job in jobs if job.job_key.startswith(incomplete)]
        return [CompletionItem(job.job_key, help=job.function_name) for job in fitting[:_OFFERED]]


class HostName(click.ParamType):
    """A host of the configuration, or one in use."""

    name = "HOST"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The hosts whose names begin so; none when the configuration is wrong."""
        from lithops.errors import LithopsError
        from lithops.inspection.hosts import known_hosts

        invocation = ctx.find_object(Invocation) or Invocation()
        try:
            with invocation.records() as records:
                hosts = known_hosts(invocation.settings(), records)
        except LithopsError:
            return []
        return [CompletionItem(host.name) for host in hosts if host.name.startswith(incomplete)]
