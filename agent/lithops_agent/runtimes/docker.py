"""A zygote in a container: the agent's workers in any image that has the right Python.

Nothing of ours has to be in the image. The archive that workers import from, and the folders of the journal
that they read and write, are mounted at the paths that they have on the host. The container is told one
thing, by a Unix socket in a folder of its own that is mounted, too: the control socket of its zygote, which
comes as a file descriptor. From then on there is no difference to a zygote of the host, for the kernel is
the same: queues, results and logs are descriptors that cross the border of the container.

The container shares the host's process numbers. So a worker's number means the same to the agent and to the
zygote, the agent kills workers as it does on the host, and a function finds the agent for calls of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pwd
import shutil
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from lithops_agent.protocol import ContainerOptions, JobSpec, RuntimeFailure
from lithops_agent.runtimes.engine import Engine, EngineError
from lithops_agent.runtimes.removal import FOLDER, LABEL, label_of, remove_container
from lithops_agent.runtimes.zygote import Zygote

CONTAINER_HOME = "/lithops/home"
"""The home folder of functions in a container: it belongs to the login, and goes with the container."""
VARIABLE = "LITHOPS_WORKER_CONTAINER"
"""In the environment of a worker: the container, so that calls of a function run in it, too."""
_START = """\
import os, sys
log = os.open('/lithops/zygote.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.dup2(log, 1)
os.dup2(log, 2)
sys.path[0], control = sys.argv[1], sys.argv[2:]
sys.argv[1:] = []
library = os.path.join(os.path.dirname(os.__file__), '__pycache__')
if not os.path.exists(os.path.join(library, 'socket.%s.pyc' % sys.implementation.cache_tag)):
    sys.pycache_prefix = '/lithops/bytecode'
    sys.dont_write_bytecode = False
    compiler = 0 if control else os.fork()
    if not (compiler or control):
        try:
            import lithops_agent.zygote, cloudpickle
        finally:
            os._exit(0)
    if compiler:
        os.waitpid(compiler, 0)
if not control:
    import json, socket
    meeting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    meeting.connect('/lithops/control')
    meeting.send(('%d.%d.%d' % sys.version_info[:3]).encode())
    variables, control, _, _ = socket.recv_fds(meeting, 1 << 20, 1)
    if not control:
        sys.exit(0)
    meeting.close()
    if variables := json.loads(variables):
        os.set_inheritable(control[0], True)
        os.execve(sys.executable, [*sys.orig_argv, str(control[0])], {**os.environ, **variables})
from lithops_agent.zygote import zygote_main
import cloudpickle
sys.pycache_prefix = None
zygote_main(int(control[0]))
"""
"""What a container runs.

Many images, the official ones among them, have no bytecode of their standard library. To compile it leaves
memory behind that is in pieces, which each worker inherits and copies as it writes, so a process of its own
compiles, and the zygote reads what that has written.

Variables of the user's come over the socket and not with the request for the container, of which the engine
would keep them on its disk and show them. Some count only when a program starts, so it starts again with
them.
"""
_CONNECT_TIMEOUT = 60.0
_LOOK_AGAIN = 0.25
_ENGINE_PATIENCE = 60.0
"""Seconds that an engine may be away, because it is restarted, while a container is wanted."""
_SHARED_MEMORY = 1 << 30


def worker_environment(spec: JobSpec) -> dict[str, str]:
    """What workers in a container have in their environment beside what all have."""
    login = pwd.getpwuid(os.getuid()).pw_name
    given = (spec.container or {}).get("env", {})
    return {
        "HOME": CONTAINER_HOME,
        "USER": login,
        "LOGNAME": login,
        **given,
        VARIABLE: json.dumps(spec.container),
    }


@dataclasses.dataclass(frozen=True)
class Place:
    """What containers of an agent have in common: the agent's home, what is mounted, how many work."""

    home: Path
    worker_path: str
    processes: int

    def mounts(self, folder: Path) -> list[dict[str, Any]]:
        """What is mounted, at the same path except for the folder of the container."""
        work = self.home / "work"
        same: list[tuple[str | Path, bool]] = [
            (self.worker_path, True), (work / "blobs", True), (work / "modules", True),
            (work / "jobs", False), (work / "notes", False), (self.home / "agent.json", True),
        ]  # fmt: skip
        pairs = [
            (str(folder), "/lithops", False),
            *((str(p), str(p), ro) for p, ro in same if Path(p).exists()),
        ]
        return [
            {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
            for source, target, read_only in pairs
        ]


def container_request(options: ContainerOptions, place: Place, folder: Path, python: str) -> dict[str, Any]:
    """The body of the request that makes the container, with ``python`` as its program."""
    # A job that says how many work is not known to the agent yet when the image is made ready for it.
    workers = options.cpus or place.processes
    memory = None if options.memory is None else options.memory * workers
    limits: dict[str, Any] = {} if memory is None else {"Memory": memory, "MemorySwap": memory}
    if options.cpus is not None:
        limits["NanoCpus"] = min(options.cpus, os.cpu_count() or 1) * 10**9
    if options.gpu:
        limits["DeviceRequests"] = [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]
    return {
        "Image": options.image or options.name,
        "Entrypoint": [python, "-c", _START, place.worker_path],
        "Cmd": [],
        "User": f"{os.getuid()}:{os.getgid()}",
        "WorkingDir": CONTAINER_HOME,
        "Env": [f"HOME={CONTAINER_HOME}", f"LITHOPS_AGENT_HOME={place.home}"],
        "Labels": {LABEL: label_of(str(place.home))},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "AutoRemove": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "PidMode": "host",
            "NetworkMode": options.network,
            "GroupAdd": [str(group) for group in os.getgroups()],
            "Mounts": place.mounts(folder),
            "Binds": list(options.volumes),
            "LogConfig": {"Type": "none"},
            "ShmSize": _SHARED_MEMORY,
            **limits,
        },
    }


class ContainerZygote(Zygote):
    """Starts a container with a zygote in it, in a thread: orders wait in the control socket meanwhile.

    ``settled`` is set once the zygote runs, or ``error`` tells why it does not; ``python`` is its version.
    """

    def __init__(self, options: ContainerOptions, place: Place, engine: Engine | None = None) -> None:
        ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._folder = place.home / FOLDER / uuid.uuid4().hex[:12]
        super().__init__(options.key, options.name, ours, self._folder / "zygote.log")
        self.settled = threading.Event()
        self.error: EngineError | None = None
        self.python = ""
        self._options = options
        self._place = place
        self._engine = engine or Engine()
        self._container = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._start, name=f"container {options.name}", daemon=True)
        self._thread.start()

    @property
    def container(self) -> str:
        """The id of the container, once it was made."""
        return self._container

    def last_words(self) -> str:
        """Why it did not start, or the end of what it wrote."""
        words = super().last_words()
        return "\n".join(filter(None, (str(self.error) if self.error else "", words)))

    def close(self) -> None:
        """End the zygote with its workers. The container is removed in the background."""
        super().close()
        if not self._closed.is_set():
            self._closed.set()
            threading.Thread(target=self._remove, name=f"end of {self.name}", daemon=True).start()

    def _remove(self) -> None:
        self._thread.join()
        if self._container:
            remove_container(self._container, self._engine)
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- the thread that starts it --

    def _start(self) -> None:
        try:
            (self._folder / "home").mkdir(mode=0o700, parents=True)
            with contextlib.closing(_listen(self._folder)) as listener:
                self._run_any_python()
                self._hand_over(listener)
        except EngineError as exc:
            self.error = exc
        except OSError as exc:
            self.error = EngineError(RuntimeFailure.ENGINE, f"{type(exc).__name__}: {exc}")
        finally:
            # Without a zygote at the other end, the agent hears that it has ended.
            self._theirs.close()
            self.settled.set()

    def _run_any_python(self) -> None:
        """Start the container with the first program that is a Python of its image."""
        programs = (f"python{self._options.python}", "python3", "python")
        for program in programs:
            try:
                self._run_when_engine_is_there(program)
                return
            except EngineError as exc:
                self._drop_container()
                if exc.kind != RuntimeFailure.NO_PYTHON:
                    raise
        tried, wanted = ", ".join(programs), self._options.python
        message = f"the image {self.name} has no Python ({tried}), and functions need {wanted}"
        raise EngineError(RuntimeFailure.NO_PYTHON, message)

    def _run_when_engine_is_there(self, program: str) -> None:
        deadline = time.monotonic() + _ENGINE_PATIENCE
        while True:
            try:
                request = container_request(self._options, self._place, self._folder, program)
                name = {"name": f"lithops-{uuid.uuid4().hex[:12]}"}
                made = self._engine.ask("POST", "/containers/create", request, query=name)
                self._container = made["Id"]
                self._engine.ask("POST", f"/containers/{self._container}/start")
                return
            except EngineError as exc:
                if exc.kind != RuntimeFailure.NO_ENGINE or time.monotonic() > deadline:
                    raise
                self._drop_container()
            if self._closed.wait(_LOOK_AGAIN):
                raise EngineError(RuntimeFailure.ENGINE, "it was not wanted any more")

    def _drop_container(self) -> None:
        if self._container:
            remove_container(self._container, self._engine)
            self._container = ""

    def _hand_over(self, listener: socket.socket) -> None:
        """Meet the zygote, look at its version, and give it its control socket and its variables."""
        with self._meet(listener) as meeting:
            self.python = meeting.recv(64).decode(errors="replace")
            wanted = self._options.python
            if self.python.split(".")[:2] != wanted.split("."):
                message = (
                    f"the image {self.name} has Python {self.python}, and functions that were pickled by "
                )
                raise EngineError(RuntimeFailure.OTHER_PYTHON, f"{message}Python {wanted} need {wanted}")
            variables = json.dumps(dict(self._options.env)).encode()
            socket.send_fds(meeting, [variables], [self._theirs.fileno()])

    def _meet(self, listener: socket.socket) -> socket.socket:
        deadline = time.monotonic() + _CONNECT_TIMEOUT
        listener.settimeout(_LOOK_AGAIN)
        while not self._closed.is_set():
            try:
                meeting = listener.accept()[0]
                meeting.settimeout(_CONNECT_TIMEOUT)
                return meeting
            except TimeoutError:
                if not self._runs() or time.monotonic() > deadline:
                    words = super().last_words() or "it wrote nothing"
                    message = f"Python of the image {self.name} ended at once: {words}"
                    raise EngineError(RuntimeFailure.ENGINE, message) from None
        raise EngineError(RuntimeFailure.ENGINE, "it was not wanted any more")

    def _runs(self) -> bool:
        try:
            return bool(self._engine.get(f"/containers/{self._container}/json")["State"]["Running"])
        except EngineError:
            return False


def _listen(folder: Path) -> socket.socket:
    """Listen on ``control`` in a folder, however long the folder's path is."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/control")
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(descriptor)
    return listener
