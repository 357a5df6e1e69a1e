"""Runs in an image: starts a zygote, has it fork a worker, and gives that a pickled function and two calls.

It speaks to them as the agent does. What the function found is printed as JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from typing import Any

_ZYGOTE = "import sys; sys.path.insert(0, sys.argv[1]); from lithops_agent.zygote import zygote_main; "
_PATIENCE = 60.0


def main(worker_path: str, modules: list[str]) -> int:
    """Print what the first call returned; 0 when both calls ended as they should."""
    sys.path.insert(0, worker_path)
    import cloudpickle

    def look(names: list[str]) -> dict[str, Any]:
        import importlib
        import os
        import sys

        found = {name: getattr(importlib.import_module(name), "__version__", "") for name in names}
        return {"python": sys.version.split()[0], "uid": os.getuid(), "pid": os.getpid(), "modules": found}

    with tempfile.TemporaryDirectory() as folder:
        function = os.path.join(folder, "function")
        with open(function, "wb") as file:
            file.write(cloudpickle.dumps(look))
        first, second = run(worker_path, folder, function, [(modules,), (["no_such_module"],)])
    if first[0] != 0:
        print(f"the function failed: {pickle.loads(first[1])}", file=sys.stderr)
        return 1
    found = pickle.loads(first[1])
    print(json.dumps(found))
    apart = found["pid"] != os.getpid()
    return 0 if apart and second[0] == 1 and b"no_such_module" in second[1] else 1


def run(
    worker_path: str, folder: str, function: str, calls: list[tuple[Any, ...]]
) -> list[tuple[int, bytes]]:
    """The status and the body of each call, in a worker that a zygote forked."""
    from lithops_agent.worker_protocol import CALL_HEAD, RESULT_HEAD

    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with control, theirs:
        code = f"{_ZYGOTE}zygote_main({theirs.fileno()})"
        zygote = subprocess.Popen([sys.executable, "-c", code, worker_path], pass_fds=[theirs.fileno()])
        queue, calls_fd = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        results, results_fd = socket.socketpair()
        results.settimeout(_PATIENCE)
        order = {
            "worker": 1, "folder": folder, "function": function, "note": os.path.join(folder, "note"),
            "modules": None, "cwd": "/", "home": "/", "env": {},
        }  # fmt: skip
        with queue, results:
            with calls_fd, results_fd:
                fds = [calls_fd.fileno(), results_fd.fileno(), 2]
                socket.send_fds(control, [json.dumps(order).encode()], fds)
            for number, args in enumerate(calls):
                queue.send(CALL_HEAD.pack(number, 1, 0) + pickle.dumps((args, {})))
            stream = results.makefile("rb")
            ended = []
            for _ in calls:
                _, status, _, length, *_ = RESULT_HEAD.unpack(stream.read(RESULT_HEAD.size))
                ended.append((status, stream.read(length)))
        control.shutdown(socket.SHUT_RDWR)
        zygote.wait(_PATIENCE)
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
