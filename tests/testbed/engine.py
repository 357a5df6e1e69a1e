"""Docker on a host of the testbed: an engine and registries of its own, and images made without a registry.

The host must have been made with ``release="engine"``. Nothing is pulled from anywhere but the host itself.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .host import Host
from .python_image import local_python, python_image

LOCAL_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"

REGISTRY, PRIVATE = "127.0.0.1:5010", "127.0.0.1:5011"
"""Where registries listen on the host: one for everybody, and one that wants a login."""
USER = "reader"
_DAEMON = {
    "bridge": "none", "iptables": False, "ip6tables": False, "ip-forward": False, "ip-masq": False,
    "userland-proxy": False, "shutdown-timeout": 2,
}  # fmt: skip
_UNIT = """\
[Service]
ExecStartPre=-/bin/sh -c 'grep -o " /sys/fs/cgroup[^ ]*" /proc/mounts | xargs -n1 mount -o remount,rw'
ExecStartPre=-/bin/sh -c 'grep -o " /sys/fs/cgroup[^ ]*" /proc/mounts | xargs -n1 mount -o remount,bind,rw'
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd://
Restart=no
"""
_LIBRARIES = (
    "libc6 libexpat1 zlib1g libcrypt1 libffi8 libbz2-1.0 liblzma5 libssl3 libuuid1 libncursesw6 libtinfo6"
)
_PYTHON = (
    "python3.11-minimal libpython3.11-minimal libpython3.11-stdlib python3-minimal dash libdb5.3 "
    f"libsqlite3-0 {_LIBRARIES}"
)

# Debian 12's packages say /lib and /bin where /usr/lib and /usr/bin are meant.
_MAKE = """\
set -e
t=$(mktemp -d)
chmod 755 $t
mkdir -p $t/tmp $t/etc $t/usr/lib $t/usr/lib64 $t/usr/bin
chmod 1777 $t/tmp
ln -s usr/lib $t/lib
ln -s usr/lib64 $t/lib64
ln -s usr/bin $t/bin
for package in {packages}; do dpkg -L $package 2>/dev/null; done | sed 's,^/lib,/usr/lib,;s,^/bin,/usr/bin,' |
    grep -v '^/usr/share' | sort -u >$t.files
tar -C / --no-recursion --ignore-failed-read -c -T $t.files 2>/dev/null | tar -C $t -x
{then}
tar -C $t -c . | docker import - {name} >/dev/null
rm -rf $t $t.files
"""

_FOREIGN = """\
import io, json, sys, tarfile
given = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()))
files = {member.name: given.extractfile(member).read() for member in given if member.isfile()}
manifest = json.loads(files["manifest.json"])
config = json.loads(files.pop(manifest[0]["Config"]))
files["config.json"] = json.dumps({**config, "architecture": "arm64"}).encode()
manifest[0].update(Config="config.json", RepoTags=[f"{sys.argv[1]}:latest"])
files["manifest.json"] = json.dumps(manifest).encode()
files.pop("repositories", None)
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as made:
    for name, data in files.items():
        member = tarfile.TarInfo(name)
        member.size = len(data)
        made.addfile(member, io.BytesIO(data))
