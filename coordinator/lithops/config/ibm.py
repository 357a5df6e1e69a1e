"""IBM Cloud in the configuration: its sections, what they must have, and the account that they name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lithops.config.keys import Key, Section
from lithops.config.kinds import AUTO, Amounts, Flag, Networks, Problem, Processes, Text, Whole
from lithops.errors import ConfigError

KEY_VARIABLES = ("IBMCLOUD_API_KEY", "IBM_API_KEY")
"""The first is that of IBM's own command line."""
CONSUME = "consume"
CREATION_TIMEOUT = 600
"""The default of `standalone.start_timeout` where machines are created: two tries of a boot fit in."""

_ACCOUNT = (
    Key(
        name="iam_api_key",
        kind=Text(),
        secret=True,
        default_doc=f"`iam_api_key_file`, else the variable `{KEY_VARIABLES[0]}` or `{KEY_VARIABLES[1]}`",
        doc="The API key of the account. It stays on this machine.",
    ),
    Key(name="iam_api_key_file", kind=Text(name="a path"), doc="A file of this machine with the API key."),
    Key(name="region", kind=Text(), doc="The region, such as `eu-de`. Mandatory, unless `zone` is given."),
    Key(
        name="resource_group_id",
        kind=Text(),
        doc="The resource group of what is created. Mandatory to create anything.",
    ),
)

IBM = Section(
    name="ibm",
    doc="The IBM Cloud account, for all backends of IBM. The backend's own section wins.",
    keys=_ACCOUNT,
)

_RESOURCES = (
    Key(name="vpc_id", kind=Text(), default_doc="one is created", doc="The VPC to use. It is never changed."),
    Key(name="vpc_name", kind=Text(), doc="The VPC to use, by its name."),
    Key(name="subnet_id", kind=Text(), default_doc="one is created", doc="The subnet to use."),
    Key(
        name="security_group_id",
        kind=Text(),
        default_doc="one is created",
        doc="The security group to use. It has to let SSH in, and its members reach each other by SSH.",
    ),
    Key(
        name="gateway_id",
        kind=Text(),
        doc="The public gateway to use for a subnet that is created.",
    ),
    Key(
        name="public_gateway",
        kind=Flag(),
        default_doc="true when a Docker image is pulled, or hosts fetch requirements themselves",
        doc="Whether VMs without an address of their own can reach the internet.",
    ),
    Key(
        name="floating_ip",
        kind=Text(),
        default_doc="that of the instance in the mode `consume`; one is created in the others",
        doc="The public address to use for the VM that the others are reached through.",
    ),
    Key(
        name="ssh_source",
        kind=Networks(),
        default_doc="the address that the API sees this machine by, else it has to be given",
        doc="From where SSH is let in, where the security group is created: networks such as "
        "`192.0.2.0/24`. `0.0.0.0/0`: from everywhere.",
    ),
    Key(name="ssh_key_id", kind=Text(), doc="A key of the account to put on the VMs beside this one's own."),
    Key(
        name="image_id",
        kind=Text(),
        default_doc="the newest Ubuntu of the region with the local version of Python",
        doc="The image of VMs that are created.",
    ),
    Key(
        name="instance_id",
        kind=Text(),
        doc="The instance to use. Mandatory in the mode `consume`.",
    ),
)

_MACHINES = (
    Key(
        name="worker_profile_name", kind=Text(), default="cx2-2x4", doc="The profile of VMs that are created."
    ),
    Key(
        name="master_profile_name",
        kind=Text(),
        default="cx2-2x4",
        doc="The profile of the VM that the others are reached through.",
    ),
    Key(
        name="boot_volume_profile", kind=Text(), default="general-purpose", doc="The profile of boot volumes."
    ),
    Key(
        name="boot_volume_capacity",
        kind=Whole(minimum=10),
        default=100,
        unit="GB",
        doc="The size of boot volumes.",
    ),
    Key(name="ssh_username", kind=Text(), default="ubuntu", doc="The login on the VMs."),
    Key(
        name="ssh_key_filename",
        kind=Text(name="a path"),
        default_doc="a key that is made once, below `~/.lithops`; in the mode `consume` as for `vm`",
        doc="The private key of the login.",
    ),
    Key(
        name="max_workers",
        kind=Whole(),
        default=100,
        doc="How many VMs an executor uses at most.",
    ),
    Key(
        name="worker_processes",
        kind=Processes(),
        default=AUTO,
        doc="How many worker processes run at the same time on a VM; `AUTO`: as many as it has CPUs.",
    ),
    Key(
        name="runtime_memory",
        kind=Whole(),
        unit="MB",
        doc="The memory of a container for each of its worker processes. Without an image: no limit.",
    ),
)

