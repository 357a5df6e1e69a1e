"""Whether hosts can be used, and what to do where they can't: each is examined step by step."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.resources import files

from lithops.backends.localhost import LocalMachine
from lithops.backends.machine import Machine
from lithops.backends.vm import VmMachine
from lithops.bootstrap.bundle import Bundle, build_bundle
from lithops.bootstrap.probe import parse_probe, probe_command
from lithops.config.settings import Settings
from lithops.errors import AuthenticationError, BootstrapError, HostError, HostKeyError
from lithops.inspection.findings import Check, Diagnosis, Health, Verdict, judge, parse_health
from lithops.inspection.parallel import ANSWER_TIMEOUT, ask_all
from lithops.ssh.connection import SshConnection
from lithops.ssh.deadline import Deadline
from lithops.ssh.target import SshTarget

_OTHER_BUNDLE = "agent-examined-0.zip"
"""The probe stops early at an agent of the bundle that it is told of, and a doctor wants to know all."""


def examine_all(
    machines: Sequence[Machine], settings: Settings, timeout: float = ANSWER_TIMEOUT
) -> list[Diagnosis]:
    """Examine hosts at the same time; none is waited for longer than ``timeout`` seconds."""
    bundle = build_bundle()
    found: dict[str, list[Check]] = {machine.name: [] for machine in machines}

    def ask(machine: Machine) -> None:
        deadline = Deadline.after(timeout)
        checks = found[machine.name]
        if isinstance(machine, VmMachine):
            _examine(machine, settings, bundle, deadline, checks)
        elif isinstance(machine, LocalMachine):
            _examine_here(settings, bundle, timeout, checks)
        else:
            raise HostError("hosts of this backend can't be examined before they exist", host=machine.name)

    answers = ask_all(machines, ask, timeout)
    diagnoses = []
    for machine, answer in zip(machines, answers):
        checks = list(found[machine.name])
        if isinstance(answer, HostError) and not any(check.verdict == "fail" for check in checks):
            checks.append(Check(name=_step_after(checks), verdict="fail", found=str(answer.args[0])))
        diagnoses.append(Diagnosis(host=machine.name, checks=checks))
    return diagnoses


def _examine(
    machine: VmMachine, settings: Settings, bundle: Bundle, deadline: Deadline, checks: list[Check]
) -> None:
    """Fill in what is found, as far as that goes. Raises HostError with what is in the way."""
    target = machine.target()
    _look_up(target, checks)
    try:
        connection = machine.connect(deadline)
    except HostKeyError as exc:
        checks += [_ok("port", target.where), _failed("host key", exc)]
        raise
    except AuthenticationError as exc:
        checks += [_ok("port", target.where), _ok("host key", "known"), _failed("login", exc)]
        raise
    except HostError as exc:
        checks.append(_failed("port", exc))
        raise
    checks += [_ok("port", target.where), _ok("host key", "known"), _ok("login", target.username)]
    with connection:
        _question(
            lambda script: _over_ssh(connection, script, deadline), machine.name, settings, bundle, checks
        )


def _look_up(target: SshTarget, checks: list[Check]) -> None:
    """The name of the first machine on the way; the jump hosts know the others."""
    first = target
    while first.jump is not None:
        first = first.jump
    try:
        found = socket.getaddrinfo(first.address, first.port, type=socket.SOCK_STREAM)
    except OSError as exc:
        error = HostError(f"the name {first.address!r} is not known: {exc.strerror}", host=target.name)
        checks.append(_failed("name", error, "correct it in the configuration, ~/.ssh/config or /etc/hosts"))
        raise error from exc
    address = str(found[0][4][0])
    via = f", over the jump host {first.where}" if first is not target else ""
    checks.append(_ok("name", address + via))


def _over_ssh(connection: SshConnection, script: bytes, deadline: Deadline) -> str:
    done = connection.run("sh -s", script, deadline=deadline)
    return (done.stdout or done.stderr).decode("utf-8", "replace")


def _examine_here(settings: Settings, bundle: Bundle, timeout: float, checks: list[Check]) -> None:
    def run(script: bytes) -> str:
        try:
            done = subprocess.run(
                ["sh", "-s"], input=script, capture_output=True, timeout=timeout, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise BootstrapError(f"no shell can be run: {exc}", host="localhost", phase="probe") from exc
        return (done.stdout or done.stderr).decode("utf-8", "replace")

    _question(run, "localhost", settings, bundle, checks)


def _question(
    run: Callable[[bytes], str], host: str, settings: Settings, bundle: Bundle, checks: list[Check]
) -> None:
    """Ask a shell of the host what is there, and judge it."""
    wanted = sys.version_info[:2]
    _, probe = probe_command(_OTHER_BUNDLE, wanted, settings.runtime, root=True)
    facts = parse_probe(run(probe), host)
    script = files("lithops.inspection").joinpath("health.sh").read_text(encoding="utf-8")
    before = time.time()
    text = run(script.encode())
    health: Health = parse_health(text, before, time.time(), host)
    checks += judge(facts, health, settings, bundle, wanted, host)


def _ok(name: str, found: str) -> Check:
    return Check(name=name, verdict="ok", found=found)


def _failed(name: str, error: HostError, advice: str = "") -> Check:
    verdict: Verdict = "fail"
    return Check(name=name, verdict=verdict, found=str(error.args[0]), advice=advice)


def _step_after(checks: Sequence[Check]) -> str:
    """What was being tried when the time was up, or something odd happened."""
    steps = ("name", "port", "shell")
    done = [check.name for check in checks]
    return next((step for step in steps if step not in done), "shell")
