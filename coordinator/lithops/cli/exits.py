"""The exit codes of the command, and the exceptions that lead to them."""

from __future__ import annotations

import click

FAILED = 1
USAGE = 2
NOTHING_THERE = 3
INTERRUPTED = 130


class Failure(click.ClickException):
    """What was asked for failed; the message goes to stderr."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NothingThere(Failure):
    """There is nothing to list, or what was named does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__(message, NOTHING_THERE)
