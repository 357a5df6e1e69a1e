"""Checks, merging and defaults."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from lithops.config import arguments_overwrite, default_config
from lithops.errors import ConfigError, NotSupportedYet

VM = {"lithops": {"backend": "vm"}, "vm": {"ip_address": "192.0.2.1"}}


def vm_with(**keys: Any) -> dict[str, Any]:
    return {"lithops": {"backend": "vm"}, "vm": {"ip_address": "192.0.2.1", **keys}}


def lines_of(config: dict[str, Any], **overwrite: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        default_config(config_data=config, config_overwrite=overwrite)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_the_defaults_are_those_of_the_issue() -> None:
    config = default_config()
    assert config["lithops"] == {
        "mode": "localhost",
        "backend": "localhost",
        "storage": "localhost",
        "storage_bucket": None,
        "workers": None,
        "data_cleaner": True,
        "monitoring": "storage",
        "monitoring_interval": 2,
        "data_limit": 4,
        "execution_timeout": 1800,
        "include_modules": [],
        "exclude_modules": [],
        "retries": 0,
        "log_level": "INFO",
        "log_functions": False,
        "log_format": "%(asctime)s [%(levelname)s] %(name)s -- %(message)s",
        "log_stream": "ext://sys.stderr",
        "log_filename": None,
    }
    assert config["standalone"] == {
        "runtime": "python3",
        "requirements": None,
        "requirements_from": "auto",
        "exec_mode": "consume",
        "auto_dismantle": True,
        "soft_dismantle_timeout": 300,
        "hard_dismantle_timeout": 3600,
        "keep_agent": False,
        "poweroff": False,
        "host_lost_timeout": 360,
        "pull_runtime": False,
        "docker_server": None,
        "docker_user": None,
        "docker_password": None,
        "docker_password_file": None,
        "docker_network": "host",
        "docker_volumes": [],
        "docker_env": None,
        "use_gpu": False,
        "start_timeout": 300,
    }
    assert config["localhost"]["worker_processes"] == "AUTO"
    vm = default_config(config_data=VM)["vm"]
    assert (vm["host_keys"], vm["worker_processes"], vm["ssh_port"]) == ("strict", "AUTO", None)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("lithops", "data_limit", False),
        ("lithops", "data_limit", 0.5),
        ("lithops", "include_modules", None),
        ("lithops", "include_modules", ["a", "b.c"]),
        ("lithops", "log_level", None),
        ("lithops", "log_level", 10),
        ("lithops", "execution_timeout", 1.5),
        ("lithops", "workers", 1),
        ("lithops", "storage", "localhost"),
        ("lithops", "log_stream", "ext://sys.stdout"),
        ("localhost", "max_workers", 1),
        ("localhost", "worker_processes", 4),
        ("localhost", "runtime", "/usr/bin/python3.12"),
        ("standalone", "exec_mode", "reuse"),
    ],
)
def test_values_that_are_kept(section: str, key: str, value: object) -> None:
    assert default_config(config_data={section: {key: value}})[section][key] == value


@pytest.mark.parametrize(
    ("section", "key", "written", "normal"),
    [
        ("lithops", "log_level", "debug", "DEBUG"),
        ("localhost", "worker_processes", "auto", "AUTO"),
        ("lithops", "exclude_modules", ("a",), ["a"]),
        ("lithops", "retries", None, 0),
        ("lithops", "exclude_modules", None, []),
        ("lithops", "data_limit", None, 4),
        ("lithops", "storage", None, "localhost"),
    ],
)
def test_values_that_are_brought_into_normal_form(
    section: str, key: str, written: object, normal: object
) -> None:
    assert default_config(config_data={section: {key: written}})[section][key] == normal


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("lithops", "workers", True, "must be an integer, 1 or more, not true"),
        ("lithops", "workers", 0, "not 0"),
        ("lithops", "workers", "3", "not '3'"),
        ("lithops", "retries", 1.0, "must be an integer, 0 or more, not 1.0"),
        ("lithops", "data_cleaner", "yes", "must be true or false, not 'yes'"),
        ("lithops", "data_limit", True, "or false for none, not true"),
        ("lithops", "execution_timeout", float("inf"), "must be a number above 0, not inf"),
        ("lithops", "execution_timeout", float("nan"), "not nan"),
        ("lithops", "execution_timeout", -1, "not -1"),
        ("lithops", "include_modules", "numpy", "must be a list of names, not 'numpy'"),
        ("lithops", "include_modules", [1], "must be a list of names, not a list"),
        ("lithops", "log_level", "LOUD", "not 'LOUD'"),
        ("lithops", "log_level", False, "not false"),
        ("lithops", "log_stream", "stdout", "must be `ext://sys.stderr`"),
        ("lithops", "mode", "standalon", "did you mean `standalone`?"),
        ("lithops", "storage", "localhst", "did you mean `localhost`?"),
        ("lithops", "log_format", "", "must be text, not ''"),
        ("standalone", "exec_mode", "consumed", "did you mean `consume`?"),
        ("standalone", "runtime", 3.11, "must be text, not 3.11"),
        ("standalone", "soft_dismantle_timeout", "5m", "must be a number above 0, not '5m'"),
        ("localhost", "worker_processes", "all", "must be `AUTO` or an integer, 1 or more, not 'all'"),
        ("vm", "ssh_port", 65536, "must be an integer from 1 to 65535, not 65536"),
        ("vm", "host_keys", "no", "must be `strict` or `accept-new`"),
        ("vm", "host_keys", False, "not false"),
        ("vm", "ip_address", 10.1, "not 10.1"),
        ("vm", "ip_address", "-oProxyCommand=x", "must be `address`"),
        ("vm", "ip_address", "a b", "must be `address`"),
        ("vm", "ip_address", {"a": 1}, "not a section of keys"),
        ("vm", "hosts", [], "must name one host at least"),
        ("vm", "hosts", {"a": 1}, "must be a list of hosts"),
        ("lithops", "log_levels", "INFO", "unknown key; did you mean `log_level`?"),
        ("lithops", "ssh_port", 22, "unknown key; it belongs in `vm`"),
        ("standalone", "worker_processes", 2, "it belongs in `localhost` or `vm`"),
        ("vm", "soft_dismantle_timout", 2, "did you mean `soft_dismantle_timeout`?"),
        ("vm", "qqqqqq", 2, "unknown key"),
    ],
)
def test_values_that_are_refused(section: str, key: str, value: object, says: str) -> None:
    (line,) = lines_of({section: {key: value}})
    assert line.startswith(f"config argument: {section}.{key}: ")
    assert says in line


def test_everything_is_told_at_once() -> None:
    lines = lines_of(
        {
            "lithops": {"backend": "vm", "mode": "localhost", "retries": "x"},
            "vm": {"ssh_user": "a", "ssh_username": "b", "ssh_port": 0},
            "vmm": {},
            "localhost": "AUTO",
            "aws_ec2": {"iam_api_key": "hunter2"},
        },
        lithops={"workers": -1},
    )
    paths = [": ".join(line.split(": ")[:2]) for line in lines]
    assert paths == [
        "config argument: lithops.retries",
        "config argument: vm.ssh_username",
        "config argument: vm.ssh_port",
        "config argument: vmm",
        "config argument: localhost",
        "config argument: aws_ec2",
        "executor argument: lithops.workers",
        "config argument: lithops.mode",
    ]


@pytest.mark.parametrize(
    "config",
    [
        vm_with(ssh_password=1234567),
        vm_with(ssh_password=["hunter2"]),
        vm_with(ssh_password={"hunter2": 1}),
        vm_with(ssh_pasword="hunter2"),
        vm_with(ssh_key_passphrase=["hunter2"]),
        vm_with(ip_address="root:hunter2@192.0.2.1"),
        {"lithops": {"backend": "vm"}, "vm": {"hosts": [{"address": "a", "password": 1234567}]}},
        {"lithops": {"backend": "vm"}, "vm": {"hosts": ["root:hunter2@a"]}},
        {"lithops": {"backend": "vm"}, "vm": {"hosts": [{"address": "a", "pasword": "hunter2"}]}},
        {"lithops": {"backend": "vm"}, "vm": "hunter2"},
        {"ibm": {"iam_api_key": ["hunter2"]}},
        {"aws": {"key": "hunter2"}},
    ],
)
def test_secrets_are_not_told(config: dict[str, Any]) -> None:
    text = "\n".join(lines_of(config))
    assert "hunter2" not in text
    assert "1234567" not in text


@pytest.mark.parametrize(
    ("config", "path", "says"),
    [
        ({"lithops": {"backend": "vm"}}, "vm", "vm.ip_address or vm.hosts is mandatory"),
        ({"lithops": {"backend": "vm"}, "vm": {"ip_address": None}}, "vm", "mandatory"),
        (vm_with(hosts=["a"]), "vm.hosts", "`ip_address` and `hosts` contradict each other"),
        (vm_with(ssh_user="a", ssh_username="b"), "vm.ssh_username", "the same key and contradict"),
        (
            vm_with(ip_address="a@h", ssh_user="b"),
            "vm.ssh_username",
            "contradicts what stands in vm.ip_address",
        ),
        (vm_with(ip_address="h:1", ssh_port=2), "vm.ssh_port", "contradicts what stands in vm.ip_address"),
        (
            {**vm_with(runtime="a"), "standalone": {"runtime": "b"}},
            "vm.runtime",
            "contradicts standalone.runtime",
        ),
        ({**VM, "standalone": {"backend": "ibm_vpc"}}, "standalone.backend", "contradicts lithops.backend"),
        ({"lithops": {"backend": "vm", "mode": "localhost"}}, "lithops.mode", "contradicts lithops.backend"),
    ],
)
def test_contradictions_and_gaps(config: dict[str, Any], path: str, says: str) -> None:
    (line,) = lines_of(config)
    assert line.startswith(f"config argument: {path}: ")
    assert says in line


@pytest.mark.parametrize(
    "config",
    [
        vm_with(ssh_user="a", ssh_username="a"),
        vm_with(ip_address="a@h:1", ssh_user="a", ssh_port=1),
        {**vm_with(runtime="a"), "standalone": {"runtime": "a", "backend": "vm"}},
        {"lithops": {"mode": "standalone"}, "standalone": {"backend": "vm"}, "vm": {"hosts": ["a", "b"]}},
        {"lithops": {"backend": "localhost"}, "standalone": {"backend": "ibm_vpc", "runtime": "x"}},
        {"lithops": {"backend": "localhost", "telemetry": False}, "standalone": {"extra_apt_packages": []}},
    ],
)
def test_what_only_looks_like_a_contradiction(config: dict[str, Any]) -> None:
    default_config(config_data=config)


@pytest.mark.parametrize(
    "config",
    [
        {"lithops": {"mode": "serverless"}},
        {"standalone": {"backend": "aws_ec2"}},
        {"lithops": {"backend": "aws_lambda"}},
        {"lithops": {"storage": "aws_s3"}},
        {"lithops": {"monitoring": "rabbitmq"}},
        {"lithops": {"telemetry": "otlp"}},
        {"minio": {"endpoint": "x"}, "lithops": {"backend": "localhost"}},
        {"standalone": {"extra_apt_packages": ["gcc"]}},
    ],
)
def test_what_is_reserved_is_not_supported_yet(config: dict[str, Any]) -> None:
    with pytest.raises(NotSupportedYet, match="not supported yet: "):
        default_config(config_data=config)


def test_an_error_beside_something_reserved_is_a_plain_configuration_error() -> None:
    with pytest.raises(ConfigError) as caught:
        default_config(config_data={"minio": {}, "lithops": {"retries": -1}})
    assert type(caught.value) is ConfigError


def test_keys_of_standalone_may_stand_in_the_section_of_the_backend() -> None:
    config = default_config(config_data=vm_with(runtime="python3.12", soft_dismantle_timeout=9))
    assert config["standalone"]["runtime"] == "python3.12"
    assert config["standalone"]["soft_dismantle_timeout"] == 9
    assert "runtime" not in config["vm"]
    config = default_config(config_data={"localhost": {"runtime": "py", "soft_dismantle_timeout": 8}})
    assert (config["localhost"]["runtime"], config["standalone"]["runtime"]) == ("py", "python3")
    assert config["standalone"]["soft_dismantle_timeout"] == 8


def test_arguments_win_and_go_where_they_belong() -> None:
    keys = {"runtime": "py", "workers": 3, "worker_processes": 2, "hosts": ["a", "b"], "ssh_user": None}
    overwrite = arguments_overwrite(backend="vm", log_level=None, backend_keys=keys)
    written = {"lithops": {"mode": "localhost", "workers": 9}, "vm": {"ip_address": "c", "runtime": "old"}}
    config = default_config(config_data=written, config_overwrite=overwrite)
    assert (config["lithops"]["mode"], config["standalone"]["backend"]) == ("standalone", "vm")
    assert (config["lithops"]["workers"], config["lithops"]["log_level"]) == (3, None)
    assert config["standalone"]["runtime"] == "py"
    assert (config["vm"]["hosts"], config["vm"]["ip_address"]) == (["a", "b"], None)
    assert config["vm"]["worker_processes"] == 2


def test_arguments_that_are_wrong_are_told_as_such() -> None:
    assert lines_of(VM, backend={"worker_procesess": 2, "ssh_port": "x"}) == [
        "executor argument: vm.worker_procesess: unknown key; did you mean `worker_processes`?",
        "executor argument: vm.ssh_port: must be an integer from 1 to 65535, not 'x'",
    ]
    (line,) = lines_of({}, lithops={"mode": "localhost", "backend": "vm"})
    assert line.startswith("executor argument: lithops.mode: `localhost` contradicts")
    (line,) = lines_of({}, backend="vm")
    assert line.startswith("executor argument: backend: ")


def test_arguments_say_nothing_by_default() -> None:
    assert arguments_overwrite() == {"lithops": {}, "backend": {}}
    assert arguments_overwrite(log_level="DEBUG")["lithops"] == {"log_level": "DEBUG"}


def test_what_was_given_is_not_changed() -> None:
    config = {**vm_with(runtime="x"), "standalone": {"backend": "vm"}}
    before = copy.deepcopy(config)
    overwrite = {"lithops": {"retries": 1}, "backend": {"runtime": "y"}}
    expanded = default_config(config_data=config, config_overwrite=overwrite)
    expanded["lithops"]["include_modules"].append("z")
    assert config == before
    assert default_config()["lithops"]["include_modules"] == []


def test_an_expanded_configuration_can_choose_another_backend_and_travel_as_json() -> None:
    both = {**VM, "localhost": {"worker_processes": 3}}
    expanded = json.loads(json.dumps(default_config(config_data=both)))
    local = default_config(config_data=expanded, config_overwrite={"lithops": {"backend": "localhost"}})
    assert local["localhost"]["worker_processes"] == 3
    again = default_config(config_data=local, config_overwrite={"lithops": {"mode": "standalone"}})
    once = default_config(config_data=both)
    assert [again[name] for name in ("lithops", "standalone", "vm")] == [
        once[name] for name in ("lithops", "standalone", "vm")
    ]
