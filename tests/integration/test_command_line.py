"""The command `lithops` on two hosts: what it shows, what it ends, and what it says of trouble."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lithops
from tests.integration.commands import User
from tests.integration.support import AGENT_STATE, eventually, within
from tests.integration.test_environments import SIX
from tests.testbed import Host, Testbed
from tests.testbed.engine import Engine

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.usefixtures("no_login")]

ANSWERS_WITHIN = 10.0


@pytest.fixture(scope="module")
def pair(bed: Testbed) -> Iterator[list[Host]]:
    """Two hosts of this file."""
    hosts = bed.hosts(["cli1", "cli2"])
    yield hosts
    for host in hosts:
        bed.remove(host)


@pytest.fixture
def user(pair: list[Host], bed: Testbed, home: Path) -> Iterator[User]:
    """Somebody whose configuration has both hosts, on which nothing of an earlier test is."""
    for host in pair:
        host.clean_home()
    made = User(home, bed.lithops_config(pair))
    yield made
    made.close()


def names(hosts: list[Host]) -> list[str]:
    return [host.address for host in hosts]


def has_agent(host: Host) -> bool:
    return host.run(f"test -s /home/user/{AGENT_STATE}", check=False).returncode == 0


# ---- the backend works ------------------------------------------------------------------------------


def test_functions_are_tried(user: User) -> None:
    done = user.lithops("hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Hello ")
    assert "from cli" in done.stdout
    done = user.lithops("test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 10


# ---- what runs, and what became of it -----------------------------------------------------------------


def test_a_job_with_failures(user: User, pair: list[Host]) -> None:
    job = user.run(40)
    done = user.lithops("job", "show")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [job, "work", "failed", "40/40", "3"] == rows[1][:5]
    assert [[row[0], *row[2:]] for row in rows if row[:1] and row[0] in ("3", "17", "20")] == [
        [number, "ValueError:", "no", number] for number in ("3", "17", "20")
    ]
    (listed,) = user.json("job", "list")
    assert (listed["job"], listed["state"], listed["failed"]) == (job, "failed", 3)
    assert listed["collected"] is True
    done = user.lithops("job", "cancel", job)
    assert (done.returncode, "has ended" in done.stderr) == (3, True)
    workers = user.json("worker", "list")
    assert [each["host"] for each in workers] == names(pair)
    for each in workers:
        assert each["state"] == "idle"
        assert each["processes"] >= 1
        assert 0 < each["ends_in"] <= 300
        assert each["ends_why"].startswith("soft: no job since")
        assert each["memory_used"] > 0


def test_a_job_that_runs(user: User, pair: list[Host]) -> None:
    script, job = user.start(400, 0.1)
    eventually(lambda: _state(user, job)["done"] > 0, "progress in the records", 20)
    shown = user.json("job", "show", job)
    assert shown["job"]["state"] == "running"
    assert sum(share["waiting"] + len(share["running"]) for share in shown["hosts"]) > 0
    assert {worker["state"] for worker in user.json("worker", "list")} == {"busy"}
    assert job in user.lithops("job", "list", "--running").stdout
    done = user.lithops("job", "cancel", job)
    assert done.returncode == 0, done.stderr
    assert "calls cancelled on 2 hosts" in done.stdout
    out, _ = script.communicate(timeout=30)
    assert int(out.split()[-1]) > 0, "the script is told"
    assert _state(user, job)["state"] == "failed"
    assert user.lithops("job", "list", "--running").returncode == 3


def _state(user: User, job: str) -> dict[str, Any]:
    return next(each for each in user.json("job", "list") if each["job"] == job)


def test_a_job_whose_script_is_gone(user: User, pair: list[Host], monkeypatch: pytest.MonkeyPatch) -> None:
    script, job = user.start(60, 0.1)
    eventually(lambda: _state(user, job)["done"] > 0, "a first result", 20)
    script.kill()
    script.wait()
    assert _state(user, job)["state"] == "script gone"
    done = user.lithops("job", "attach", job)
    assert (done.returncode, "3 calls of 60 failed" in done.stderr) == (1, True), done.stderr
    shown = user.json("job", "show", job)
    assert (shown["job"]["state"], shown["job"]["done"]) == ("failed", 60)
    assert [failure["number"] for failure in shown["failures"]] == [3, 17, 20]
    # Who only looked has taken nothing away.
    results = lithops.attach(job).get_result(throw_except=False)
    assert [number for number in results if number is not None] == [
        number for number in range(60) if number not in (3, 17, 20)
    ]


def test_failures_of_a_script_that_was_killed_are_found_on_the_hosts(user: User) -> None:
    script, job = user.start(40, 0.2)
    eventually(lambda: _state(user, job)["done"] > 0, "a first result", 20)
    script.kill()
    script.wait()

    def is_over() -> bool:
        shown: dict[str, Any] = user.json("job", "show", job)["job"]
        return bool(shown["done"] == 40)

    eventually(is_over, "the end of the job, as the hosts tell", 30)
    shown = user.json("job", "show", job)
    assert [(failure["number"], failure["message"]) for failure in shown["failures"]] == [
        (number, f"no {number}") for number in (3, 17, 20)
    ]


def test_looking_at_a_job_ends_with_ctrl_c_and_the_job_does_not(user: User) -> None:
    script, job = user.start(200, 0.25)
    with user.terminal("job", "attach", job) as terminal:
        terminal.expect(r"\d+/200 .* hosts")
        terminal.send("\x03")
        assert terminal.wait() == 130
        assert f"no longer looking; job {job} goes on" in terminal.said
    assert script.poll() is None
    out, _ = script.communicate(timeout=40)
    assert out.split()[-1] == "0", "no call was cancelled"


# ---- the end ----------------------------------------------------------------------------------------


def test_hosts_are_ended_and_nothing_is_left(user: User, pair: list[Host]) -> None:
    user.run(4)
    done = user.lithops("dismantle", pair[0].address)
    assert (done.returncode, "say -y to do it" in done.stderr) == (2, True)
    assert has_agent(pair[0])
    with user.terminal("dismantle", pair[0].address) as terminal:
        terminal.expect(r"End 1 host\? \[y/N\]")
        terminal.send("y\n")
        assert terminal.wait() == 0
        assert f"{pair[0].address}: ended" in terminal.said
    assert not has_agent(pair[0])
    assert [each["state"] for each in user.json("worker", "list")] == ["no agent", "idle"]
    done = user.lithops("clean", "-y")
    assert done.returncode == 0, done.stderr
    assert [each["state"] for each in user.json("worker", "list")] == ["no agent", "no agent"]
    assert user.lithops("clean").stdout == "nothing is left\n"
    for host in pair:
        assert host.run("ls -A /home/user/.lithops", check=False).returncode != 0


def test_what_is_needed_stays_until_all_is_to_go(user: User, pair: list[Host]) -> None:
    script, job = user.start(100, 0.2)
    eventually(lambda: all(each["state"] == "busy" for each in user.json("worker", "list")), "work", 20)
    done = user.lithops("clean", "-y")
    assert done.returncode == 0
    assert done.stderr.count("stays: calls run or wait there") == 2
    script.kill()
    script.wait()
    done = user.lithops("clean", "--all", "-y")
    assert done.returncode == 0, done.stderr
    assert not any(map(has_agent, pair))
    assert list((user.home / ".lithops" / "spool").iterdir()) == []
    assert _state(user, job)["state"] == "given up"
    done = user.lithops("job", "attach", job)
    assert (done.returncode, "was given up, and its data are gone" in done.stderr) == (3, True)


# ---- runtimes ---------------------------------------------------------------------------------------


def test_environments_are_built_ahead_listed_and_removed(user: User, pair: list[Host], bed: Testbed) -> None:
    user.configure(bed.lithops_config(pair, standalone={"requirements": [SIX]}))
    done = user.lithops("runtime", "build")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the environment is ready") == 2
    listed = user.json("runtime", "list")
    assert [(each["host"], each["kind"], each["packages"]) for each in listed] == [
        (host.address, "environment", [SIX]) for host in pair
    ]
    done = user.lithops("runtime", "remove", listed[0]["name"][:8])
    assert (done.returncode, done.stdout) == (0, f"removed from {pair[0].address}, {pair[1].address}\n")
    assert user.lithops("runtime", "list").returncode == 3


def test_images_are_built_listed_tried_and_removed(engine: Engine, home: Path, tmp_path: Path) -> None:
    user = User(home, engine.host.lithops_config())
    engine.host.clean_home()
    name = "lithops-test/cli:1"
    (user.folder / "Dockerfile").write_text("FROM lithops-test/python:3.11\nENV MADE=here\n")
    done = user.lithops("runtime", "build", name, timeout=120)
    assert (done.returncode, done.stdout) == (0, f"{engine.host.address}: {name} is built\n"), done.stderr
    assert name in [each["name"] for each in user.json("runtime", "list")]
    done = user.lithops("runtime", "build", "lithops-test/cli:2", "-f", "nowhere")
    assert (done.returncode, "there is no Dockerfile" in done.stderr) == (2, True)
    (user.folder / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    done = user.lithops("runtime", "build", "lithops-test/cli:2", timeout=120)
    assert (done.returncode, "could not be built there" in done.stderr) == (1, True)
    done = user.lithops("runtime", "pull", "lithops-test/nowhere:1")
    assert (done.returncode, "not pulled on 1 host" in done.stderr) == (1, True)
    done = user.lithops("runtime", "remove", name)
    assert (done.returncode, done.stdout) == (0, f"removed from {engine.host.address}\n"), done.stderr
    assert user.lithops("runtime", "remove", name).returncode == 3


# ---- the doctor -------------------------------------------------------------------------------------


def test_good_hosts(user: User, pair: list[Host]) -> None:
    with within(ANSWERS_WITHIN):
        done = user.lithops("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for diagnosis in user.json("doctor"):
        assert diagnosis["usable"] is True
        assert [check["name"] for check in diagnosis["checks"]] == [
            "name", "port", "host key", "login", "sudo", "python", "docker", "disk", "memory", "clock",
            "linger", "systemd", "agent",
        ]  # fmt: skip
    done = user.lithops("doctor", pair[1].address)
    assert pair[0].address not in done.stdout


Breakage = Callable[[Host, dict[str, Any]], Callable[[], None]]


def _stop_sshd(host: Host, entry: dict[str, Any]) -> Callable[[], None]:
    host.stop_sshd()
    return host.start_sshd


def _freeze_sshd(host: Host, entry: dict[str, Any]) -> Callable[[], None]:
    host.freeze_sshd()
    return host.thaw_sshd


def _no_python(host: Host, entry: dict[str, Any]) -> Callable[[], None]:
    host.remove_python()
    return host.restore_python


def _full_disk(host: Host, entry: dict[str, Any]) -> Callable[[], None]:
    host.read_only_home()
    return host.writable_home


def _other_user(host: Host, entry: dict[str, Any]) -> Callable[[], None]:
    entry["username"] = "nobody-known"
    return lambda: None


def _other_name(host: Host, entry: dict[str, Any]) -> Callable[[], None]:
    entry["address"] = "no-such-host.invalid"
    return lambda: None


def _unplugged(host: Host, entry: dict[str, Any]) -> Callable[[], None]:
    host.link_down()
    return host.link_up


BREAKAGES: list[tuple[Breakage, str, str]] = [
    (_other_name, "name", "is not known"),
    (_stop_sshd, "port", "refused"),
    (_freeze_sshd, "port", ""),
    (_unplugged, "port", ""),
    (_other_user, "login", "nobody-known"),
    (_no_python, "python", "no Python"),
    (_full_disk, "disk", "written"),
]


@pytest.mark.parametrize(("breakage", "check", "found"), BREAKAGES, ids=lambda value: str(value)[:20])
def test_a_host_that_can_not_be_used(
    user: User, pair: list[Host], bed: Testbed, breakage: Breakage, check: str, found: str
) -> None:
    config = bed.lithops_config(pair)
    repair = breakage(pair[1], config["vm"]["hosts"][1])
    user.configure(config)
    try:
        with within(ANSWERS_WITHIN):
            done = user.lithops("doctor", "--json")
    finally:
        repair()
    assert done.returncode == 1
    assert f"1 of 2 hosts can't be used: {config['vm']['hosts'][1]['address']}" in done.stderr
    good, bad = json.loads(done.stdout)
    assert (good["usable"], bad["usable"]) == (True, False)
    (failed,) = [each for each in bad["checks"] if each["verdict"] == "fail"]
    assert failed["name"] == check, failed
    assert found in failed["found"]


def test_a_host_whose_key_nobody_knows(user: User, pair: list[Host], bed: Testbed, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("")
    user.configure(bed.lithops_config(pair, vm={"known_hosts": str(known)}))
    done = user.lithops("doctor")
    assert done.returncode == 1
    assert "2 of 2 hosts can't be used" in done.stderr
    assert "host key  fail" in done.stdout


# ---- what is wrong ----------------------------------------------------------------------------------

ASKING = [
    (("worker", "list"), 0), (("job", "show"), 0), (("job", "cancel", "M000"), 1),
    (("dismantle", "--all", "-y"), 1), (("clean", "-y"), 1), (("doctor",), 1), (("hello",), 1),
]  # fmt: skip


def test_a_host_that_does_not_answer(user: User, pair: list[Host]) -> None:
    """Every command ends in time, with a sentence and the right exit code."""
    script, job = user.start(400, 0.2)
    eventually(lambda: _state(user, job)["done"] > 0, "a first result", 20)
    script.kill()
    script.wait()

    def ask(command: tuple[str, ...], code: int) -> None:
        # A function is more patient than somebody at a terminal.
        with within(20 if command == ("hello",) else ANSWERS_WITHIN):
            done = user.lithops(*command)
        said = done.stderr + done.stdout
        assert done.returncode == code, (command, said)
        assert "Traceback" not in said
        assert "did not answer" in said or "said nothing" in said, (command, said)

    for host in pair:
        host.freeze_sshd()
    try:
        with ThreadPoolExecutor(4) as pool:
            for asked in [pool.submit(ask, *asking) for asking in ASKING]:
                asked.result()
    finally:
        for host in pair:
            host.thaw_sshd()


def test_nothing_is_configured(user: User) -> None:
    (user.folder / ".lithops_config").unlink()
    assert [each["host"] for each in user.json("worker", "list")] == ["localhost"]
    done = user.lithops("worker", "list", "-b", "vm")
    assert done.returncode == 1
    assert "vm.ip_address or vm.hosts is mandatory" in done.stderr


def test_the_command_is_quick(user: User) -> None:
    """The help text of the installed script; the best of some runs, for other work goes on here."""
    script = str(Path(sys.executable).with_name("lithops"))
    took = []
    for _ in range(10):
        began = time.monotonic()
        subprocess.run([script, "--help"], env=user.environment, capture_output=True, check=True)
        took.append(time.monotonic() - began)
    assert min(took) < 0.15, took
