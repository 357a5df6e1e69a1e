"""What workers are told when they start."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops_agent.journal import Journal
from lithops_agent.orders import Orders
from lithops_agent.protocol import ContainerOptions, JobSpec
from tests.unit.agent.journals import job

FUNCTION, MODULES = "ab" * 32, "cd" * 32


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def orders(journal: Journal) -> Orders:
    return Orders(journal, worker_path="/worker.zip", base_env={"AGENT": "home", "A": "agent"})


def added(journal: Journal, **changes: Any) -> JobSpec:
    given: dict[str, Any] = {
        "function": FUNCTION,
        "modules": None,
        "cwd": None,
        "env": {},
        "container": None,
        **changes,
    }
    spec = job("a", runtime="/python", **given)
    journal.add_job(spec)
    return spec


def test_an_order_names_the_files_of_the_journal(journal: Journal, orders: Orders, tmp_path: Path) -> None:
    spec = added(journal, modules=MODULES, cwd="/data", env={"A": "job"}, depth=2)
    assert orders.order(7, spec) == {
        "worker": 7,
        "note": str(journal.note_path(7, "a")),
        "folder": str(journal.job_folder("a")),
        "function": str(tmp_path / "blobs" / FUNCTION),
        "modules": str(tmp_path / "modules" / MODULES),
        "env": {"AGENT": "home", "A": "job", "LITHOPS_WORKER_DEPTH": "3", "LITHOPS_WORKER_SESSION": "s"},
        "cwd": "/data",
        "home": "/",
    }


def test_what_a_job_does_not_say(journal: Journal, orders: Orders) -> None:
    order = orders.order(1, added(journal))
    assert (order["modules"], order["cwd"]) == (None, os.path.expanduser("~"))
    assert order["env"]["A"] == "agent"


def test_a_shell_sees_what_workers_do(journal: Journal, orders: Orders) -> None:
    spec = added(journal, modules=MODULES, env={"A": "job"})
    order, found = orders.order(1, spec), orders.surroundings(spec)
    assert (found.job, found.python) == ("a", "/python")
    assert (found.env, found.cwd) == (order["env"], order["cwd"])
    assert found.path == [order["modules"], "/worker.zip"]
    assert found.home == os.path.expanduser("~")


def test_in_a_container_its_home_and_its_python_count(journal: Journal, orders: Orders) -> None:
    options = ContainerOptions("image", "3.11", env={"A": "container", "B": "container"})
    spec = added(journal, container=options.to_json(), env={"B": "job"})
    order, found = orders.order(1, spec), orders.surroundings(spec)
    assert (order["cwd"], order["home"]) == ("/lithops/home", "/lithops/home")
    assert (order["env"]["A"], order["env"]["B"]) == ("container", "job")
    assert json.loads(order["env"]["LITHOPS_WORKER_CONTAINER"]) == options.to_json()
    assert (found.python, found.path) == (None, ["/worker.zip"])
