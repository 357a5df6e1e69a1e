"""Run a command of this machine; a failure says which command, how it ended and what it printed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

Completed = subprocess.CompletedProcess[str]


class CommandFailed(RuntimeError):
    """A command ended with another status than 0, or took too long."""

    def __init__(self, command: str, status: str, output: str) -> None:
        self.command = command
        self.status = status
        self.output = output
        super().__init__(f"{command!r} {status}:\n{output.strip()[-4000:]}")


def run(
    *command: str,
    input: str | None = None,
    check: bool = True,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    shown: str | None = None,
) -> Completed:
    """Run ``command`` with its output captured as text; an error calls it ``shown``.

    Raises:
        CommandFailed: on a status other than 0 (with ``check``), and after ``timeout`` seconds.
    """
    name = shown or " ".join(command)
    # Without input, the command must not read (and so eat) the standard input of the tests.
    try:
        done = subprocess.run(
            command,
            input=input or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=env,
        )
    except subprocess.TimeoutExpired as exc:
        raise CommandFailed(name, f"still ran after {timeout:g} s", _text(exc.output)) from exc
    if check and done.returncode != 0:
        raise CommandFailed(name, f"ended with status {done.returncode}", done.stdout + done.stderr)
    return done


def _text(output: str | bytes | None) -> str:
    """What a command had printed when its time was over: bytes, even where text was asked for."""
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
