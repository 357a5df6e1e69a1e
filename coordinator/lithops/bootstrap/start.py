"""Make sure that the agent runs on a host: probe, send the bundle if it is missing, start it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lithops.bootstrap.bundle import Bundle
from lithops.bootstrap.probe import (
    AGENT_DIR,
    HostFacts,
    Unit,
    Version,
    bundle_id,
    check_power,
    choose_python,
    choose_unit,
    parse_probe,
    probe_command,
)
from lithops.errors import (
    AgentBusy,
    BootstrapError,
    HostDiskFull,
    HostError,
    HostNotWritable,
)
from lithops.ssh.deadline import Deadline
from lithops_agent.statefile import EXIT_BUSY, EXIT_VANISHED

if TYPE_CHECKING:
    from lithops.ssh.execution import Completed

_NO_FOLDER, _NO_WRITE, _INCOMPLETE = 91, 92, 93
_VANISHED = (EXIT_VANISHED, _NO_FOLDER, _NO_WRITE)
_FREE_NEEDED = 8 << 20
"""Beside the bundle the agent unpacks a part of it and keeps its journal."""
_TAIL = 2000

# One line without single quotes, backslashes and exclamation marks, so that it survives any login shell.
# $1 the agent's folder, $2 the bundle's name, or the path of one that the host was prepared with, $3 its size
# or 0 when it is there, $4 python, then options.
_RECEIVE = (
    'if [ "$n" -gt 0 ]; then t="$b.$$"; trap "rm -f $b.$$" EXIT; '
    f'cat > "$t" || exit {_NO_WRITE}; [ "$(wc -c < "$t")" -eq "$n" ] || exit {_INCOMPLETE}; '
    f'mv -f "$t" "$b" || exit {_NO_WRITE}; fi; '
)
# Two bundles are kept: this one, and the one before for a coordinator that has not been upgraded yet.
_PRUNE = (
    'if [ "$r" -eq 0 ] && [ "$n" -gt 0 ]; then '
    "for f in $(ls -t agent-????????????????-????????????????.zip | tail -n +3); "
    "do rm -f $f ${f%.zip}-worker.zip; done; "
    'find . -name "agent-*.zip.*" -mmin +60 -exec rm -f {} + ; fi; '
)
_START = (
    "umask 077; export LC_ALL=C; d=$1; b=$2; n=$3; p=$4; shift 4; "
    'q="$b"; case "$b" in /*) ;; *) q="$d/bundles/$b"; '
    f'mkdir -p "$d/bundles" || exit {_NO_FOLDER}; cd "$d/bundles" || exit {_NO_FOLDER}; ;; esac; '
    f"{_RECEIVE}"
    'XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"; export XDG_RUNTIME_DIR; unset LC_ALL; '
    '"$p" "$q" start --home "$d" "$@" < /dev/null; r=$?; '
    f"{_PRUNE}"
    "exit $r"
)


class Connection(Protocol):
    """What is used of an `SshConnection`."""

    def run(self, command: str, stdin: bytes = b"", *, deadline: Deadline) -> Completed: ...


@dataclass(frozen=True)
class AgentEndpoint:
    """A running agent: where it listens on the host's loopback, and the token it wants."""

    port: int
    token: str = field(repr=False)
    agent_id: str
    version: str
    bundle: str
    python: str
    facts: HostFacts = field(repr=False)
    started: bool = False
    """Whether it was started now; False: it was there."""


def ensure_agent(
    connection: Connection,
    bundle: Bundle,
    *,
    host: str,
    deadline: Deadline,
    runtime: str = "python3",
    options: Sequence[str] = (),
    wanted: Version | None = None,
    root: bool = False,
) -> AgentEndpoint:
    """Make sure that an agent of ``bundle`` runs on the host; ``options`` go to its ``start``.

    Sends nothing when it runs already. With ``root``, the login must have root's rights. What was put there
    may vanish while it is used, because the time of an earlier agent is up: then all is done once more.

    Raises `PythonNotFound`, `HostNotWritable`, `HostDiskFull`, `AgentBusy`, `BootstrapError`, or an error of
    the connection.
    """
    wanted = wanted or sys.version_info[:2]
    found = _ensure(connection, bundle, host, deadline, runtime, options, wanted, root)
    if isinstance(found, AgentEndpoint):
        return found
    found = _ensure(connection, bundle, host, deadline, runtime, options, wanted, root)
    if isinstance(found, AgentEndpoint):
        return found
    raise found


def _ensure(
    connection: Connection,
    bundle: Bundle,
    host: str,
    deadline: Deadline,
    runtime: str,
    options: Sequence[str],
    wanted: Version,
    root: bool,
) -> AgentEndpoint | HostError:
    """Once: the agent, or the error when files vanished."""
    command, stdin = probe_command(bundle.name, wanted, runtime, root=root)
    done = connection.run(command, stdin, deadline=deadline)
    text = done.stdout.decode("utf-8", "replace")
    facts = parse_probe(text or done.stderr.decode("utf-8", "replace"), host)
    if root:
        check_power(facts, host)
    python = choose_python(facts, wanted, runtime, host)
    if facts.agent is not None and facts.agent.get("bundle") == bundle_id(bundle.name):
        return _endpoint(facts.agent, python, facts, started=False, host=host)
    check_room(facts, bundle, host)
    done = _start(connection, facts, bundle, python, choose_unit(facts), options, deadline)
    if done.returncode in _VANISHED:
        return explain(done, facts, host)
    if done.returncode:
        raise explain(done, facts, host)
    return _endpoint(_last_json(done, host), python, facts, started=True, host=host)


