"""How each figure is taken, and its reference."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.local import local_login
from lithops.ssh.target import resolve_target
from tests.bench.report import Figure
from tests.testbed import Host

_RUNS = 5
_WARM_CALLS = 300
_MAP_CALLS = 10_000
_MEMORY_CALLS = 100_000
_MEMORY_SIZE = 1024
_MILLION = 1_000_000
_SHRINK_TIMEOUT = 300
_IDLE = 35
"""Seconds after which the agent has ended what it kept warm."""
_REST = 3.0
"""Seconds after which workers without a call have ended."""
_SPARE = 6_000_000
"""Bytes of the journal that may stay allocated for the next job."""
_TIMEOUT = 300
_IDLE = 35
"""Seconds after which the agent has ended what it kept warm."""
_SCRIPT = Path(__file__).with_name("script.py")


class Client:
    """Runs the measured script as a user's process, against one host."""

    def __init__(self, host: Host, home: Path, runtime: str = "python3") -> None:
        self.host = host
        config = host.lithops_config(lithops={"data_limit": False}, standalone={"runtime": runtime})
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LITHOPS")}
        self._environment = {
            **kept,
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "LITHOPS_CONFIG": json.dumps(config),
        }

    def with_standalone(self, variables: Mapping[str, str] | None = None, **keys: object) -> Client:
        """The same client with keys of the section ``standalone``, and variables in its environment."""
        other = copy.copy(self)
        config = {**json.loads(self._environment["LITHOPS_CONFIG"]), "standalone": keys}
        changes = {**(variables or {}), "LITHOPS_CONFIG": json.dumps(config)}
        other._environment = {**self._environment, **changes}
        return other

    def run(self, *arguments: object) -> dict[str, Any]:
        """What the script measured; ``total`` are the seconds from before its start to its line."""
        command = [sys.executable, str(_SCRIPT), *map(str, arguments)]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self._environment)
        assert process.stdout is not None
        line = process.stdout.readline()
        total = time.perf_counter() - began
        if process.wait(timeout=_TIMEOUT) or not line:
            raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
        return {**json.loads(line), "total": total}


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def first_results(client: Client) -> list[Figure]:
    """The first result: on a bare host, and in a new process when the agent is there."""
    host = client.host
    with tempfile.TemporaryDirectory() as empty:
        unbuilt = [Client(host, Path(empty)).run("first")["total"]]
    bare, login = [], []
    for _ in range(_RUNS):
        host.clean_home()
        login.append(seconds(lambda: host.ssh("true")))
        bare.append(client.run("first")["total"])
    again = [client.run("first")["total"] for _ in range(_RUNS)]
    ssh = f"ssh host true: {statistics.median(login):.2f} s"
    return [
        Figure(what="first result, bare host", values=bare, unit="s", must=2.0, reference=ssh),
        Figure(what="  the same, bundle not built yet", values=unbuilt, unit="s", reference=ssh),
        Figure(what="first result, agent there", values=again, unit="s", must=0.7, reference=ssh),
    ]


