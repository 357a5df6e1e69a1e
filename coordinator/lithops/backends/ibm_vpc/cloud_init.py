"""What a new machine is told at its first boot: who may log in, its host key, and when to go off. Pure."""

from __future__ import annotations

from typing import Any

MOST_BYTES = 65536
"""What the service takes."""
_LEAST = 60
"""Seconds in which nobody has to come, however the time-outs are set."""
_UNIT = "lithops-unclaimed"


def user_data(
    *,
    username: str,
    public_key: str,
    host_key: str,
    host_key_public: str,
    unclaimed_after: float,
    each_boot: bool,
) -> str:
    """The document for cloud-init.

    The host key was generated here, so that the first connection knows whom it talks to. A machine on which
    no agent was started within ``unclaimed_after`` seconds belongs to nobody and switches itself off:
    after its first boot, or ``each_boot``, for the cloud may boot it again and agents do not come back.
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
        "write_files": _unclaimed(username, max(int(unclaimed_after), _LEAST)),
        "runcmd": [["systemctl", *(["enable", "--now"] if each_boot else ["start"]), f"{_UNIT}.timer"]],
    }
    text: str = yaml.safe_dump(document, sort_keys=False, width=1000)
    return f"#cloud-config\n{text}"


def _unclaimed(username: str, seconds: int) -> list[dict[str, str]]:
    """The units: what an agent of this boot says of itself is in its file; its guard does the rest."""
    boot, agent = "/proc/sys/kernel/random/boot_id", f"~{username}/.lithops/agent/agent.json"
    service = f"""[Unit]
Description=Switch this machine off when nobody uses it

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'grep -qs "$$(cat {boot})" {agent} || systemctl poweroff'
"""
    timer = f"""[Unit]
Description=Look whether anybody uses this machine

[Timer]
OnActiveSec={seconds}
AccuracySec=1

[Install]
WantedBy=timers.target
"""
    units = {f"{_UNIT}.service": service, f"{_UNIT}.timer": timer}
    return [{"path": f"/etc/systemd/system/{name}", "content": text} for name, text in units.items()]
