"""The life of a host: boot, power off, power cut, pristine again; and what is asked of it meanwhile."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from .cgroup import Cgroup
from .commands import Completed, run
from .container import ENGINE_OPTIONS, REBOOT_STATUS, Container, Process
from .credentials import Credentials, make_host_keys
from .disk import Disk
from .network import Namespace, connect

BOOT_TIMEOUT = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a host is made of."""

    image: Path
    folder: Path
    namespace: Namespace
    cgroup: Cgroup
    disk: Disk
    cpus: int | None
    engine: bool = False
    """Whether it may run containers of its own."""


class BootedHost:
    """A host that can be started and ended in every way that a real one can."""

    def __init__(self, name: str, hardware: Hardware, credentials: Credentials) -> None:
        self.name = name
        self.hardware = hardware
        self.credentials = credentials
        self.address = hardware.namespace.legs[0].address
        self._container: Container | None = None
        self._watcher: threading.Thread | None = None
        self._boots = 0
        self._power = threading.Lock()
        self._cut = False
        self._keys = hardware.folder / "host_keys"
        self.make_identity()
        self.disk_is_pristine()

    def make_identity(self) -> None:
        """Make the host's keys, and let the bed know them."""
        self.credentials.pin(self.address, make_host_keys(self._keys))

    # What is on the disk before the first boot.

    def disk_is_pristine(self) -> None:
        """Mount an empty disk and write to it what makes a host this one."""
        disk = self.hardware.disk
        disk.wipe()
        disk.mount()
        disk.hold("/etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        disk.hold("/etc/hostname").write_text(f"{self.name}\n")
        disk.hold("/etc/hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        self.let_users_in(disk)

    def let_users_in(self, disk: Disk) -> None:
        """Write what logins need to a pristine disk."""
        disk.hold("/etc/ssh/testbed_keys").write_text(self.credentials.authorized_keys())
        for path in self._keys.iterdir():
            shutil.copy2(path, disk.hold("/etc/ssh"))
        logins = "".join(f"{user}:{self.credentials.password}\n" for user in ("user", "user2", "admin"))
        run("chroot", str(disk.root), "/usr/sbin/chpasswd", input=logins)

    # On and off.

    @property
    def running(self) -> bool:
        """Whether the host is on."""
        return self._container is not None and self._container.running

    @property
    def container(self) -> Container:
        """The present boot.

        Raises:
            RuntimeError: the host is off.
        """
        if self._container is None or not self._container.running:
            raise RuntimeError(f"host {self.name} is off")
        return self._container

    def start(self, wait: bool = True, timeout: float = BOOT_TIMEOUT) -> None:
        """Switch on, with what is on the disk; wait until sshd answers. Does nothing when it is on."""
        if self._watcher and not self.running:
            self._watcher.join()
        if not self.running:
            self._cut = False
            self._boot()
            self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
            self._watcher.start()
        if wait:
            self.wait_until_up(timeout)

    def _boot(self) -> None:
        hardware = self.hardware
        self.lay_network()
        self._container = Container(
            name=hardware.namespace.name, hostname=self.name, root=hardware.disk.root,
            network=hardware.namespace.path, cgroup=hardware.cgroup, options=self._options(),
            cpus=hardware.cpus, log=hardware.folder / "console.log", engine=hardware.engine,
        )  # fmt: skip
        # Counted last: who waits for the next boot looks at its container.
        self._boots += 1

    def lay_network(self) -> None:
        """Make the host's network anew; it is about to boot."""
        self.hardware.namespace.create()

    def went_off(self) -> None:
        """The host has ended by itself, or its power was cut."""
        self.hardware.namespace.silence()

    def _options(self) -> list[str]:
        """What systemd-nspawn mounts, and allows, beside the disk."""
        options = self.hardware.disk.binds()
        if self.hardware.engine:
            # An overlay can't lie on another one: the engine's layers are on this machine's own disk.
            layers = self.hardware.folder / "engine"
            layers.mkdir(exist_ok=True)
            options += [*ENGINE_OPTIONS, f"--bind={layers}:/var/lib/docker"]
        return options

    def _watch(self) -> None:
        """Follow the host to its end: start it again when it asked for that, else make it silent."""
        assert self._container is not None
        while self._container.process.wait() == REBOOT_STATUS:
            with self._power:
                if self._cut:
                    break
                self._boot()
        self.went_off()

    def wait_until_up(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait until sshd says who it is.

        Raises:
            TimeoutError: it did not within ``timeout`` seconds; the message has the end of the console.
        """
        deadline = time.monotonic() + timeout
        while not self.answers():
            if time.monotonic() > deadline or not self.running:
                raise TimeoutError(f"no sshd on host {self.name}:\n{self.console()[-3000:]}")
            time.sleep(0.01)

    def answers(self, timeout: float = 1.0) -> bool:
        """Whether sshd greets within ``timeout`` seconds."""
        leg = self.hardware.namespace.legs[0]
        inside = None if leg.bridge.gateway else self.hardware.namespace.path
        with contextlib.suppress(OSError), connect(self.address, 22, timeout, inside) as peer:
            return peer.recv(4) == b"SSH-"
        return False

    def console(self) -> str:
        """What the host printed to its console, in all boots."""
        return (self.hardware.folder / "console.log").read_text(errors="replace")

    def wait_off(self, timeout: float = 30) -> None:
        """Wait until the host is off.

        Raises:
            TimeoutError: it was still on after ``timeout`` seconds.
        """
        if self._watcher:
            self._watcher.join(timeout)
            if self._watcher.is_alive():
                raise TimeoutError(f"host {self.name} is still on after {timeout:g} s")

    def poweroff(self, timeout: float = 30) -> None:
        """Shut the host down in order, as `systemctl poweroff` does; return when it is off."""
        if self.running:
            self.run("systemctl poweroff", check=False)
        self.wait_off(timeout)

    def reboot(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Shut down in order and boot again; return when sshd answers."""
        boots = self._boots
        self.run("systemctl reboot", check=False)
        deadline = time.monotonic() + timeout
        while self._boots == boots:
            if time.monotonic() > deadline or not (self._watcher and self._watcher.is_alive()):
                raise TimeoutError(f"host {self.name} did not boot again")
            time.sleep(0.01)
        self.wait_until_up(timeout)

    def kill(self) -> None:
        """Cut the power: all processes end at once, and the network says nothing about it."""
        self.hardware.namespace.silence()
        self.cut_power()
        self.wait_off()
        self.hardware.namespace.remove()

    def cut_power(self) -> None:
        """End all processes at once, and whatever reboot they had asked for."""
        with self._power:
            self._cut = True
            self.hardware.cgroup.kill()

    def reset(self) -> None:
        """Put in a pristine disk and boot: same name, address and keys, nothing else."""
        self.kill()
        self.disk_is_pristine()
        self.start()

    def remove(self) -> None:
        """End the host for good and remove everything that it had."""
        self.kill()
        self.hardware.disk.wipe()
        self.hardware.cgroup.remove()
        shutil.rmtree(self.hardware.folder, ignore_errors=True)

    # Inside.

    def run(
        self,
        command: str,
        user: str = "root",
        check: bool = True,
        input: str | None = None,
        timeout: float = 30,
    ) -> Completed:
        """Run a line of shell inside, by nsenter: in a few milliseconds, even while sshd is away.

        It has the user's rights and home, but no login session and not the host's memory limit; for these,
        use ``ssh``. Output is text.

        Raises:
            CommandFailed: on a status other than 0 (with ``check``), and after ``timeout`` seconds.
            RuntimeError: the host is off.
        """
        inside = self.container.enter_command(_as_user(user, command))
        shown = f"{user}@{self.name}: {command}"
        return run(*inside, input=input, check=check, timeout=timeout, shown=shown)

    def memory(self, user: str = "user") -> dict[str, int]:
        """What the user's processes hold, in bytes: 'rss', and 'pss', which counts shared pages once."""
        total = {"rss": 0, "pss": 0}
        for process in self._processes_of(user):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{process.machine_pid}/smaps_rollup").read_text().splitlines():
                    key = line.split(":")[0].lower()
                    if key in total:
                        total[key] += int(line.split()[1]) * 1024
        return total

    def processes(self, user: str = "user") -> list[tuple[int, list[str]]]:
        """The user's processes as (pid inside the host, arguments).

        What belongs to every login is left out: the user's systemd, its message bus, and sshd.
        """
        return [(process.pid, process.args) for process in self._processes_of(user)]

    def _processes_of(self, user: str) -> list[Process]:
        uid = self.uid(user)
        mine = (process for process in self.container.processes() if process.uid == uid)
        return [process for process in mine if not _is_login(process.args)]

    def uid(self, user: str) -> int:
        """The number of a login of this host."""
        for line in self.hardware.disk.hold("/etc/passwd").read_text().splitlines():
            name, _, uid, *_ = line.split(":")
            if name == user:
                return int(uid)
        raise KeyError(f"host {self.name} has no login {user!r}")


def _is_login(args: list[str]) -> bool:
    """Whether a process belongs to the login itself: the user's systemd, its message bus, or sshd."""
    program = os.path.basename(args[0])
    if program in ("systemd", "dbus-daemon"):
        return "--user" in args or "--session" in args
    return args[0] == "(sd-pam)" or args[0].startswith(("sshd:", "sshd-session:"))


def _as_user(user: str, command: str) -> list[str]:
    """The command that runs a line of shell as ``user`` with a login's environment, from root."""
    home = "/root" if user == "root" else f"/home/{user}"
    script = (
        'export XDG_RUNTIME_DIR=/run/user/$(id -u); [ -d "$XDG_RUNTIME_DIR" ] || unset XDG_RUNTIME_DIR; '
        'cd 2>/dev/null || cd /; eval "$1"'
    )
    env = ["env", "-i", f"PATH={_PATH}", f"HOME={home}", f"USER={user}", f"LOGNAME={user}", "LANG=C.UTF-8"]
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user != "root" else []
    return [*env, *become, "/bin/sh", "-c", script, "sh", command]
