"""What a doctor thinks of what was found on a host."""

from __future__ import annotations

import dataclasses
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from lithops.bootstrap.bundle import Bundle
from lithops.bootstrap.probe import HostFacts, Interpreter
from lithops.config import resolve
from lithops.config.settings import Settings
from lithops.errors import BootstrapError
from lithops.inspection.findings import Check, Diagnosis, Health, judge, parse_health

GB = 10**9
BUNDLE = Bundle(Path("/nowhere"), "c" * 64, 5_000_000, "r" * 64)
PYTHON = Interpreter("3.11.2", "/usr/bin/python3.11")
GOOD = HostFacts(
    home="/home/me",
    user="me",
    uid=1000,
    pythons=(Interpreter("3.11", PYTHON.path), Interpreter("3.9", "/opt/python3.9")),
    working=PYTHON,
    free_bytes=20 * GB,
    systemd=True,
    linger=True,
    user_manager=True,
)
HEALTHY = Health(
    docker="there",
    docker_version="20.10",
    memory=8 * GB,
    memory_available=4 * GB,
    disk=100 * GB,
    clock_offset=0.01,
    clock_error=0.02,
)


def settings(**standalone: Any) -> Settings:
    return resolve({"lithops": {"backend": "vm"}, "standalone": standalone, "vm": {"ip_address": "h"}})


def judged(name: str, facts: HostFacts = GOOD, health: Health = HEALTHY, **standalone: Any) -> Check:
    checks = judge(facts, health, settings(**standalone), BUNDLE, (3, 11), "h")
    return next(check for check in checks if check.name == name)


def facts(**changed: Any) -> HostFacts:
    return dataclasses.replace(GOOD, **changed)


def health(**changed: Any) -> Health:
    return dataclasses.replace(HEALTHY, **changed)


def test_a_good_host_has_nothing_but_ok() -> None:
    checks = judge(GOOD, HEALTHY, settings(), BUNDLE, (3, 11), "h")
    assert {check.verdict for check in checks} == {"ok"}
    assert [check.name for check in checks] == [
        "sudo", "python", "docker", "disk", "memory", "clock", "linger", "systemd", "agent",
    ]  # fmt: skip
    assert not any(check.advice for check in checks)
    assert Diagnosis(host="h", checks=checks).usable


