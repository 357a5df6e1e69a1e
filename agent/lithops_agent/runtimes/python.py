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
        self._spare: tuple[int, socket.socket] | None = None
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

    def fork(self, order: dict[str, Any], fds: Sequence[int]) -> int:
        """Start a worker; its process id when it is a spare, 0 when a "started" message will tell it.

        Raises OSError when the zygote has ended.
        """
        message = json.dumps(order).encode()
        if self._spare is not None:
            (pid, orders), self._spare = self._spare, None
            with orders:
                try:
                    socket.send_fds(orders, [message], list(fds))
                except OSError:
                    pass  # The spare has ended; the zygote forks another worker.
                else:
                    self.socket.send(json.dumps({"worker": order["worker"], "adopted": pid}).encode())
                    return pid
        socket.send_fds(self.socket, [message], list(fds))
        return 0

    def receive(self) -> dict[str, Any] | None:
        """What the zygote says next; None when it has ended. Blocks when nothing is there."""
        try:
            message, fds, _, _ = socket.recv_fds(self.socket, _MESSAGE, 1)
        except ConnectionResetError:
            return None
        if not message:
            return None
        said: dict[str, Any] = json.loads(message)
        if "spare" in said:
            self._drop_spare()
            self._spare = (said["spare"], socket.socket(fileno=fds[0]))
        return said

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare[1].close()
            self._spare = None

    def last_words(self) -> str:
        """The end of what it wrote, for an error message."""
        try:
            return self._log.read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""

    def close(self) -> None:
        """End the process and all workers that it forked."""
        self._drop_spare()
        self.socket.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