def import_time() -> Figure:
    """``import lithops`` alone: an interpreter with it, less one without."""

    def start(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    start("import lithops")
    pairs = [(start("import lithops"), start("pass")) for _ in range(2 * _RUNS)]
    values = [(with_it - without) * 1000 for with_it, without in pairs]
    plain = statistics.median(without for _, without in pairs) * 1000
    return Figure(
        what="import lithops", values=values, unit="ms", must=100, reference=f"python -c pass: {plain:.0f} ms"
    )


def warm_call(client: Client) -> Figure:
    """One call on a warm worker."""
    values = [value * 1000 for value in client.run("warm", _WARM_CALLS)["seconds"]]
    reference = f"SSH echo round trip: {_echo(client.host):.2f} ms"
    return Figure(what="one warm call", values=values, unit="ms", must=5, reference=reference)


def _echo(host: Host) -> float:
    """Milliseconds for a byte there and back through `cat` on the host, over one channel."""
    known, key = str(host.credentials.known_hosts), host.key_filename
    target = resolve_target(
        host.address, login=local_login(), username=host.user, key_filename=key, known_hosts=known
    )
    times = []
    with SshConnection.connect(target, Deadline.after(10)) as connection:
        channel = connection._open("session", None, Deadline.after(10))
        channel.exec_command("cat")
        for _ in range(200):
            began = time.perf_counter()
            channel.sendall(b"x")
            channel.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def map_of_nothing(client: Client) -> Figure:
    """10,000 calls that do nothing."""
    values = [_MAP_CALLS / client.run("many", _MAP_CALLS)["seconds"] for _ in range(_RUNS)]
    with multiprocessing.Pool(2) as pool:
        pool.map(_nothing, range(100))
        local = _MAP_CALLS / seconds(lambda: pool.map(_nothing, range(_MAP_CALLS), chunksize=1))
    return Figure(
        what="map of 10,000 no-ops", values=values, unit="calls/s", must=5000, at_least=True,
        reference=f"multiprocessing.Pool(2).map: {local:,.0f} calls/s",
    )  # fmt: skip


def _nothing(x: int) -> None:
    pass


def idle_memory(client: Client) -> list[Figure]:
    """All processes of an agent that has run something: a moment later, and when it has nothing to do."""
    client.run("first")
    time.sleep(1)
    soon = client.host.memory()
    time.sleep(_IDLE)
    idle = client.host.memory()
    return [
        _memory("agent, 1 s after a call, all processes", soon, None),
        _memory(f"agent, idle for {_IDLE} s, all processes", idle, 80),
    ]


def _memory(what: str, used: dict[str, int], must: float | None) -> Figure:
    share = f"proportional share (PSS): {used['pss'] / 1e6:.0f} MB"
    return Figure(what=what, values=[used["rss"] / 1e6], unit="MB", must=must, reference=share)


def client_memory(client: Client) -> Figure:
    """What 100,000 calls of 1 KB cost the user's process beyond the data, at its peak."""
    measured = client.run("memory", _MEMORY_CALLS, _MEMORY_SIZE)
    return Figure(
        what="100,000 calls of 1 KB: client memory a call", values=[measured["peak"] / _MEMORY_CALLS],
        unit="B", must=2048,
        reference=f"in {measured['seconds']:.1f} s; "
        f"at the end {measured['end'] / _MEMORY_CALLS:,.0f} B a call",
    )  # fmt: skip


def million(client: Client) -> list[Figure]:
    """A job of 1,000,000 calls that do nothing: how long, and what it leaves behind on the host."""
    host = client.host
    client.run("first")
    time.sleep(_REST)
    journal, memory = _journal_size(host), host.memory()["rss"]
    with _Watch(host) as watch:
        took = client.run("many", _MILLION)["seconds"]
        deadline = time.monotonic() + _SHRINK_TIMEOUT
        meanwhile = client.run("warm", _WARM_CALLS)["seconds"]
        shrunk = seconds(lambda: _wait_until_small(host, journal + _SPARE, deadline))
    time.sleep(_REST)
    after = host.memory()["rss"]
    return [
        Figure(what="map of 1,000,000 no-ops", values=[_MILLION / took], unit="calls/s",
               reference=f"in {took:.0f} s"),
        Figure(what="  journal on the host, at its largest", values=[watch.largest / 1e6], unit="MB"),
        Figure(what="  journal, once the job was released", values=[_journal_size(host) / 1e6], unit="MB",
               must=(journal + _SPARE) / 1e6,
               reference=f"before: {journal / 1e6:.1f} MB; {shrunk:.1f} s after the calls below"),
        Figure(what="  the slowest warm call meanwhile", values=[max(meanwhile) * 1000], unit="ms",
               reference=f"median {statistics.median(meanwhile) * 1000:.1f} ms"),
        Figure(what="  agent, all processes, afterwards", values=[after / 1e6], unit="MB",
               reference=f"before: {memory / 1e6:.0f} MB"),
    ]  # fmt: skip


class _Watch:
    """Looks at the size of a host's journal again and again."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.largest = 0

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            self.largest = max(self.largest, _journal_size(self._host))


def _journal_size(host: Host) -> int:
    folder = host.hardware.disk.hold(f"/home/{host.user}/.lithops/agent/work")
    return sum(path.stat().st_size for path in folder.glob("journal.db*"))


def _wait_until_small(host: Host, size: int, deadline: float) -> None:
    while _journal_size(host) > size and time.monotonic() < deadline:
        time.sleep(0.1)
