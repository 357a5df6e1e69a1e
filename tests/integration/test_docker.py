"""Calls in images of a real engine: what they can do, and what becomes of their containers."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from lithops import FunctionExecutor
from lithops.errors import CallTimeout, WorkerDied
from lithops.futures_list import FuturesList
from lithops_agent.instants import Instant
from tests.integration import calling
from tests.integration.conftest import IMAGE, InImage
from tests.integration.functions import double
from tests.integration.support import agent_state, eventually, within
from tests.testbed.engine import Engine

pytestmark = pytest.mark.integration


def test_a_call_runs_in_an_image(engine: Engine, in_image: InImage) -> None:
    future = in_image().call_async(calling.os_release, ())
    assert future.result(timeout=30) == "", "a host has such a file, and the image has none"
    assert future.stats["runtime_digest"] == engine.docker(f"inspect --format '{{{{.Id}}}}' {IMAGE}")


def test_a_map_shares_one_container(engine: Engine, in_image: InImage) -> None:
    fexec = in_image()
    assert fexec.get_result(fexec.map(double, range(500))) == [2 * x for x in range(500)]
    pids = {future.stats["worker_pid"] for future in fexec.futures}
    assert len(engine.containers()) == 1
    assert len(pids) <= 4, "workers stay warm"


def test_large_data_and_results(in_image: InImage) -> None:
    fexec = in_image()
    data = os.urandom(300_000)
    assert fexec.call_async(calling.unchanged, (data,)).result(timeout=30) == data


def test_who_runs_and_where(engine: Engine, in_image: InImage) -> None:
    """The login, without any right beyond its own, in a home folder of its own that can be written."""
    engine.host.run("mkdir -p /home/user/shared && chown user /home/user/shared")
    fexec = in_image(docker_volumes=["/home/user/shared:/shared"])
    told = fexec.call_async(calling.identity, ("/shared/made",)).result(timeout=30)
    uid = engine.host.uid("user")
    assert told["uid"] == uid
    assert int(told["capabilities"], 16) == 0
    assert told["no_new_privileges"]
    assert told["home"] == told["cwd"] == "/lithops/home"
    assert engine.host.run("stat -c %u /home/user/shared/made").stdout.strip() == str(uid)


def test_a_volume_that_may_only_be_read(engine: Engine, in_image: InImage) -> None:
    engine.host.run(
        "mkdir -p /home/user/given && echo data >/home/user/given/x && chown user /home/user/given"
    )
    fexec = in_image(docker_volumes=["/home/user/given:/given:ro"])
    assert fexec.call_async(calling.text_of, ("/given/x",)).result(timeout=30) == "data\n"
    with pytest.raises(OSError, match="Read-only"):
        fexec.call_async(calling.touch, ("/given/new",)).result(timeout=30)


def test_the_agents_files_may_only_be_read(in_image: InImage) -> None:
    """What all jobs share, the program of the workers above all, is not for a function to change."""
    told = in_image().call_async(calling.mounts, ()).result(timeout=30)
    ours = {path: how for path, how in told.items() if "/.lithops/agent/" in path}
    assert {path.rpartition("/")[2] for path, how in ours.items() if how == "rw"} == {"jobs", "notes"}
    assert [path for path, how in ours.items() if path.endswith("-worker.zip") and how == "ro"]


def test_variables_of_the_environment(
    engine: Engine, in_image: InImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count from the start of Python on, and the engine neither keeps nor shows them."""
    monkeypatch.setenv("TOKEN", "sesame-of-the-script")
    fexec = in_image(docker_env={"TOKEN": None, "THREADS": 2, "HOME": "/tmp"})
    token = fexec.call_async(calling.environment, ("TOKEN",)).result(timeout=30)
    assert token == {"worker": "sesame-of-the-script", "zygote": "sesame-of-the-script"}
    assert fexec.call_async(calling.environment, ("THREADS",)).result(timeout=30)["worker"] == "2"
    assert fexec.call_async(calling.environment, ("HOME",)).result(timeout=30)["worker"] == "/tmp"
    assert "sesame" not in engine.docker(f"inspect {engine.containers()[0]}")
    found = engine.host.run(  # The command itself must not be found.
        "p='[s]esame-of-the-script'; "
        "grep -rl $p /var/lib/docker/containers /run/docker /var/log 2>/dev/null; "
        "journalctl --no-pager | grep $p; cat /proc/[0-9]*/cmdline | grep -a $p",
        check=False,
    )
    assert found.stdout == ""
    other = in_image(docker_env={"TOKEN": "other"})
    assert other.call_async(calling.environment, ("TOKEN",)).result(timeout=30)["worker"] == "other"


def test_workers_need_not_compile_the_library_of_the_image(in_image: InImage) -> None:
    """The image has no bytecode. What is compiled for the zygote stays out of its memory."""
    told = in_image().call_async(calling.bytecode, ()).result(timeout=30)
    assert told["from"].startswith("/lithops/bytecode/")
    assert told["prefix"] is None, "packages of the image that are compiled are used as they are"


def test_without_a_network(in_image: InImage) -> None:
    assert in_image(docker_network="none").call_async(calling.interfaces, ()).result(timeout=30) == ["lo"]


