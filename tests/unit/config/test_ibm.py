"""What the sections `ibm` and `ibm_vpc` must have, and the account that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lithops.config import default_config, resolve
from lithops.config.ibm import KEY_VARIABLES, region_of
from lithops.config.settings import IbmVpcSettings
from lithops.errors import ConfigError

ACCOUNT = {"iam_api_key": "secret-key", "region": "eu-de", "resource_group_id": "group"}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def config_of(ibm: dict[str, Any] | None = None, exec_mode: str = "create", **ibm_vpc: Any) -> dict[str, Any]:
    return {
        "lithops": {"backend": "ibm_vpc"},
        "standalone": {"exec_mode": exec_mode},
        "ibm": ACCOUNT if ibm is None else ibm,
        "ibm_vpc": ibm_vpc,
    }


def backend_of(config: dict[str, Any]) -> IbmVpcSettings:
    backend = resolve(config).backend
    assert isinstance(backend, IbmVpcSettings)
    return backend


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (config_of({}, "create"), ["iam_api_key", "region", "resource_group_id"]),
        (config_of({}, "reuse"), ["iam_api_key", "region", "resource_group_id"]),
        (config_of({}, "consume"), ["iam_api_key", "region", "instance_id"]),
        (config_of({}, "consume", zone="eu-de-1", instance_id="i"), ["iam_api_key"]),
        (config_of(None, "consume"), ["instance_id"]),
        (config_of({"region": "eu-de"}, "create", iam_api_key_file="~/key"), ["resource_group_id"]),
    ],
)
def test_what_is_mandatory_is_told_together(config: dict[str, Any], missing: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        default_config(config_data=config)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(": ")[1] for line in lines] == [f"ibm_vpc.{key}" for key in missing]
    assert all("missing: " in line for line in lines)


@pytest.mark.parametrize(
    ("keys", "path", "says"),
    [
        ({"vpc_id": "a", "vpc_name": "b"}, "vpc_name", "contradicts ibm_vpc.vpc_id"),
        ({"zone": "us-south-1"}, "zone", "not a zone of the region `eu-de`"),
        ({"ssh_source": "here"}, "ssh_source", "does not appear to be an IPv4 or IPv6 network"),
        ({"prices": {"cx2-2x4": "dear"}}, "prices", "numbers by name"),
        ({"boot_volume_capacity": 5}, "boot_volume_capacity", "10 or more"),
        ({"vpc": "a"}, "vpc", "did you mean `vpc_id`?"),
    ],
)
def test_what_can_not_be(keys: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        default_config(config_data=config_of(**keys))
    (line,) = str(caught.value).splitlines()[1:]
    assert line.strip().startswith(f"config argument: ibm_vpc.{path}: ")
    assert says in line


def test_the_own_section_wins() -> None:
    backend = backend_of(config_of(region="us-south", resource_group_id="other", iam_api_key="mine"))
    assert (backend.api_key, backend.region, backend.resource_group_id) == ("mine", "us-south", "other")
    backend = backend_of(config_of())
    assert (backend.api_key, backend.region, backend.resource_group_id) == ("secret-key", "eu-de", "group")


def test_the_key_may_be_in_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = {name: value for name, value in ACCOUNT.items() if name != "iam_api_key"}
    for name in reversed(KEY_VARIABLES):
        monkeypatch.setenv(name, f"of {name}")
        assert backend_of(config_of(rest)).api_key == f"of {name}"
    (tmp_path / "key").write_text("of the file\n")
    backend = backend_of(config_of(rest, iam_api_key_file=str(tmp_path / "key")))
    assert backend.api_key == "of the file"
    with pytest.raises(ConfigError, match="none can't be read"):
        resolve(config_of(rest, iam_api_key_file=str(tmp_path / "none")))


def test_the_key_is_not_shown() -> None:
    assert "secret-key" not in repr(resolve(config_of()))


def test_networks_are_in_normal_form() -> None:
    assert backend_of(config_of(ssh_source="192.0.2.1")).ssh_source == ("192.0.2.1/32",)
    assert backend_of(config_of(ssh_source=["::/0", "10.0.0.0/8"])).ssh_source == ("::/0", "10.0.0.0/8")


def test_the_region_is_that_of_the_zone() -> None:
    account = {name: value for name, value in ACCOUNT.items() if name != "region"}
    assert backend_of(config_of(account, zone="jp-tok-3")).region == region_of("jp-tok-3") == "jp-tok"