FINDINGS = [
    ("sudo", facts(), HEALTHY, {}, "ok", "no (not needed)"),
    ("sudo", facts(root=True), HEALTHY, {}, "ok", "without a password"),
    ("sudo", facts(uid=0), HEALTHY, {}, "ok", "is root"),
    ("sudo", facts(), HEALTHY, {"poweroff": True}, "fail", "needs root"),
    ("sudo", facts(root=True), HEALTHY, {"poweroff": True}, "ok", "without a password"),
    ("python", facts(), HEALTHY, {}, "ok", "3.11.2 /usr/bin/python3.11 *, 3.9 /opt/python3.9"),
    ("python", facts(working=None), HEALTHY, {}, "fail", "it has no Python 3.11"),
    ("python", facts(working=None), HEALTHY, {"runtime": "r/i:1"}, "ok", "/usr/bin/python3.11 *"),
    ("python", facts(working=None, pythons=()), HEALTHY, {"runtime": "r/i:1"}, "fail", "no Python 3"),
    ("docker", GOOD, health(docker="none"), {}, "ok", "none (not needed)"),
    ("docker", GOOD, health(docker="none"), {"runtime": "r/i:1"}, "fail", "none"),
    ("docker", GOOD, health(docker="forbidden"), {}, "ok", "may not use it (not needed)"),
    ("docker", GOOD, health(docker="forbidden"), {"runtime": "r/i:1"}, "fail", "may not use it"),
    ("docker", GOOD, health(docker_version=""), {}, "ok", "there"),
    ("disk", GOOD, HEALTHY, {}, "ok", "20.0 GB of 100.0 GB free in /home/me"),
    ("disk", facts(free_bytes=10**9), HEALTHY, {}, "note", "1.0 GB of"),
    ("disk", facts(free_bytes=10**6), HEALTHY, {}, "fail", "full"),
    ("disk", facts(free_bytes=None), HEALTHY, {}, "note", "does not tell"),
    ("disk", facts(writable=False, why_not_writable="Read-only"), HEALTHY, {}, "fail", "Read"),
    ("memory", GOOD, HEALTHY, {}, "ok", "4.0 GB of 8.0 GB free"),
    ("memory", GOOD, health(memory_available=10**8), {}, "note", "0.1 GB"),
    ("memory", GOOD, health(memory=None), {}, "note", "does not tell"),
    ("clock", GOOD, health(clock_offset=2.01, clock_error=0.02), {}, "ok", "right within 2.0 s"),
    ("clock", GOOD, health(clock_offset=2.03, clock_error=0.02), {}, "note", "2.0 s ahead"),
    ("clock", GOOD, health(clock_offset=-90.0), {}, "note", "90.0 s behind"),
    ("clock", GOOD, health(clock_offset=None), {}, "note", "does not tell"),
    ("linger", facts(linger=False), HEALTHY, {}, "note", "off: the agent keeps itself running"),
    ("linger", facts(linger=False, sudo=True), HEALTHY, {}, "ok", "off (not needed)"),
    ("linger", facts(linger=False, systemd=False), HEALTHY, {}, "ok", "off (not needed)"),
    ("systemd", facts(systemd=False), HEALTHY, {}, "ok", "none"),
    ("systemd", facts(uid=0), HEALTHY, {}, "ok", "a system unit"),
    ("systemd", facts(), HEALTHY, {}, "ok", "a user unit"),
    ("agent", facts(), HEALTHY, {}, "ok", "none runs"),
    ("agent", facts(agent={"version": "1", "bundle": "r" * 16}), HEALTHY, {}, "ok", "1 runs"),
    ("agent", facts(agent={"version": "1", "bundle": "other"}), HEALTHY, {}, "note", "1 of another release"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "facts", "health", "standalone", "verdict", "found"), FINDINGS)
def test_findings(
    name: str, facts: HostFacts, health: Health, standalone: dict[str, Any], verdict: str, found: str
) -> None:
    check = judged(name, facts, health, **standalone)
    assert (check.verdict, found in check.found) == (verdict, True), check
    assert check.verdict != "note" or check.advice or "not tell" in check.found


def test_a_host_with_one_failure_is_not_usable() -> None:
    checks = judge(facts(working=None), HEALTHY, settings(), BUNDLE, (3, 11), "h")
    assert not Diagnosis(host="h", checks=checks).usable


def test_the_answer_of_the_script() -> None:
    text = (
        "Welcome!\nlithops_health=1\nclock=1002.5\ndisk_kb=2\nMemTotal=10\nMemAvailable=5\n"
        "docker=there\ndocker_version=20\nhealth_end=1\n"
    )
    found = parse_health(text, 1000.0, 1001.0)
    assert found == Health(
        docker="there", docker_version="20", memory=10240, memory_available=5120, disk=2048,
        clock_offset=2.0, clock_error=0.5,
    )  # fmt: skip


def test_an_answer_that_is_not_whole() -> None:
    with pytest.raises(BootstrapError, match="it said: This account is locked"):
        parse_health("This account is locked", 0.0, 1.0, "h")


def test_a_clock_without_a_number() -> None:
    assert parse_health("lithops_health=1\nclock=%s.%N\nhealth_end=1", 0.0, 1.0).clock_offset is None


def test_the_script_on_this_machine() -> None:
    script = files("lithops.inspection").joinpath("health.sh").read_bytes()
    done = subprocess.run(["sh", "-s"], input=script, capture_output=True, check=True)
    found = parse_health(done.stdout.decode(), 0.0, 0.0)
    assert found.memory is not None
    assert found.disk is not None
    assert found.clock_offset is not None
    assert done.stderr == b""