def test_a_function_calls_others_in_the_same_image(engine: Engine, in_image: InImage) -> None:
    releases = in_image().call_async(calling.releases_of_own_map, (3,)).result(timeout=30)
    assert releases == ["", "", ""]
    assert len(engine.containers()) == 1


def test_a_failure_comes_home(in_image: InImage) -> None:
    with pytest.raises(calling.Refusal) as raised:
        in_image().call_async(calling.refuse, ("no", 7)).result(timeout=30)
    assert raised.value.code == 7


def test_a_call_that_takes_too_long_is_killed(engine: Engine, in_image: InImage) -> None:
    fexec = in_image()
    future = fexec.call_async(calling.span, (600,), timeout=1)
    with within(15), pytest.raises(CallTimeout):
        future.result(timeout=30)
    assert fexec.call_async(double, 1).result(timeout=30) == 2
    assert len(engine.containers()) == 1, "only the worker was killed"


def test_a_cancelled_call_ends(engine: Engine, in_image: InImage) -> None:
    engine.host.run("mkdir -p /home/user/shared && chown user /home/user/shared")
    fexec = in_image(docker_volumes=["/home/user/shared:/shared"])
    future = fexec.call_async(calling.note_and_sleep, ("/shared/pid", 600))
    path = Path("/home/user/shared/pid")
    eventually(lambda: engine.host.run(f"cat {path}", check=False).stdout != "", "the call begins", 20)
    pid = engine.host.run(f"cat {path}").stdout
    future.cancel()
    eventually(lambda: engine.host.run(f"kill -0 {pid}", check=False).returncode != 0, "its worker ends", 10)


def test_a_call_that_takes_too_much_memory_is_killed(engine: Engine, in_image: InImage) -> None:
    fexec = in_image(vm={"runtime_memory": 64, "worker_processes": 1})
    with pytest.raises(WorkerDied, match="memory"):
        fexec.call_async(calling.work, (400, 0.1)).result(timeout=30)
    limits = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}"
    told = engine.docker(f"inspect --format '{limits}' {engine.containers()[0]}")
    assert told == f"{10**9} {64 * 10**6} {64 * 10**6}", "one CPU for one worker, and its memory"
    assert fexec.call_async(calling.work, (10, 0.1)).result(timeout=30)


def test_dismantling_removes_the_container(engine: Engine, in_image: InImage) -> None:
    fexec = in_image()
    assert fexec.call_async(double, 1).result(timeout=30) == 2
    assert len(engine.containers()) == 1
    fexec.dismantle()
    assert engine.containers() == []
    eventually(lambda: engine.host.processes() == [], "nothing of it runs")
    assert engine.host.run("ls -A /home/user/.lithops", check=False).stdout == ""


def test_a_killed_agent_comes_back_to_its_job(engine: Engine, in_image: InImage) -> None:
    fexec, futures = _waiting_calls(engine, in_image)
    before = engine.containers()
    main = _main_pid(engine)
    engine.host.run(f"kill -9 {main} $(pgrep -P {main}); touch /home/user/shared/go-on")
    assert len(fexec.get_result(futures, timeout=60)) == 6
    eventually(lambda: not set(before) & set(engine.containers()), "the old container is gone", 10)
    assert len(engine.containers()) == 1


def _waiting_calls(engine: Engine, in_image: InImage) -> tuple[FunctionExecutor, FuturesList]:
    """Calls of which some run, and none ends before a file is there."""
    engine.host.run("mkdir -p /home/user/shared && rm -f /home/user/shared/* && chown user /home/user/shared")
    fexec = in_image(docker_volumes=["/home/user/shared:/shared"])
    futures = fexec.map(calling.until_there, ["/shared/go-on"] * 6)
    eventually(lambda: any(future.running for future in futures), "a call runs", 30)
    return fexec, futures


def _main_pid(engine: Engine) -> int:
    return int(agent_state(engine.host)["pid"])


def test_a_job_outlives_a_restart_of_the_engine(engine: Engine, in_image: InImage) -> None:
    fexec, futures = _waiting_calls(engine, in_image)
    engine.host.run("systemctl restart docker && touch /home/user/shared/go-on", timeout=60)
    assert len(fexec.get_result(futures, timeout=90)) == 6


def test_the_fence_removes_containers_of_a_dead_agent(engine: Engine, in_image: InImage) -> None:
    """What ends an agent that does not answer any more ends its containers, too."""
    fexec = in_image(soft_dismantle_timeout=3)
    assert fexec.call_async(double, 1).result(timeout=30) == 2
    assert len(engine.containers()) == 1
    # As long as the call ran, the hard time-out counted.
    eventually(lambda: _deadline(engine) < time.time() + 5, "the agent has told the fence")
    main = _main_pid(engine)
    engine.host.run(f"kill -STOP {main} $(pgrep -P {main})")
    eventually(lambda: engine.host.processes() == [], "the fence ends the agent", 15)
    assert engine.containers() == []


def _deadline(engine: Engine) -> float:
    """When the fence will end the host, in seconds since the epoch."""
    orders = json.loads(engine.host.run("cat /home/user/.lithops/agent/fence.json").stdout)
    return Instant.from_json(orders["deadline"]).wall
