"""The commands about hosts and jobs, on agents in this process: what they print, and their exit codes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from lithops.backends.leftovers import Leftover
from lithops.cli import output
from lithops.cli.ending import rounds_of
from lithops.state.records import FailureRecord, ProgressRecord, Records
from lithops_agent import protocol
from tests.unit.cli.conftest import Lithops
from tests.unit.clusters import Cluster, submit, use
from tests.unit.clusters import cluster as cluster
from tests.unit.clusters import records as records

KEY = "x-0-M000"


@pytest.fixture(autouse=True)
def configured(lithops: Lithops, cluster: Cluster) -> None:
    """Three hosts: one with an agent, one without, one that can't be reached."""
    cluster.add("a")
    cluster.add("b", agent=False)
    cluster.add("c", unreachable=True)
    Path(".lithops_config").write_text(
        yaml.safe_dump({"lithops": {"backend": "vm"}, "vm": {"hosts": ["a", "b", "c"]}})
    )


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# ---- workers --------------------------------------------------------------------------------------------


def test_workers_are_listed_and_what_is_wrong_is_told(lithops: Lithops, cluster: Cluster) -> None:
    cluster.run("a", KEY, range(3))
    done = lithops("worker", "list")
    assert done.exit_code == 0
    rows = table(done.stdout)
    assert rows[0][:4] == ["HOST", "BACKEND", "STATE", "INSTANCE"]
    assert rows[1][:5] == ["a", "vm", "busy", "-", "python3"]
    assert "2/2 +1 waiting" in done.stdout
    assert "never" in rows[1]
    assert rows[2][:4] == ["b", "vm", "no", "agent"]
    assert done.stderr == "c: no route\n"


def test_workers_as_json(lithops: Lithops) -> None:
    done = lithops("worker", "list", "--json")
    assert [(each["host"], each["state"]) for each in json.loads(done.stdout)] == [
        ("a", "idle"), ("b", "no agent"), ("c", "unreachable"),
    ]  # fmt: skip
    assert done.stderr == ""


# ---- jobs -----------------------------------------------------------------------------------------------


@pytest.fixture
def job(records: Records, cluster: Cluster) -> Records:
    """A job of a program that has ended, with two calls on host a and two that failed."""
    use(records, "a")
    submit(records, calls=6, at=time.time() - 240)
    cluster.run("a", KEY, range(2))
    records.progressed(ProgressRecord(job_key=KEY, done=4, failed=2, at=1.0))
    for number, error, message in ((3, "ValueError", "no 3"), (4, "CallCancelled", "was cancelled")):
        failure = FailureRecord(job_key=KEY, number=number, host="a", error=error, message=message)
        records.calls_failed([failure])
    return records


def test_no_jobs(lithops: Lithops) -> None:
    for command in (
        ("list",),
        ("list", "--json"),
        ("show",),
        ("show", KEY),
        ("cancel", KEY),
        ("attach", KEY),
    ):
        done = lithops("job", *command)
        assert (done.exit_code, done.stderr.startswith("Error: there are no jobs in ")) == (3, True), command
        assert done.stdout == ("[]\n" if "--json" in command else "")


def test_jobs_are_listed(lithops: Lithops, job: Records) -> None:
    done = lithops("job", "list")
    assert table(done.stdout)[1][:6] == [KEY, "f", "script", "gone", "4/6", "2"]
    assert "4 min ago" in done.stdout
    job.job_ended(KEY, time.time() - 200)
    assert table(lithops("job", "list").stdout)[1][2:5] == ["failed", "6/6", "2"]
    assert lithops("job", "list", "--running").exit_code == 3
    assert json.loads(lithops("job", "list", "--json").stdout)[0]["state"] == "failed"


def test_the_last_jobs_are_listed(lithops: Lithops, job: Records) -> None:
    for number in range(1, 4):
        submit(job, f"x-0-M00{number}", at=float(number))
    assert len(json.loads(lithops("job", "list", "-n", "2", "--json").stdout)) == 2


