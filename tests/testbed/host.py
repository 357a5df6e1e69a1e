"""A host of the testbed as tests see it: its logins, its configuration, and all that can go wrong with it."""

from __future__ import annotations

from typing import Any

from .booted import BootedHost
from .commands import Completed, run
from .credentials import make_host_keys
from .interpreter import copy_interpreter

_HIDDEN = "/usr/libexec/testbed-hidden"


class Host(BootedHost):
    """A host that only its bed makes: see `Testbed.host`."""

    user = "user"

    # Logins.

    @property
    def password(self) -> str:
        """The password of user, user2 and admin; root has none."""
        return self.credentials.password

    @property
    def passphrase(self) -> str:
        """What opens the key at `encrypted_key_filename`."""
        return self.credentials.passphrase

    @property
    def key_filename(self) -> str:
        """An ed25519 key that every login accepts."""
        return str(self.credentials.key("ed25519"))

    @property
    def rsa_key_filename(self) -> str:
        """An RSA key that every login accepts."""
        return str(self.credentials.key("rsa"))

    @property
    def ecdsa_key_filename(self) -> str:
        """An ECDSA key that every login accepts."""
        return str(self.credentials.key("ecdsa"))

    @property
    def encrypted_key_filename(self) -> str:
        """An ed25519 key that every login accepts, encrypted with `passphrase`."""
        return str(self.credentials.key("encrypted"))

    @property
    def unknown_key_filename(self) -> str:
        """A key that no host accepts."""
        return str(self.credentials.key("unknown"))

    def login(self, user: str | None = None) -> dict[str, Any]:
        """What a configuration says about this host."""
        return {
            "ip_address": self.address,
            "ssh_username": user or self.user,
            "ssh_key_filename": self.key_filename,
        }

    def entry(self, user: str | None = None) -> dict[str, Any]:
        """What a list of hosts in a configuration says about this host."""
        return {"address": self.address, "username": user or self.user, "key": self.key_filename}

    def lithops_config(self, **overrides: Any) -> dict[str, Any]:
        """A configuration that runs functions on this host; see `merged` for the overrides."""
        vm = {**self.login(), "known_hosts": str(self.credentials.known_hosts)}
        return merged({"lithops": {"backend": "vm"}, "vm": vm}, overrides)

    def ssh(self, command: str, user: str = "user", check: bool = True, timeout: float = 30) -> Completed:
        """Run a line of shell through OpenSSH's client: a real login, with its session and limits."""
        options = {
            "IdentityFile": self.key_filename,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.credentials.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        flags = [f"-o{key}={value}" for key, value in options.items()]
        target = f"{user}@{self.address}"
        shown = f"ssh {user}@{self.name}: {command}"
        return run("ssh", "-F/dev/null", *flags, target, command, check=check, timeout=timeout, shown=shown)

    # Cheap new beginnings.

    def clean_home(self, user: str = "user") -> None:
        """Kill all processes of ``user`` and remove its files: as if it had never logged in.

        Root's files stay, those that another login got through sudo among them: `reset` removes all.
        """
        if user == "root":
            raise ValueError("root's processes are the host itself: use reset()")
        self.writable_home(user)
        uid = self.uid(user)
        self.run(
            f"rm -f /var/lib/systemd/linger/{user} /var/spool/cron/*/{user}; "
            f"systemctl kill --signal=KILL user-{uid}.slice 2>/dev/null; "
            f"systemctl stop user-{uid}.slice user@{uid}.service user-runtime-dir@{uid}.service 2>/dev/null; "
            # Processes outside the slice, such as those of cron or of run().
            f"setpriv --reuid={uid} --clear-groups sh -c 'kill -9 -1' 2>/dev/null; "
            f"systemctl reset-failed 2>/dev/null; "
            f"find /home/{user} -mindepth 1 -delete; cp -rT /etc/skel /home/{user}; "
            f"chown -R {user}:{user} /home/{user}; "
            f"find /tmp /var/tmp /dev/shm -xdev -user {user} -delete 2>/dev/null; true"
        )

    # The network fails.

    def link_down(self) -> None:
        """Pull the cable: packets vanish, and nobody is told."""
        for leg in self.hardware.namespace.legs:
            leg.down()

    def link_up(self) -> None:
        """Put the cable back: connections that were not given up go on."""
        for leg in self.hardware.namespace.legs:
            leg.up()

    # sshd fails.

    def freeze_sshd(self) -> None:
        """Let sshd stand still: a new connection is made and never greeted; open sessions go on."""
        self.run("kill -STOP $(systemctl show --value -p MainPID ssh)")

    def thaw_sshd(self) -> None:
        """Let a frozen sshd go on."""
        self.run("kill -CONT $(systemctl show --value -p MainPID ssh)")

    def stop_sshd(self) -> None:
        """Stop sshd: new connections are refused; open sessions go on, as they do on Debian."""
        self.run("systemctl stop ssh")

    def start_sshd(self) -> None:
        """Start sshd and wait until it answers."""
        self.run("systemctl reset-failed ssh; systemctl start ssh")
        self.wait_until_up()

    def restart_sshd(self) -> None:
        """Restart sshd and wait until it answers; open sessions go on."""
        self.run("systemctl reset-failed ssh; systemctl restart ssh")
        self.wait_until_up()

    def new_host_key(self) -> None:
        """Give the host other keys, without a word to known_hosts: what an impostor looks like."""
        make_host_keys(self.hardware.disk.hold("/etc/ssh"))
        self.restart_sshd()

    def configure_sshd(self, **settings: str) -> None:
        """Set options of sshd_config, such as ``MaxSessions='2'``, on top of those set before."""
        path = self.hardware.disk.hold("/etc/ssh/sshd_config.d/10-test.conf")
        before = path.read_text().splitlines() if path.exists() else []
        known = dict(line.split(" ", 1) for line in before)
        path.write_text("".join(f"{key} {value}\n" for key, value in {**known, **settings}.items()))
        self.restart_sshd()

    def allow_forwarding(self, allowed: bool) -> None:
        """Say whether sshd forwards TCP; without it no channel reaches the agent."""
        self.configure_sshd(AllowTcpForwarding="yes" if allowed else "no")

    # Python is missing, or another one.

    def remove_python(self) -> None:
        """Hide every python3 that a login could find."""
        self.run(
            f"mkdir -p {_HIDDEN}/usr/bin {_HIDDEN}/usr/local/bin; "
            f"for file in /usr/bin/python3* /usr/local/bin/python3*; do "
            f'[ ! -e "$file" ] || mv "$file" "{_HIDDEN}$file"; done'
        )

    def restore_python(self) -> None:
        """Undo `remove_python`."""
        self.run(
            f"for folder in /usr/bin /usr/local/bin; do for file in {_HIDDEN}$folder/*; do "
            f'[ ! -e "$file" ] || mv "$file" "$folder/"; done; done'
        )

    def install_python(self, version: str) -> str:
        """Copy an interpreter of this machine, such as '3.12', into the host; return its path there."""
        return copy_interpreter(version, self.hardware.disk.root)

    # The disk fails.

    def fill_disk(self, user: str = "user") -> None:
        """Fill the file system of the homes to the last byte; the host must have been made with ``disk=``."""
        if not self.hardware.disk.home_size:
            raise ValueError(f"host {self.name} shares this machine's disk: make it with disk='64M'")
        self.run(f"cat /dev/zero >/home/{user}/.testbed-fill 2>/dev/null", check=False)

    def free_disk(self, user: str = "user") -> None:
        """Undo `fill_disk`."""
        self.run(f"rm -f /home/{user}/.testbed-fill")

    def read_only_home(self, user: str = "user") -> None:
        """Mount the home read-only; files that are open for writing already stay so."""
        self.run(f"mount --bind /home/{user} /home/{user} && mount -o remount,bind,ro /home/{user}")

    def writable_home(self, user: str = "user") -> None:
        """Undo `read_only_home`."""
        self.run(f"while mountpoint -q /home/{user}; do umount --lazy /home/{user}; done")

    def oom_kills(self) -> int:
        """How often the kernel killed a process for the limit given with ``memory=``."""
        return self.hardware.cgroup.oom_kills()


def merged(config: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Lay overrides over a configuration: a mapping is merged into the section of its name, anything else
    is a key of section `vm`, and None removes a key."""
    result = {name: dict(section) for name, section in config.items()}
    for key, value in overrides.items():
        changes = value if isinstance(value, dict) else {key: value}
        section = result.setdefault(key if isinstance(value, dict) else "vm", {})
        section.update(changes)
        for name in [name for name, setting in section.items() if setting is None]:
            del section[name]
    return result