_REST = (
    Key(
        name="zone",
        kind=Text(),
        default_doc="the first zone of the region that is available",
        doc="The zone, such as `eu-de-1`.",
    ),
    Key(
        name="endpoint",
        kind=Text(prefix="http"),
        default_doc="that of the region",
        doc="The address of the VPC service, with `/v1`.",
    ),
    Key(
        name="iam_endpoint",
        kind=Text(prefix="http"),
        default="https://iam.cloud.ibm.com",
        doc="The address of the IAM service.",
    ),
    Key(
        name="profile_id",
        kind=Text(),
        doc="The trusted profile, by its id or CRN, with which a VM may delete or stop itself; without one "
        "it is switched off, and deleted by the next program of yours.",
    ),
    Key(
        name="delete_on_dismantle",
        kind=Flag(),
        default=True,
        doc="Delete VMs that were created when they are dismantled; `false`: stop them.",
    ),
    Key(
        name="verify_resources",
        kind=Flag(),
        default=True,
        doc="Look first whether what is named here exists and fits together.",
    ),
    Key(
        name="prices",
        kind=Amounts(),
        default={},
        default_doc="those of the table that is shipped",
        doc="What an hour of each profile costs: `{cx2-2x4: 0.1}`.",
    ),
    Key(name="currency", kind=Text(), default="USD", doc="The currency of `prices`."),
)

IBM_VPC = Section(
    name="ibm_vpc",
    doc="Virtual machines of IBM Cloud VPC. What is named here is used and never deleted; what is missing is "
    "created, and removed again.",
    keys=(*_ACCOUNT, *_REST[:3], *_RESOURCES, *_MACHINES, *_REST[3:]),
    # Keys of Lithops that nothing here does.
    reserved=("ssh_password", "custom_lithops_image", "singlesocket", "gpu"),
)


def about_ibm_vpc(
    values: Mapping[str, Mapping[str, Any]], exec_mode: str, environ: Mapping[str, str] = os.environ
) -> list[Problem]:
    """What is wrong with the expanded sections only because the backend is chosen."""
    own, account = values[IBM_VPC.name], values[IBM.name]
    found = {key: own[key] or account[key] for key in IBM.names}
    problems: list[Problem] = []

    def missing(key: str, why: str) -> None:
        problems.append(Problem(path=f"{IBM_VPC.name}.{key}", text=f"missing: {why}"))

    if not (found["iam_api_key"] or found["iam_api_key_file"] or any(map(environ.get, KEY_VARIABLES))):
        missing("iam_api_key", f"the API key of the account, also as the variable {KEY_VARIABLES[0]}")
    if not (found["region"] or own["zone"]):
        missing("region", "where the machines are, such as `eu-de`")
    if exec_mode == CONSUME and not own["instance_id"]:
        missing("instance_id", f"the instance to use; the mode is `{CONSUME}`, see standalone.exec_mode")
    if exec_mode != CONSUME and not found["resource_group_id"]:
        missing("resource_group_id", f"where to create machines, as the mode `{exec_mode}` does")
    if own["vpc_id"] and own["vpc_name"]:
        text = f"contradicts {IBM_VPC.name}.vpc_id: keep one of them"
        problems.append(Problem(path=f"{IBM_VPC.name}.vpc_name", text=text))
    if found["region"] and own["zone"] and region_of(own["zone"]) != found["region"]:
        text = f"`{own['zone']}` is not a zone of the region `{found['region']}`"
        problems.append(Problem(path=f"{IBM_VPC.name}.zone", text=text))
    return problems


def region_of(zone: str) -> str:
    """The region of a zone: `eu-de` of `eu-de-1`."""
    return zone.rpartition("-")[0]


def account_of(
    values: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str] = os.environ
) -> dict[str, str | None]:
    """The account that the expanded sections name: its API key, region and resource group.

    Raises:
        ConfigError: the file of the API key can't be read.
    """
    own, account = values[IBM_VPC.name], values.get(IBM.name, {})
    found = {key: own[key] or account.get(key) for key in IBM.names}
    key = found["iam_api_key"] or _from_file(found["iam_api_key_file"])
    return {
        "api_key": key or next((environ[name] for name in KEY_VARIABLES if environ.get(name)), None),
        "region": found["region"] or region_of(own["zone"]),
        "resource_group_id": found["resource_group_id"],
    }


def _from_file(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"iam_api_key_file: {path} can't be read: {exc}") from exc