def test_a_job_is_shown_with_its_hosts_and_failures(lithops: Lithops, job: Records) -> None:
    for arguments in ((), ("M000",), (KEY,), (f"{KEY}-00003",)):
        done = lithops("job", "show", *arguments)
        assert done.exit_code == 0, done.stderr
        assert ["a", "0", "0,", "1"] in table(done.stdout)
        assert ["3", "a", "ValueError:", "no", "3"] in table(done.stdout)
        assert "1 call cancelled" in done.stdout
        assert f"lithops.attach('{KEY}')" in done.stdout
    found = json.loads(lithops("job", "show", "--json").stdout)
    assert found["hosts"] == [{"host": "a", "waiting": 0, "running": [0, 1], "error": ""}]
    assert [failure["number"] for failure in found["failures"]] == [3, 4]


def test_many_failures_are_shown_on_demand(lithops: Lithops, job: Records) -> None:
    failures = [FailureRecord(job_key=KEY, number=n, host="a", error="E", message="") for n in range(30)]
    job.calls_failed(failures)
    job.progressed(ProgressRecord(job_key=KEY, done=6, failed=35, at=1.0))
    assert "… and 10 more (--all shows them)" in lithops("job", "show").stdout
    shown = lithops("job", "show", "--all").stdout
    assert ["29", "a", "E"] in table(shown)
    assert "of 5 more failed calls nothing was noted down" in shown


def test_a_job_is_cancelled(lithops: Lithops, job: Records, cluster: Cluster) -> None:
    done = lithops("job", "cancel", KEY)
    assert (done.exit_code, done.stdout) == (0, f"job {KEY}: 2 calls cancelled on 1 host\n"), done.stderr
    assert cluster.agents[0].requests(protocol.CANCEL) == [{"job": KEY, "numbers": None}]


def test_a_job_on_a_host_that_does_not_answer(lithops: Lithops, job: Records, cluster: Cluster) -> None:
    cluster.machines["a"].unreachable = True
    done = lithops("job", "cancel", KEY)
    assert done.exit_code == 1
    assert "not cancelled on 1 host: a: no route" in done.stderr
    assert ["a", "-", "no", "route"] in table(lithops("job", "show").stdout)


def test_what_can_not_be_cancelled(lithops: Lithops, job: Records) -> None:
    job.job_ended(KEY, 9.0)
    done = lithops("job", "cancel", KEY)
    assert (done.exit_code, done.stderr) == (3, f"Error: job {KEY} has ended: there is nothing to cancel\n")
    done = lithops("job", "cancel", "M007")
    assert (done.exit_code, "there is no job 'M007'" in done.stderr) == (3, True)
    assert lithops("job", "cancel").exit_code == 2


def test_a_job_that_no_host_has_is_given_up(lithops: Lithops, records: Records, cluster: Cluster) -> None:
    use(records, "a")
    records._do("DELETE FROM placements")
    submit(records)
    done = lithops("job", "cancel", KEY)
    assert (done.exit_code, done.stdout) == (0, f"job {KEY}: no host has it; it is given up\n")
    done = lithops("job", "attach", KEY)
    assert (done.exit_code, "was given up, and its data are gone" in done.stderr) == (3, True)
    assert table(lithops("job", "list").stdout)[1][2:4] == ["given", "up"]


# ---- the end --------------------------------------------------------------------------------------------


def test_hosts_are_dismantled(lithops: Lithops, cluster: Cluster, records: Records) -> None:
    use(records, "a")
    cluster.run("a", KEY, range(3))
    done = lithops("dismantle", "a", "b", "-y")
    assert (done.exit_code, done.stdout) == (0, "a: ended\n"), done.stderr
    assert "b: no agent runs there\n" in done.stderr
    assert f"a: its agent ends, and its files are removed; 3 calls of {KEY} are cancelled\n" in done.stderr
    assert records.hosts()[0].ended_at is not None


def test_all_hosts_are_dismantled_and_those_that_are_not_are_named(
    lithops: Lithops, cluster: Cluster
) -> None:
    done = lithops("dismantle", "--all", "-y")
    assert (done.exit_code, done.stdout) == (1, "a: ended\n")
    assert done.stderr.endswith("Error: not ended: host c: no route\n")
    cluster.machines["a"].agent, cluster.machines["a"].stubborn = cluster.agents[0], True
    done = lithops("dismantle", "a", "-y")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "host a: its agent did not end in time" in done.stderr


