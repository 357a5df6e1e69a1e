"""One call of the command: the options that every command has, and what they lead to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Optional

import click

from lithops.cli.exits import FAILED, INTERRUPTED, NOTHING_THERE, Failure

if TYPE_CHECKING:
    from lithops.config import Settings
    from lithops.state.records import Records

ARGUMENTS = "command line"
"""What the options are called in messages about the configuration."""


@dataclass
class Invocation:
    """What was asked for by the options that all commands share."""

    config_file: Optional[str] = None
    backend: Optional[str] = None
    storage: Optional[str] = None
    debug: bool = False
    json: bool = False

    def overwrite(self) -> dict[str, Any]:
        """The keys of the configuration that the options stand for."""
        from lithops.config import arguments_overwrite

        return arguments_overwrite(backend=self.backend, storage=self.storage)

    def settings(self) -> Settings:
        """The configuration. Raises ConfigError."""
        from lithops.config import resolve
        from lithops.config.expand import expand
        from lithops.config.sources import find_source

        return resolve(expand(find_source(self.config_file), self.overwrite(), told_as=ARGUMENTS))

    @contextmanager
    def records(self) -> Iterator[Optional[Records]]:
        """What programs of this user have noted down; None when none has."""
        from lithops.state.records import Records, state_folder

        if not (state_folder() / "state.db").exists():
            yield None
            return
        records = Records()
        try:
            yield records
        finally:
            records.close()


def global_options() -> Iterator[click.Option]:
    """The options that every command and group has."""
    yield _option(["-c", "--config"], "config_file", metavar="FILE", help="The configuration to use.")
    yield _option(["-b", "--backend"], "backend", metavar="NAME", help="The compute backend, such as vm.")
    yield _option(["-s", "--storage"], "storage", metavar="NAME", help="The storage backend.")
    yield _option(["-d", "--debug"], "debug", is_flag=True, help="Show what goes on, and whole tracebacks.")


def _option(names: list[str], field: str, **settings: Any) -> click.Option:
    def note(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Invocation), field, value)
        else:
            ctx.ensure_object(Invocation)

    return click.Option([*names, field], expose_value=False, callback=note, **settings)


class Command(click.Command):
    """A command with the options that all have, whose failures end in one sentence and an exit code."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += global_options()

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. Raises click's exceptions only, which click turns into messages and exit codes."""
        invocation = ctx.ensure_object(Invocation)
        _set_up_logs(invocation)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            raise Failure("interrupted", INTERRUPTED) from None
        except OSError as exc:
            if isinstance(exc, BrokenPipeError):
                raise  # Whoever read the output has enough; click knows what to do.
            _fail(exc, invocation)
        except Exception as exc:  # noqa: BLE001 - the top of the program: a message instead of a traceback
            _fail(exc, invocation)


class ListCommand(Command):
    """A command that lists or shows something, also as JSON."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params.append(_option(["--json"], "json", is_flag=True, help="Print JSON, for programs."))


def _fail(exc: Exception, invocation: Invocation) -> NoReturn:
    from lithops.errors import HostUnknown, JobUnknown, LithopsError

    if invocation.debug:
        logging.getLogger("lithops").debug("what went wrong:", exc_info=exc)
    if isinstance(exc, (HostUnknown, JobUnknown)):
        raise Failure(str(exc), NOTHING_THERE) from exc
    if isinstance(exc, (LithopsError, OSError)):
        raise Failure(str(exc), FAILED) from exc
    told = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    raise Failure(f"an error that should not occur: {told} (--debug shows where)", FAILED) from exc


def _set_up_logs(invocation: Invocation) -> None:
    from lithops import logs

    if invocation.debug:
        logs.set_up("DEBUG")
    else:
        logs.set_up("WARNING", "%(message)s")