def start_command(facts: HostFacts, bundle: Bundle, python: str, unit: Unit, options: Sequence[str]) -> str:
    """The command that puts the bundle there, from its stdin, if it is missing, and starts the agent."""
    words = [
        facts.agent_home,
        prepared(facts, bundle) or bundle.name,
        str(to_send(facts, bundle)),
        python,
        "--unit",
        unit,
        *options,
    ]
    return " ".join(["sh", "-c", f"'{_START}'", "sh", *map(shlex.quote, words)])


def prepared(facts: HostFacts, bundle: Bundle) -> str:
    """The bundle that the host was prepared with, where that one does as well; or nothing.

    Another one of the same release, with other dependencies or another bytecode, has a size of its own.
    """
    half = facts.prepared.endswith(f"/{bundle.name}") and facts.prepared_size != bundle.size
    return "" if half else facts.prepared


def to_send(facts: HostFacts, bundle: Bundle) -> int:
    """How many bytes of the bundle the host has to be sent: all, or none."""
    return 0 if facts.bundle_size == bundle.size or prepared(facts, bundle) else bundle.size


def _start(
    connection: Connection,
    facts: HostFacts,
    bundle: Bundle,
    python: str,
    unit: Unit,
    options: Sequence[str],
    deadline: Deadline,
) -> Completed:
    data = bundle.path.read_bytes() if to_send(facts, bundle) else b""
    command = start_command(facts, bundle, python, unit, options)
    done = connection.run(command, data, deadline=deadline)
    if done.returncode and unit != "none" and b"systemd-run failed" in done.stderr:
        # systemd is there and does not want to: an agent that keeps itself running is better than none.
        command = start_command(facts, bundle, python, "none", options)
        done = connection.run(command, data, deadline=deadline)
    return done


def check_room(facts: HostFacts, bundle: Bundle, host: str) -> None:
    """Raise `HostNotWritable` or `HostDiskFull` before anything is sent in vain."""
    missing = to_send(facts, bundle)
    if not facts.writable:
        if _is_full(facts.why_not_writable):
            raise HostDiskFull(f"the disk of {facts.home} is full: free some space", host=host, phase="probe")
        why = facts.why_not_writable or "no permission"
        message = f"the home folder {facts.home} of {facts.user} can't be written ({why}): {_WRITE_ADVICE}"
        raise HostNotWritable(message, host=host, phase="probe")
    if facts.free_bytes is not None and facts.free_bytes < missing + _FREE_NEEDED:
        message = (
            f"the disk of {facts.home} is full: {facts.free_bytes / 1e6:.1f} MB are free and the agent needs "
            f"{(missing + _FREE_NEEDED) / 1e6:.0f} MB: free some space"
        )
        raise HostDiskFull(message, host=host, phase="probe")


_WRITE_ADVICE = "make it writable, or log in as another user"


def _is_full(text: str) -> bool:
    return any(words in text for words in ("No space left", "Disk quota exceeded", "disk is full"))


def explain(done: Completed, facts: HostFacts, host: str) -> HostError:
    """The error for a start that ended with another code than 0."""
    said = done.stderr.decode("utf-8", "replace").strip()[-_TAIL:]
    phase = "upload" if done.returncode in (_NO_FOLDER, _NO_WRITE, _INCOMPLETE) else "start"
    if done.returncode == EXIT_BUSY:
        return AgentBusy(said, host=host, phase=phase)
    if _is_full(said):
        return HostDiskFull(
            f"the disk of {facts.home} is full: free some space ({said})", host=host, phase=phase
        )
    if done.returncode in (_NO_FOLDER, _NO_WRITE) or "Read-only file system" in said:
        message = f"{facts.agent_home} can't be written ({said}): {_WRITE_ADVICE}"
        return HostNotWritable(message, host=host, phase=phase)
    if done.returncode == _INCOMPLETE:
        return BootstrapError("the bundle did not arrive whole", host=host, phase=phase)
    code = "was killed" if done.returncode < 0 else f"ended with code {done.returncode}"
    return BootstrapError(
        f"the start of the agent {code}: {said or '(it wrote nothing)'}", host=host, phase=phase
    )


def _last_json(done: Completed, host: str) -> dict[str, Any]:
    for line in reversed(done.stdout.decode("utf-8", "replace").splitlines()):
        try:
            state = json.loads(line)
        except ValueError:
            continue
        if isinstance(state, dict):
            return state
    said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()[-_TAIL:]
    raise BootstrapError(
        f"the agent started and did not say where it listens: {said}", host=host, phase="start"
    )


def _endpoint(
    state: dict[str, Any], python: str, facts: HostFacts, *, started: bool, host: str
) -> AgentEndpoint:
    try:
        return AgentEndpoint(
            port=int(state["port"]),
            token=str(state["token"]),
            agent_id=str(state["agent_id"]),
            version=str(state["version"]),
            bundle=str(state["bundle"]),
            python=python,
            facts=facts,
            started=started,
        )
    except (KeyError, TypeError, ValueError) as exc:
        message = f"the agent's state ({AGENT_DIR}/agent.json) has no usable {exc}"
        raise BootstrapError(message, host=host, phase="start") from exc
