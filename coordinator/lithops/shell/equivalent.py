"""The command of OpenSSH that does what `lithops ssh` does. Pure."""

from __future__ import annotations

import shlex
from typing import Optional

from lithops.ssh.target import DEFAULT_PORT, SshTarget


def ssh_command(target: SshTarget, command: Optional[str] = None, *, with_terminal: bool) -> list[str]:
    """The arguments of `ssh`, with the same key, pinned host key and jump host. Passwords are left out."""
    extra = ["-t"] if command is not None and with_terminal else []
    return [*_ssh(target, *extra), *([] if command is None else [command])]


def _ssh(target: SshTarget, *extra: str) -> list[str]:
    words = ["ssh", *_options(target)]
    if target.jump is not None:
        # For a ProxyCommand, ssh replaces what begins with a percent sign.
        through = shlex.join(_ssh(target.jump, "-W", target.where)).replace("%", "%%")
        words += ["-o", f"ProxyCommand={through}"]
    port = [] if target.port == DEFAULT_PORT else ["-p", str(target.port)]
    return [*words, *extra, *port, f"{target.username}@{target.address}"]


def _options(target: SshTarget) -> list[str]:
    words: list[str] = []
    for key in target.key_filenames:
        words += ["-i", key]
    if target.key_filenames and not target.use_agent:
        words += ["-o", "IdentitiesOnly=yes"]
    if target.known_hosts:
        words += ["-o", f"UserKnownHostsFile={' '.join(target.known_hosts)}"]
    checking = "yes" if target.host_keys == "strict" else "accept-new"
    words += ["-o", f"StrictHostKeyChecking={checking}"]
    if target.host_key_alias:
        words += ["-o", f"HostKeyAlias={target.host_key_alias}"]
    return words
