"""One boot of a host: the systemd-nspawn process, and what can be asked of the processes inside."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cgroup import Cgroup
from .machine import memory_cgroup1_mount

REBOOT_STATUS = 133
_NSPAWN = [
    "systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--register=no", "--link-journal=no",
    "--resolv-conf=off", "--timezone=off", "--settings=no", "--console=pipe",
]  # fmt: skip
ENGINE_OPTIONS = ["--capability=all", "--system-call-filter=@keyring bpf"]
"""What a host must be allowed so that a container engine runs in it."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of a host: its pid there, its pid on this machine, its user and its arguments."""

    pid: int
    machine_pid: int
    uid: int
    args: list[str]


class Container:
    """A booted host. It is started by the constructor and over once the process has ended."""

    def __init__(
        self, *, name: str, hostname: str, root: Path, network: Path, cgroup: Cgroup,
        options: Sequence[str] = (), cpus: int | None = None, log: Path, engine: bool = False,
    ) -> None:  # fmt: skip
        command = [
            *_NSPAWN, f"--machine={name}", f"--hostname={hostname}", f"--directory={root}",
            f"--network-namespace-path={network}", *options,
        ]  # fmt: skip
        if cpus is not None:
            command = ["taskset", "--cpu-list", f"0-{cpus - 1}", *command]
        # The shell joins the groups before it becomes nspawn: so no process is ever outside of them.
        joins = [f"echo $$ >{shlex.quote(str(path))}" for path in cgroup.join_files()]
        script = " && ".join([*joins, f"exec {shlex.join(command)}"])
        # Inside, systemd sees only the unified hierarchy: newer releases refuse to boot on the old one. An
        # engine, however, limits memory by it only where this machine's memory controller is there, too.
        unified = not (engine and memory_cgroup1_mount())
        env = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1" if unified else "0"}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", script], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=env, start_new_session=True,
            )  # fmt: skip
        self._leader: int | None = None

    @property
    def running(self) -> bool:
        """Whether the host has not ended yet."""
        return self.process.poll() is None

    def leader(self, timeout: float = 10) -> int:
        """The pid, on this machine, of the host's own process 1."""
        deadline = time.monotonic() + timeout
        while self._leader is None:
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError("the host has no process 1: it has ended, or never began")
            self._leader = self._find_leader()
            if self._leader is None:
                time.sleep(0.01)
        return self._leader

    def _find_leader(self) -> int | None:
        """The child of nspawn that is process 1 of a pid namespace."""
        for pid, status in _statuses():
            if status.get("PPid") == str(self.process.pid) and status.get("NSpid", "").split()[1:] == ["1"]:
                return pid
        return None

    def enter_command(self, command: Sequence[str]) -> list[str]:
        """The command that runs ``command`` in all namespaces of the host, as root."""
        return ["nsenter", "--target", str(self.leader()), "--all", "--", *command]

    def processes(self) -> list[Process]:
        """All processes of the host that have arguments (kernel threads and zombies have none)."""
        leader = self.leader()
        inside = os.readlink(f"/proc/{leader}/ns/pid")
        found = []
        for pid, status in _statuses():
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") != inside:
                    continue
                args = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue  # It ended while we looked.
            if args:
                number = int(status["NSpid"].split()[-1])
                uid = int(status["Uid"].split()[1])
                split = args.rstrip("\0").split("\0")
                found.append(Process(pid=number, machine_pid=pid, uid=uid, args=split))
        return found


def _statuses() -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (pid, fields of its status file) of every process of this machine."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                lines = Path("/proc", entry, "status").read_text().splitlines()
            except OSError:
                continue  # It ended while we looked.
            yield (
                int(entry),
                {key: value.strip() for key, _, value in (line.partition(":") for line in lines)},
            )
