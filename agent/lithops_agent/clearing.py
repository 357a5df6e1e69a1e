"""What is left of an agent is removed: its processes, its files, or the power of its host.

Used by the agent when it ends, and by the fence when the agent is gone or does not answer. It is imported
whole before anything is removed, for the program itself is among the files.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator, Sequence

from lithops_agent import systemd
from lithops_agent.protocol import CLOUD_ENDINGS, HOST_ENDINGS

REMOVE, KEEP, POWEROFF, LEAVE = "remove", "keep", "poweroff", "leave"
"""Some of `lithops_agent.protocol.ENDINGS`; LEAVE is for an agent that ends to be started again."""
HOME_VARIABLE = "LITHOPS_AGENT_HOME"
"""In the environment of everything that an agent starts."""
ALL = ("serve", "fence")
KEPT = ("bundles", "environments")
"""What KEEP leaves, for a faster next start."""
AGENT, FENCE, ARMED = "agent.json", "fence.json", "armed.json"
_LAST = (ARMED, FENCE, AGENT)
"""Removed last, in this order: others take the absence of the last one for the end of the agent."""
_KILL_PATIENCE = 5.0
_PAUSE = 0.01
_LOOK_AGAIN = 1.0


def clear(home: str, ending: str, *, with_work: bool) -> None:
    """Remove the files of an agent. ``with_work``: results that nobody has collected, too."""
    if with_work or not has_jobs(home):
        drop_work(home)
    if ending in HOST_ENDINGS:
        # The host goes off: what is needed to see to that, and to start again, stays.
        _remove(os.path.join(home, AGENT))
        return
    keep = {*_LAST, "work", *(KEPT if ending == KEEP else [])}
    for name in _names_in(home):
        if name not in keep:
            _remove(os.path.join(home, name))
    for name in _LAST:
        _remove(os.path.join(home, name))
    with contextlib.suppress(OSError):  # Something is kept there, or another agent has begun.
        os.rmdir(home)
        os.rmdir(os.path.dirname(home))


def drop_work(home: str) -> None:
    """Remove the journal and its files; an agent finds all or nothing of them, whenever this is cut short."""
    gone = os.path.join(home, "work.gone")
    _remove(gone)
    with contextlib.suppress(OSError):
        os.rename(os.path.join(home, "work"), gone)
    _remove(gone)


def has_jobs(home: str) -> bool:
    """Whether an agent that has ended left jobs that were not released, whose results may be wanted.

    Those of jobs that functions submitted from the host itself are not wanted without others.
    """
    import json
    import sqlite3

    path = os.path.join(home, "work", "journal.db")
    if not os.path.exists(path):
        return False
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=1.0)) as db:
            specs = db.execute("SELECT spec FROM jobs")
            return any(json.loads(spec).get("depth", 0) == 0 for (spec,) in specs)
    except (sqlite3.Error, ValueError):
        return True  # Nobody knows: what can't be read is not thrown away.


# ---- processes --------------------------------------------------------------------------------------


def kill_processes(home: str) -> None:
    """Kill the agent of this home, and everything that it started; but not this process.

    Its containers end with it, and are removed before their files are.
    """
    deadline, me = time.monotonic() + _KILL_PATIENCE, os.getpid()
    while (found := [pid for pid in processes_of(home) if pid != me]) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)
    remove_containers(home)


def remove_containers(home: str) -> None:
    """Remove the containers of an agent, if it has ever made one."""
    if os.path.isdir(os.path.join(home, "containers")):
        from lithops_agent.runtimes import removal

        removal.remove_containers(home)


def processes_of(home: str, roles: Collection[str] = ALL) -> list[int]:
    """The processes of an agent by their roles; ALL: also its workers, and what these have started."""
    mark = f"{HOME_VARIABLE}={home}".encode()
    return [
        pid
        for pid, arguments in _command_lines(os.getuid())
        if home_of(arguments, roles) == home or (roles == ALL and mark in _environment(pid))
    ]


def home_of(arguments: Sequence[str], roles: Collection[str] = ("serve",)) -> str | None:
    """The home that a command line names, when it is that of an agent (or of another role)."""
    for position in range(1, len(arguments) - 2):
        program = os.path.basename(arguments[position - 1])
        if (
            arguments[position] in roles
            and arguments[position + 1] == "--home"
            and program.startswith("agent-")
            and program.endswith(".zip")
        ):
            return arguments[position + 2]
    return None


def others_alive(home: str) -> bool:
    """Whether any agent but that of this home of this user is alive on the machine."""
    mine = {pid for pid, arguments in _command_lines(os.getuid()) if home_of(arguments) == home}
    return any(pid not in mine and home_of(arguments) for pid, arguments in _command_lines(None))


def _command_lines(uid: int | None) -> Iterator[tuple[int, list[str]]]:
    """Each process (of a user) with its arguments; those that have ended have none."""
    for name in _names_in("/proc"):
        if not name.isdigit():
            continue
        try:
            if uid is not None and os.stat(f"/proc/{name}").st_uid != uid:
                continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                text = file.read()
        except OSError:
            continue
        if text:
            yield int(name), [os.fsdecode(word) for word in text.rstrip(b"\0").split(b"\0")]


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


# ---- the power --------------------------------------------------------------------------------------


def power_off() -> bool:
    """Switch the machine off; whether somebody takes care of it."""
    import subprocess

    for command in (["systemctl", "poweroff"], ["shutdown", "-P", "now"], ["poweroff"]):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                systemd.as_root(command),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=20,
                check=False,
            )
            if done.returncode == 0:
                return True
    return False


def ask_cloud(home: str, ending: str) -> None:
    """Ask the cloud to end the machine, where that is the way to end; this may take `cloud.PATIENCE`.

    Whatever it says, the machine is to be switched off afterwards: an instance that is off costs the least
    when it was not deleted after all, and one that is being deleted does not mind.
    """
    if ending in CLOUD_ENDINGS:
        from lithops_agent import cloud

        told = cloud.end_instance(home, ending)
        with contextlib.suppress(OSError):  # The disk of the log may be full.
            sys.stderr.write(f"{told}\n")
            sys.stderr.flush()


def end_machine_when_alone(home: str, ending: str) -> None:
    """Wait until no agent is alive on the machine, then end it; try to switch it off again until it is.

    Returns when an agent was started in this home meanwhile: the machine has another end now.
    """
    asked = False
    while not processes_of(home, ("serve",)):
        if not others_alive(home):
            if not asked:
                ask_cloud(home, ending)
                asked = True
            power_off()
        time.sleep(_LOOK_AGAIN)


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        os.unlink(path)
