"""The script of the newcomer, as a real process, with each way to configure it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.support import AGENT_STATE, HELLO, agent_state, run_script
from tests.testbed import Host

pytestmark = pytest.mark.integration


def hello(folder: Path, home: Path, text: str = HELLO, **options: Any) -> None:
    """The script says hello, and nothing but its messages on the other stream."""
    done = run_script(text, folder, home, **options)
    assert (done.returncode, done.stdout) == (0, "Hello World!\n"), done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the script lies and runs."""
    path = tmp_path / "work"
    path.mkdir()
    return path


def test_with_no_configuration_at_all(folder: Path, home: Path) -> None:
    hello(folder, home)
    assert (home / AGENT_STATE).exists()


def test_the_agent_of_this_machine_stays_for_the_next_script(folder: Path, home: Path) -> None:
    hello(folder, home)
    first = (home / AGENT_STATE).read_text()
    hello(folder, home)
    assert (home / AGENT_STATE).read_text() == first


@pytest.mark.parametrize("place", ["home", "folder", "variable", "variable with json", "argument"])
def test_on_a_bare_host(host: Host, folder: Path, home: Path, place: str) -> None:
    config, text, variables = host.lithops_config(), HELLO, {}
    written = yaml.safe_dump(config)
    if place == "home":
        (home / ".lithops").mkdir()
        (home / ".lithops" / "config").write_text(written)
    elif place == "folder":
        (folder / ".lithops_config").write_text(written)
    elif place == "variable":
        (home / "mine.yaml").write_text(written)
        variables["LITHOPS_CONFIG_FILE"] = str(home / "mine.yaml")
    elif place == "variable with json":
        variables["LITHOPS_CONFIG"] = json.dumps(config)
    else:
        text = HELLO.replace("FunctionExecutor()", f"FunctionExecutor(config={config!r})")
    hello(folder, home, text, **variables)
    assert agent_state(host)["port"]
    assert not (home / AGENT_STATE).exists()


def test_mode_and_backend_in_the_way_of_the_other_section(host: Host, folder: Path, home: Path) -> None:
    config = host.lithops_config(
        lithops={"backend": None, "mode": "standalone"}, standalone={"backend": "vm"}
    )
    (folder / ".lithops_config").write_text(yaml.safe_dump(config))
    hello(folder, home)
    assert agent_state(host)["port"]


def test_an_expanded_configuration_works_again(host: Host, folder: Path, home: Path) -> None:
    make = f"FunctionExecutor(config=default_config(config_data={host.lithops_config()!r}))"
    text = "from lithops.config import default_config\n" + HELLO.replace("FunctionExecutor()", make)
    hello(folder, home, text)


def test_everything_that_is_wrong_is_told_before_any_connection(folder: Path, home: Path) -> None:
    wrong = {"lithops": {"backend": "vm", "data_limit": "much"}, "vm": {"ssh_usrname": "me", "ssh_port": "x"}}
    (folder / ".lithops_config").write_text(yaml.safe_dump(wrong))
    done = run_script(HELLO, folder, home)
    assert done.returncode == 1
    for words in (
        "lithops.data_limit",
        "vm.ssh_port",
        "ssh_usrname",
        "ssh_username",
        "ip_address",
        ".lithops_config",
    ):
        assert words in done.stderr


def test_a_backend_that_is_reserved(folder: Path, home: Path) -> None:
    (folder / ".lithops_config").write_text("lithops: {backend: aws_ec2}\n")
    done = run_script(HELLO, folder, home)
    assert done.returncode == 1
    assert "not supported yet: " in done.stderr
    assert "aws_ec2" in done.stderr