"""


class Engine:
    """The engine of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.password = secrets.token_urlsafe(16)
        """Of `USER` at the private registry."""

    def start(self) -> None:
        """Start the engine, and wait until it answers."""
        hold = self.host.hardware.disk.hold
        self.host.run("mkdir -p /etc/docker /etc/systemd/system/docker.service.d")
        # Below the groups of this run, which are removed in the end whatever the engine has left in them.
        group = self.host.hardware.cgroup.path
        settings = {**_DAEMON, "cgroup-parent": f"/{'/'.join(group.parts[-3:])}"}
        hold("/etc/docker/daemon.json").write_text(json.dumps(settings))
        hold("/etc/systemd/system/docker.service.d/testbed.conf").write_text(_UNIT)
        # With the old control groups, systemd may not hear that a login's last process has ended.
        self.host.run("mkdir -p /etc/systemd/system/user@.service.d")
        hold("/etc/systemd/system/user@.service.d/testbed.conf").write_text("[Service]\nTimeoutStopSec=1s\n")
        self.host.run(
            # Debian's own registry wants a login that nobody has.
            "systemctl daemon-reload; systemctl stop docker-registry; systemctl reset-failed; "
            "systemctl restart docker",
            timeout=60,
        )
        self.wait()

    def wait(self, timeout: float = 30) -> None:
        """Wait until the engine answers.

        Raises:
            TimeoutError: it does not.
        """
        deadline = time.monotonic() + timeout
        while self.host.run("docker version", check=False).returncode:
            if time.monotonic() > deadline:
                log = self.host.run("journalctl -u docker --no-pager | tail -20", check=False).stdout
                raise TimeoutError(f"no engine on {self.host.name}:\n{log}")
            time.sleep(0.05)

    def allow(self, user: str = "user") -> None:
        """Let a login use the engine."""
        self.host.run(f"usermod -aG docker {user}")

    def docker(self, command: str, *, check: bool = True) -> str:
        """What a command of the docker client prints, as root."""
        return self.host.run(f"docker {command}", check=check, timeout=120).stdout.strip()

    def containers(self) -> list[str]:
        """The names of all containers, whether they run or not."""
        return self.docker("ps --all --format '{{.Names}}'").split()

    @contextlib.contextmanager
    def little_room(self) -> Iterator[None]:
        """The disk of the engine has room for a few megabytes more at most."""
        self.host.run("mount -t tmpfs -o size=8m tmpfs /var/lib/docker/tmp")
        try:
            yield
        finally:
            self.host.run("umount --lazy /var/lib/docker/tmp")

    def remove_containers(self) -> None:
        """Remove all containers, and wait until those are gone, too, that are being removed already."""
        deadline = time.monotonic() + 20
        while self.containers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"containers stay on {self.host.name}: {self.containers()}")
            self.docker("ps --all --quiet | xargs --no-run-if-empty docker rm --force", check=False)

    # -- images --

    def make_python_image(self, name: str, version: str = LOCAL_PYTHON) -> None:
        """Make an image with a Python of this machine and nothing else; without a version, with this one.

        Raises:
            LookupError: this machine has no such Python.
        """
        with tempfile.TemporaryDirectory() as work:
            archive = python_image(local_python(version), Path(work))
        self.host.hardware.disk.hold("/root/image.tar").write_bytes(archive)
        self.host.run(f"docker import /root/image.tar {name} && rm /root/image.tar", timeout=120)

    def make_debian_image(self, name: str) -> None:
        """Make an image with Debian's Python 3.11, which is that of the host, and nothing else.

        It comes from the files of this very host's packages, so that no mirror is asked.
        """
        self._make(name, _PYTHON, "ln -sf python3.11 $t/usr/bin/python3")

    def make_bare_image(self, name: str) -> None:
        """Make an image without any Python."""
        self._make(
            name, f"dash coreutils libselinux1 libacl1 libattr1 libgmp10 libpcre2-8-0 {_LIBRARIES}", ""
        )

    def make_image_of(self, name: str, base: str, dockerfile: str) -> None:
        """Make an image from another one with lines of a Dockerfile."""
        self.host.run(f"docker build -q -t {name} -", input=f"FROM {base}\n{dockerfile}\n", timeout=120)

    def make_foreign_image(self, name: str, base: str) -> None:
        """Make an image that says that it is for arm64, which this machine is not."""
        self.host.run(
            f"docker save {base} | python3 -c {shlex.quote(_FOREIGN)} {name} | docker load", timeout=60
        )

    def _make(self, name: str, packages: str, then: str) -> None:
        self.host.run(_MAKE.format(packages=packages, then=then, name=name), timeout=120)

    # -- registries --

    def start_registry(self) -> None:
        """Start the registry that everybody may use, at `REGISTRY`."""
        self._serve("open", REGISTRY, {})

    def start_private_registry(self) -> None:
        """Start the registry at `PRIVATE`, which wants the login of `USER`."""
        salt = "$2y$05$" + secrets.token_hex(11)
        hashing = f"perl -e 'chomp($p = <STDIN>); print crypt($p, q({salt}))'"
        digest = self.host.run(hashing, input=self.password).stdout
        self.host.hardware.disk.hold("/root/htpasswd").write_text(f"{USER}:{digest}\n")
        self._serve("private", PRIVATE, {"auth": {"htpasswd": {"realm": "bed", "path": "/root/htpasswd"}}})

    def stop_registries(self) -> None:
        """Nobody listens there any more."""
        self.host.run("systemctl stop 'registry-*'", check=False)

    def _serve(self, name: str, address: str, more: dict[str, object]) -> None:
        config = {
            "version": "0.1", "log": {"level": "error"}, "http": {"addr": address},
            "storage": {"filesystem": {"rootdirectory": f"/var/lib/docker/registry-{name}"}}, **more,
        }  # fmt: skip
        # JSON is YAML.
        self.host.hardware.disk.hold(f"/root/registry-{name}.yml").write_text(json.dumps(config))
        self.host.run(
            f"systemctl reset-failed registry-{name} 2>/dev/null; "
            f"systemd-run --quiet --unit=registry-{name} docker-registry serve /root/registry-{name}.yml"
        )
        port = address.rpartition(":")[2]
        self.host.run(
            f"for i in $(seq 200); do ss -ltn | grep -q ':{port} ' && exit 0; sleep 0.05; done; exit 1"
        )

    def push(self, image: str, target: str, *, login: bool = False) -> None:
        """Put an image into a registry, under a name that begins with its address, and forget it here."""
        self.docker(f"tag {image} {target}")
        if login:
            self.host.run(
                f"docker login -u {USER} --password-stdin {PRIVATE}", input=self.password, timeout=60
            )
        self.docker(f"push -q {target}")
        if login:
            self.docker(f"logout {PRIVATE}")
        self.docker(f"rmi {target}")
