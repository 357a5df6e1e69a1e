"""The command as users run it: a process of its own, with a home of its own, also on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.support import environment

SCRIPT = """\
import sys, time
import lithops

def work(number, seconds):
    time.sleep(seconds)
    if number in (3, 17, 20):
        raise ValueError(f"no {number}")
    return number

if __name__ == "__main__":
    calls, seconds = int(sys.argv[1]), float(sys.argv[2])
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(work, [(number, seconds) for number in range(calls)])
    print(futures[0].job_key, flush=True)
    fexec.wait(throw_except=False)
    print("cancelled", sum(future.cancelled for future in futures))
"""


class User:
    """Somebody with a configuration, who runs the command and scripts."""

    def __init__(self, home: Path, config: dict[str, Any]) -> None:
        self.home = home
        self.folder = home.parent / "work"
        self.folder.mkdir(exist_ok=True)
        self.configure(config)
        self._scripts: list[subprocess.Popen[str]] = []

    def configure(self, config: dict[str, Any]) -> None:
        """Have another configuration."""
        (self.folder / ".lithops_config").write_text(json.dumps(config))

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.home, COLUMNS="200")

    def lithops(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the command without a terminal."""
        return subprocess.run(
            [sys.executable, "-m", "lithops", *arguments], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        """What the command prints as JSON."""
        done = self.lithops(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def start(self, calls: int, seconds: float) -> tuple[subprocess.Popen[str], str]:
        """Start a script with a job, and give its key."""
        (self.folder / "script.py").write_text(SCRIPT)
        script = subprocess.Popen(
            [sys.executable, "script.py", str(calls), str(seconds)], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._scripts.append(script)
        assert script.stdout is not None
        return script, script.stdout.readline().strip()

    def run(self, calls: int, seconds: float = 0.0) -> str:
        """Run a script with a job to its end; the key of the job."""
        script, job = self.start(calls, seconds)
        script.communicate(timeout=60)
        assert script.returncode == 0
        return job

    def close(self) -> None:
        """End scripts that still run."""
        for script in self._scripts:
            if script.poll() is None:
                script.kill()
            script.communicate()

    @contextlib.contextmanager
    def terminal(self, *arguments: str) -> Iterator[Terminal]:
        """The command on a terminal of its own."""
        pid, descriptor = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(sys.executable, [sys.executable, "-m", "lithops", *arguments], self.environment)
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        terminal = Terminal(pid, descriptor)
        try:
            yield terminal
        finally:
            terminal.close()


@dataclass
class Terminal:
    """A terminal with a command on it."""

    pid: int
    descriptor: int
    said: str = ""
    code: int | None = None

    def expect(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Wait until the command has written this."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.said)) is None:
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {pattern!r} in {self.said!r}"
            if not self._read(0.1) and self.code is not None:
                raise AssertionError(f"it ended without {pattern!r}: {self.said!r}")
        return found

    def send(self, text: str) -> None:
        """Type something."""
        os.write(self.descriptor, text.encode())

    def wait(self, seconds: float = 20) -> int:
        """Wait for the end of the command; its exit code."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            assert time.monotonic() < deadline, f"it has not ended within {seconds:g} s: {self.said!r}"
            self._read(0.05)
            self._reap()
        return self.code

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:
            self._reap(block=True)
            return False
        self.said += data.decode("utf-8", "replace")
        return bool(data)

    def _reap(self, *, block: bool = False) -> None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, 0 if block else os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Take the terminal away."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap(block=True)
        os.close(self.descriptor)
