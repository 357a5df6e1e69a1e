"""What this machine must have for a testbed, and where its own Debian packages come from."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "nft": "nftables",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "LITHOPS_TESTBED_MIRROR"


class TestbedUnavailable(RuntimeError):
    """This machine can't boot test hosts; ``what_to_do`` says how it can be made able to."""

    __test__ = False

    def __init__(self, reason: str, what_to_do: str) -> None:
        self.reason = reason
        self.what_to_do = what_to_do
        super().__init__(f"no test hosts on this machine: {reason}. {what_to_do}")


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A Debian mirror and the keyring that its releases are checked with."""

    url: str
    keyring: Path


def problems() -> list[tuple[str, str]]:
    """Everything that is missing, as pairs of reason and what to do; empty when hosts can boot."""
    found = []
    if platform.system() != "Linux":
        return [(f"{platform.system()} has no namespaces", "Run the integration tests on Linux.")]
    if os.geteuid() != 0:
        found.append(("not root", "Namespaces and overlay mounts need root: run as root."))
    missing = sorted({package for tool, package in PACKAGES.items() if not shutil.which(tool)})
    if missing:
        found.append((f"missing: {', '.join(missing)}", f"apt-get install -y {' '.join(missing)}"))
    if "overlay" not in Path("/proc/filesystems").read_text():
        found.append(("the kernel has no overlayfs", "modprobe overlay, or use another kernel."))
    if not cgroup2_mount():
        found.append(("no cgroup2 is mounted", "Mount one at /sys/fs/cgroup or /sys/fs/cgroup/unified."))
    return found


def require() -> None:
    """Raise TestbedUnavailable for the first thing that is missing."""
    for reason, what_to_do in problems():
        raise TestbedUnavailable(reason, what_to_do)


def mounts() -> Iterator[tuple[str, str, str]]:
    """Yield (mount point, file system type, options) of each mount of this machine."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, options, *_ = line.split(" ")
        yield target.replace("\\040", " "), kind, options


def cgroup2_mount() -> Path | None:
    """Where the unified cgroup hierarchy is mounted, if it is."""
    return next((Path(target) for target, kind, _ in mounts() if kind == "cgroup2"), None)


def memory_cgroup1_mount() -> Path | None:
    """Where the memory controller of cgroup v1 is mounted; None on a machine with cgroup2 alone."""
    for target, kind, options in mounts():
        if kind == "cgroup" and "memory" in options.split(","):
            return Path(target)
    return None


def debian_mirror() -> Mirror:
    """The mirror that this machine's apt takes its own release from.

    The environment's LITHOPS_TESTBED_MIRROR goes first: the way for a machine that is not Debian.

    Raises:
        TestbedUnavailable: apt names no mirror for this machine's release.
    """
    if os.environ.get(MIRROR_VARIABLE):
        return Mirror(url=os.environ[MIRROR_VARIABLE], keyring=KEYRING)
    codename = _codename()
    for url, suites, keyring in _sources():
        if codename in suites:
            return Mirror(url=url, keyring=keyring if keyring and keyring.exists() else KEYRING)
    raise TestbedUnavailable(
        "apt's sources name no Debian mirror", f"Set {MIRROR_VARIABLE} to the URL of a Debian mirror."
    )


def _codename() -> str:
    release = platform.freedesktop_os_release()
    return release.get("VERSION_CODENAME", "") if release.get("ID") == "debian" else ""


def _sources() -> Iterator[tuple[str, list[str], Path | None]]:
    """Yield (URL, suites, keyring) of apt's sources, in both of its formats."""
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.exists():
            yield from _one_line_sources(path.read_text())
        elif path.suffix == ".sources":
            yield from _deb822_sources(path.read_text())


def _one_line_sources(text: str) -> Iterator[tuple[str, list[str], Path | None]]:
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["deb"]:
            options = [word.strip("[]") for word in words if "=" in word]
            keyring = next((word[10:] for word in options if word.startswith("signed-by=")), None)
            url = next((index for index, word in enumerate(words) if "://" in word), None)
            if url is not None and len(words) > url + 1:
                yield words[url], [words[url + 1]], Path(keyring) if keyring else None


def _deb822_sources(text: str) -> Iterator[tuple[str, list[str], Path | None]]:
    for stanza in text.split("\n\n"):
        lines = [line for line in stanza.splitlines() if ":" in line and not line.startswith("#")]
        fields = {key.strip().lower(): value.strip() for key, value in (line.split(":", 1) for line in lines)}
        if "deb" in fields.get("types", "").split() and fields.get("uris"):
            keyring = fields.get("signed-by")
            for url in fields["uris"].split():
                yield url, fields.get("suites", "").split(), Path(keyring) if keyring else None
