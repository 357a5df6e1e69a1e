"""`lithops config`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml

from lithops.config import default_config
from lithops.config.names import SUPPORTED_BACKENDS
from lithops.config.schema import SECTIONS, default_values
from lithops.config.template import template
from tests.unit.cli.conftest import Lithops

HOSTS = """
lithops: {backend: vm}
vm:
  hosts: [{address: 192.0.2.1, password: hosts-secret}, 192.0.2.2]
  ssh_password: section-secret
  soft_dismantle_timeout: 99
"""


def values(text: str) -> dict[str, tuple[object, str]]:
    return {f"{row['section']}.{row['key']}": (row["value"], row["origin"]) for row in json.loads(text)}


def test_show_tells_where_each_value_comes_from_and_hides_secrets(lithops: Lithops, tmp_path: Path) -> None:
    file = tmp_path / "conf.yaml"
    file.write_text(HOSTS)
    done = lithops("config", "show", "-c", str(file), "-s", "localhost", "--json")
    assert done.exit_code == 0, done.stderr
    found = values(done.stdout)
    assert found["lithops.backend"] == ("vm", str(file))
    assert found["lithops.mode"] == ("standalone", "follows from the others")
    assert found["lithops.storage"] == ("localhost", "command line")
    assert found["lithops.retries"] == (0, "default")
    assert found["standalone.soft_dismantle_timeout"] == (99, str(file))
    assert found["vm.ssh_password"] == ("********", str(file))
    assert found["vm.hosts"][0] == [{"address": "192.0.2.1", "password": "********"}, "192.0.2.2"]
    for output in (done.stdout, lithops("config", "show", "-c", str(file)).stdout):
        assert "secret" not in output


def test_show_names_the_environment(lithops: Lithops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_CONFIG", json.dumps({"lithops": {"retries": 2}}))
    done = lithops("config", "show", "--set", "--json")
    assert values(done.stdout)["lithops.retries"] == (2, "LITHOPS_CONFIG")
    assert "lithops.workers" not in values(done.stdout)


def test_secrets_of_the_environment_are_named_and_hidden(
    lithops: Lithops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IBM_API_KEY", "the-key")
    monkeypatch.setenv("LITHOPS_DOCKER_PASSWORD", "the-password")
    Path(".lithops_config").write_text(
        "lithops: {backend: ibm_vpc}\nibm: {region: eu-de}\nibm_vpc: {instance_id: mine}\n"
    )
    done = lithops("config", "show", "--json")
    found = values(done.stdout)
    assert found["ibm.iam_api_key"] == ("********", "IBM_API_KEY")
    assert found["standalone.docker_password"] == ("********", "LITHOPS_DOCKER_PASSWORD")
    assert "the-" not in done.stdout


def test_show_is_a_table_that_is_not_cut(lithops: Lithops) -> None:
    done = lithops("config", "show")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["KEY", "VALUE", "FROM"]
    assert ["lithops.log_stream", "ext://sys.stderr", "default"] in rows
    assert done.stderr == "Source: defaults\n"


BROKEN = [
    ("lithops: {backend: vn}", "must be `localhost` or `vm` or `ibm_vpc`, not 'vn'"),
    ("vm: {ssh_port: 0, ssh_prot: 1}\nlithops: {backend: vm}", "3 problems"),
    ("a: [", "conf.yaml: "),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_validate_tells_everything_that_is_wrong(
    text: str, message: str, lithops: Lithops, tmp_path: Path
) -> None:
    file = tmp_path / "conf.yaml"
    file.write_text(text)
    done = lithops("config", "validate", "-c", str(file))
    assert (done.exit_code, done.stdout) == (1, "")
    assert message in done.stderr


def test_validate_says_what_is_right(lithops: Lithops) -> None:
    assert lithops("config", "validate").stdout == "defaults: right; functions run on the backend localhost\n"


def test_a_file_that_is_not_there(lithops: Lithops) -> None:
    done = lithops("config", "validate", "-c", "/nowhere")
    assert (done.exit_code, "No such file" in done.stderr) == (1, True)


def test_init_writes_a_private_file_once(lithops: Lithops, home: Path) -> None:
    done = lithops("config", "init", "-b", "vm")
    file = home / ".lithops" / "config"
    assert done.exit_code == 0, done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert lithops("config", "validate").exit_code == 0
    file.write_text("mine")
    done = lithops("config", "init")
    assert (done.exit_code, file.read_text()) == (1, "mine")
    assert "exists already" in done.stderr


def test_init_knows_its_backends(lithops: Lithops) -> None:
    assert lithops("config", "init", "-", "-b", "moon").exit_code == 2


@pytest.mark.parametrize("backend", SUPPORTED_BACKENDS)
def test_what_init_writes_is_right_and_changes_nothing(backend: str) -> None:
    config = default_config(config_data=yaml.safe_load(template(backend)))
    assert config["lithops"]["backend"] == backend
    assert config["lithops"] == {
        **default_values(SECTIONS["lithops"]), "backend": backend, "mode": config["lithops"]["mode"],
    }  # fmt: skip


@pytest.mark.parametrize("backend", SUPPORTED_BACKENDS)
def test_every_default_that_init_shows_is_the_default(backend: str) -> None:
    lines = template(backend).splitlines()
    switched_on = [
        line.replace("# ", "", 1) if line.startswith("  # ") and _is_key(line) else line for line in lines
    ]
    config = default_config(config_data=yaml.safe_load("\n".join(switched_on)))
    assert config == default_config(config_data=yaml.safe_load(template(backend)))


def _is_key(line: str) -> bool:
    name = line.removeprefix("  # ").partition(":")[0]
    return any(section.find(name) for section in SECTIONS.values())
