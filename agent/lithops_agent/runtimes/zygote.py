"""A zygote as the agent sees it, wherever it runs: a control socket, orders to it, and what it says."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lithops_agent.worker_protocol import Order

_MESSAGE = 64 * 1024


class Zygote:
    """What is the same for the zygote of an interpreter and that of a container.

    ``key`` tells zygotes apart, ``name`` is what users call the runtime.
    """

    def __init__(self, key: str, name: str, control: socket.socket, log: Path) -> None:
        self.key = key
        self.name = name
        self.socket = control
        self._log = log
        self._spare: tuple[int, socket.socket] | None = None

    def fork(self, order: Order, fds: Sequence[int]) -> int:
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
        """End the zygote and all workers that it forked."""
        self._drop_spare()
        self.socket.close()