@pytest.mark.parametrize("arguments", [("dismantle", "a"), ("clean",)])
def test_nothing_is_done_where_nobody_can_be_asked(
    arguments: tuple[str, ...], lithops: Lithops, cluster: Cluster
) -> None:
    done = lithops(*arguments)
    assert done.exit_code == 2
    assert "Error: nobody can be asked here, so nothing was done: say -y to do it\n" in done.stderr
    assert cluster.agents[0].requests(protocol.DISMANTLE) == []


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_what_is_asked_is_done(
    answer: str, code: int, lithops: Lithops, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "can_be_asked", lambda: True)
    done = lithops("dismantle", "a", input=answer)
    assert done.exit_code == code
    assert "End 1 host? [y/N]" in done.stderr
    assert len(cluster.agents[0].requests(protocol.DISMANTLE)) == (code == 0)


@pytest.mark.parametrize("arguments", [(), ("a", "--all")])
def test_which_hosts_must_be_said(arguments: tuple[str, ...], lithops: Lithops) -> None:
    done = lithops("dismantle", *arguments)
    assert (done.exit_code, "say which hosts to end, or --all" in done.stderr) == (2, True)


def test_what_is_left_is_removed(lithops: Lithops, cluster: Cluster, records: Records) -> None:
    cluster.machines["c"].unreachable = False
    cluster.run("c", KEY, range(1))
    done = lithops("clean", "-y")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "1 removed"), done.stderr
    assert ["agent", "a", "vm", "no", "job", "runs", "there"] in table(done.stdout)
    assert done.stderr == "c stays: calls run or wait there\n"
    cluster.machines["c"].agent = None  # type: ignore[assignment]
    done = lithops("clean")
    assert (done.exit_code, done.stdout) == (0, "nothing is left\n")


def test_what_can_not_be_removed_is_told(lithops: Lithops, cluster: Cluster) -> None:
    cluster.machines["a"].stubborn = True
    done = lithops("clean", "-y")
    assert done.exit_code == 1
    assert "not removed: host a: its agent did not end in time" in done.stderr


def test_what_is_in_the_way_of_other_things_goes_before_them() -> None:
    def made(kind: str, name: str) -> Leftover:
        return Leftover(kind, name, "", "", lambda: None)

    leftovers = [
        made("agent", "a"), made("files", "b"), made("agent", "c"), made("instance", "i"),
        made("instance", "j"), made("subnet", "s"), made("VPC", "v"), made("cache", "k"),
    ]  # fmt: skip
    rounds = [[each.name for each in together] for together in rounds_of(leftovers)]
    assert rounds == [["a", "b", "c"], ["i", "j"], ["s"], ["v"], ["k"]]


# ---- bad input ------------------------------------------------------------------------------------------

COMMANDS = [
    ("hello",), ("test",), ("doctor",), ("config", "show"), ("config", "validate"),
    ("runtime", "list"), ("runtime", "pull", "a/b:c"), ("runtime", "build"), ("runtime", "remove", "a/b:c"),
    ("worker", "list"), ("dismantle", "a", "-y"), ("clean", "-y"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_broken_configuration(command: tuple[str, ...], lithops: Lithops) -> None:
    Path(".lithops_config").write_text("vm: {hosts: 7}\nlithops: {backend: vm}\n")
    began = time.monotonic()
    done = lithops(*command)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Error: The configuration has a problem:\n" in done.stderr
    assert "vm.hosts" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("command", [("dismantle", "moon", "-y"), ("doctor", "moon")], ids=" ".join)
def test_an_unknown_host(command: tuple[str, ...], lithops: Lithops) -> None:
    done = lithops(*command)
    assert (done.exit_code, "there is no host 'moon'" in done.stderr, done.stdout) == (3, True, "")


def test_a_shell_completes_hosts_and_jobs(
    lithops: Lithops, job: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def completed(words: str) -> list[str]:
        monkeypatch.setenv("_LITHOPS_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        found = lithops().stdout.splitlines()
        return [line.partition(",")[2] for line in found if line]

    assert completed("lithops job show ") == [KEY]
    assert completed("lithops dismantle ") == ["a", "b", "c"]
    assert completed("lithops doctor c") == ["c"]
    Path(".lithops_config").write_text("vm: 7")
    assert completed("lithops dismantle ") == []
