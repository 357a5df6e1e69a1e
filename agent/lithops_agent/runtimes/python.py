"""The zygote of a Python interpreter, as the agent sees it: a process and a control socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_START = (
    "import sys; sys.path[0] = sys.argv[1]; "
    "from lithops_agent.worker import zygote_main; fd = int(sys.argv[2]); sys.argv[1:] = []; zygote_main(fd)"
)
_MESSAGE = 64 * 1024


class Zygote:
    """Starts the interpreter ``executable`` as a zygote.

    ``worker_path`` (a zip archive or a folder) is put first on its ``sys.path``; it holds
    lithops_agent and cloudpickle, and nothing of what the agent itself needs. What the process
    writes before it is ready goes to ``log``.

    Raises OSError when the interpreter can't be started.
    """

    def __init__(self, executable: str, worker_path: str, log: Path) -> None:
        self.executable = executable
        self._log = log
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        try:
            with theirs, log.open("wb") as output:
                self._process = subprocess.Popen(
                    [executable, "-c", _START, worker_path, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    start_new_session=True,
                )
        except BaseException:
            self.socket.close()
            raise

    def fork(self, order: dict[str, Any], fds: Sequence[int]) -> None:
        """Ask for a worker; raises OSError when the zygote has ended."""
        socket.send_fds(self.socket, [json.dumps(order).encode()], list(fds))

    def receive(self) -> dict[str, Any] | None:
        """What the zygote says next; None when it has ended. Blocks when nothing is there."""
        try:
            message = self.socket.recv(_MESSAGE)
        except ConnectionResetError:
            return None
        return json.loads(message) if message else None

    def last_words(self) -> str:
        """The end of what it wrote, for an error message."""
        try:
            return self._log.read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""

    def close(self) -> None:
        """End the process and all workers that it forked."""
        self.socket.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
