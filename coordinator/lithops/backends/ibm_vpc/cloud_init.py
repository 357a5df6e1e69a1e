"""What a new machine is told at its first boot: who may log in, its host key, and when to go off. Pure."""

from __future__ import annotations

from typing import Any

MOST_BYTES = 65536
"""What the service takes."""


def user_data(
    *, username: str, public_key: str, host_key: str, host_key_public: str, unclaimed_after: float
) -> str:
    """The document for cloud-init.

    The host key was generated here, so that the first connection knows whom it talks to. A machine on which
    no agent was started within ``unclaimed_after`` seconds belongs to nobody and switches itself off.
    """
    import yaml

    user: dict[str, Any] = {"name": username, "ssh_authorized_keys": [public_key]}
    if username != "root":
        user.update(shell="/bin/bash", sudo="ALL=(ALL) NOPASSWD:ALL", lock_passwd=True)
    document = {
        "users": [user],
        "disable_root": username != "root",
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": host_key_public},
        "runcmd": [_unclaimed(username, unclaimed_after)],
    }
    text: str = yaml.safe_dump(document, sort_keys=False, width=1000)
    return f"#cloud-config\n{text}"


def _unclaimed(username: str, seconds: float) -> list[str]:
    return [
        "systemd-run",
        f"--on-active={max(int(seconds), 60)}",
        "--unit=lithops-unclaimed",
        "sh",
        "-c",
        f"[ -d ~{username}/.lithops ] || systemctl poweroff",
    ]
