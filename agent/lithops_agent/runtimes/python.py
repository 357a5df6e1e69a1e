"""The zygote of a Python interpreter of the host: a child process of the agent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from lithops_agent.runtimes.zygote import Zygote

_START = (
    "import sys; sys.path[0] = sys.argv[1]; "
    "from lithops_agent.zygote import zygote_main; fd = int(sys.argv[2]); sys.argv[1:] = []; zygote_main(fd)"
)


class PythonZygote(Zygote):
    """Starts the interpreter ``executable`` as a zygote.

    ``worker_path`` (a zip archive or a folder) is put first on its ``sys.path``; it holds
    lithops_agent and cloudpickle, and nothing of what the agent itself needs. What the process
    writes before it is ready goes to ``log``.

    Raises OSError when the interpreter can't be started.
    """

    def __init__(self, executable: str, worker_path: str, log: Path) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(executable, executable, ours, log)
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

    def close(self) -> None:
        """End the process and all workers that it forked."""
        super().close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
