"""Any accepted configuration, once expanded, is accepted again and stays the same."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lithops.config import default_config, resolve
from lithops.config.schema import SECTIONS
from lithops.config.settings import Settings
from lithops.errors import ConfigError

NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,9}", fullmatch=True)
COUNTS = st.integers(1, 65535)
NUMBERS = st.floats(0.001, 1e9) | st.integers(1, 10**9)
FLAGS = st.booleans()
PROCESSES = st.sampled_from(["AUTO", "auto"]) | COUNTS
MODULES = st.lists(NAMES) | st.lists(NAMES).map(tuple)
HOST = NAMES | st.fixed_dictionaries(
    {"address": NAMES}, optional={"username": NAMES, "port": COUNTS, "key": NAMES, "processes": PROCESSES}
)
SHARED: dict[str, st.SearchStrategy[Any]] = {
    "runtime": NAMES,
    "requirements": st.one_of(st.lists(st.text(min_size=1)), st.just("local")),
    "requirements_from": st.sampled_from(["auto", "host", "here"]),
    "exec_mode": st.sampled_from(["consume", "create", "reuse"]),
    "auto_dismantle": FLAGS | st.just("exit"),
    "keep_agent": FLAGS,
    "poweroff": FLAGS,
    "host_lost_timeout": NUMBERS,
    "soft_dismantle_timeout": NUMBERS,
    "hard_dismantle_timeout": NUMBERS,
    "pull_runtime": FLAGS,
    "docker_server": NAMES,
    "docker_user": NAMES,
    "docker_password": NAMES,
    "docker_password_file": NAMES,
    "docker_network": NAMES,
    "docker_volumes": MODULES,
    "docker_env": st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True),
        st.one_of(st.none(), st.integers(), st.text(st.characters(exclude_characters="\0"))),
    ),
    "use_gpu": FLAGS,
    "start_timeout": NUMBERS,
}
ACCOUNT = {"iam_api_key": NAMES, "iam_api_key_file": NAMES, "region": NAMES, "resource_group_id": NAMES}
KEYS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "lithops": {
        "mode": st.sampled_from(["localhost", "standalone"]),
        "backend": st.sampled_from(["localhost", "vm", "ibm_vpc"]),
        "storage": st.just("localhost"),
        "storage_bucket": NAMES,
        "workers": COUNTS,
        "data_cleaner": FLAGS,
        "monitoring": st.just("storage"),
        "monitoring_interval": NUMBERS,
        "data_limit": NUMBERS | st.just(False),
        "execution_timeout": NUMBERS,
        "include_modules": MODULES | st.none(),
        "exclude_modules": MODULES,
        "retries": st.integers(0, 9),
        "log_level": st.sampled_from(["debug", "INFO", 10]) | st.none(),
        "log_functions": FLAGS,
        "log_format": NAMES,
        "log_stream": st.sampled_from(["ext://sys.stderr", "ext://sys.stdout"]),
        "log_filename": NAMES,
    },
    "standalone": {"backend": st.sampled_from(["vm", "ibm_vpc"]), **SHARED},
    "localhost": {
        **SHARED,
        "worker_processes": PROCESSES,
        "max_workers": COUNTS,
        "runtime_memory": COUNTS,
    },
    "vm": {
        **SHARED,
        "ip_address": NAMES,
        "hosts": st.lists(HOST, min_size=1, max_size=3),
        "ssh_username": NAMES,
        "ssh_password": NAMES,
        "ssh_key_filename": NAMES,
        "ssh_key_passphrase": NAMES,
        "ssh_port": COUNTS,
        "host_keys": st.sampled_from(["strict", "accept-new"]),
        "known_hosts": NAMES,
        "worker_processes": PROCESSES,
        "max_workers": COUNTS,
        "runtime_memory": COUNTS,
    },
    "ibm": ACCOUNT,
    "ibm_vpc": {
        **SHARED,
        **ACCOUNT,
        **dict.fromkeys(
            (
                "zone", "vpc_id", "vpc_name", "subnet_id", "security_group_id", "gateway_id", "floating_ip",
                "ssh_key_id", "image_id", "instance_id", "worker_profile_name", "master_profile_name",
                "boot_volume_profile", "ssh_username", "ssh_key_filename", "profile_id", "currency",
            ),
            NAMES,
        ),
        "endpoint": st.just("http://127.0.0.1/v1"),
        "iam_endpoint": st.just("https://iam.example"),
        "public_gateway": FLAGS,
        "ssh_source": st.sampled_from(["192.0.2.1", ["192.0.2.0/24", "2001:db8::/32"]]),
        "boot_volume_capacity": st.integers(10, 100),
        "max_workers": COUNTS,
        "worker_processes": PROCESSES,
        "runtime_memory": COUNTS,
        "delete_on_dismantle": FLAGS,
        "verify_resources": FLAGS,
        "prices": st.dictionaries(NAMES, st.floats(0, 9), max_size=2),
    },
}  # fmt: skip

SECTION = {
    name: st.none()
    | st.fixed_dictionaries({}, optional={key: st.none() | kind for key, kind in keys.items()})
    for name, keys in KEYS.items()
}
CONFIGS = st.fixed_dictionaries({}, optional=SECTION)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_every_key_of_the_schema_is_tried() -> None:
    for name, section in SECTIONS.items():
        assert set(section.names) <= set(KEYS[name])


def resolved(config: dict[str, Any]) -> Settings | str:
    """The settings, or what is wrong with the files that the configuration names."""
    try:
        return resolve(config)
    except ConfigError as exc:
        return str(exc)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONFIGS)
def test_expanding_twice_is_expanding_once(config: dict[str, Any]) -> None:
    try:
        expanded = default_config(config_data=config)
    except ConfigError:
        return
    assert default_config(config_data=expanded) == expanded
    assert resolved(config) == resolved(expanded)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([(s, k) for s, keys in KEYS.items() for k in keys]), JUNK)
def test_junk_is_refused_or_taken_but_never_breaks(place: tuple[str, str], junk: object) -> None:
    section, key = place
    try:
        expanded = default_config(
            config_data={section: {key: junk}, "x": None} if junk == "x" else {section: {key: junk}}
        )
    except ConfigError:
        return
    assert default_config(config_data=expanded) == expanded
