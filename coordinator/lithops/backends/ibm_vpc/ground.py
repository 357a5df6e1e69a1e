"""What the configuration names and the region offers, looked up once: where machines are to be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lithops.backends.ibm_vpc.api import GATEWAY, GROUP, IMAGE, SUBNET, VPC, WORDS, VpcApi, endpoint_of
from lithops.backends.ibm_vpc.images import choose_image
from lithops.backends.ibm_vpc.source import own_source
from lithops.config.settings import IbmVpcSettings, Settings
from lithops.errors import CloudError, CloudNotFound, ConfigError

_NAMED = {SUBNET: "subnet_id", GROUP: "security_group_id", GATEWAY: "gateway_id"}


def complete(api: VpcApi, settings: Settings) -> IbmVpcSettings:
    """The section with all that can be found out: VPC, zone, image, and from where SSH is let in.

    Raises:
        CloudError: what is named is not there, or the API does not answer.
        ConfigError: what is named does not fit together, or something has to be given.
    """
    assert isinstance(settings.backend, IbmVpcSettings)
    section = settings.backend
    named = {kind: _named(api, kind, key, section) for kind, key in _NAMED.items() if getattr(section, key)}
    vpc_id = _vpc(api, section, named)
    zone = _zone(api, section, named)
    image_id = section.image_id
    if image_id is None:
        python = None if settings.image else sys.version_info[:2]
        image_id = choose_image(api.list(IMAGE, visibility="public"), python)
    elif section.verify_resources:
        _get(api, IMAGE, image_id, "image_id")
    source = section.ssh_source
    if not source and section.security_group_id is None:
        source = (own_source(endpoint_of(section)),)
    if section.verify_resources:
        for key in ("worker_profile_name", "master_profile_name"):
            _get(api, "instance_profile", getattr(section, key), key)
    return replace(section, vpc_id=vpc_id, zone=zone, image_id=image_id, ssh_source=source)


def _get(api: VpcApi, kind: str, id: str, key: str) -> dict[str, Any]:
    try:
        return api.get(kind, id)
    except CloudError as exc:
        if exc.status != 404:
            raise
        what = WORDS.get(kind, kind.replace("_", " "))
        raise CloudNotFound(
            f"ibm_vpc.{key}: the region has no {what} {id}",
            operation=exc.operation,
            status=exc.status,
            code=exc.code,
        ) from exc


def _named(api: VpcApi, kind: str, key: str, section: IbmVpcSettings) -> dict[str, Any]:
    return _get(api, kind, getattr(section, key), key)


def _vpc(api: VpcApi, section: IbmVpcSettings, named: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The id of the VPC that is named, itself or by what is in it; None: there is to be a new one."""
    vpc_id = section.vpc_id
    if section.vpc_name is not None:
        found = api.find(VPC, section.vpc_name)
        if found is None:
            raise CloudNotFound(f"ibm_vpc.vpc_name: the region has no VPC {section.vpc_name}", status=404)
        vpc_id = found["id"]
    elif vpc_id is not None and section.verify_resources:
        _get(api, VPC, vpc_id, "vpc_id")
    for kind, thing in named.items():
        if vpc_id is not None and thing["vpc"]["id"] != vpc_id:
            raise ConfigError(
                f"ibm_vpc.{_NAMED[kind]}: {thing['name']} is in the VPC {thing['vpc']['name']}, and another "
                "one is named by the other keys"
            )
        vpc_id = thing["vpc"]["id"]
    return vpc_id


def _zone(api: VpcApi, section: IbmVpcSettings, named: Mapping[str, Mapping[str, Any]]) -> str:
    zone = section.zone
    for kind in (SUBNET, GATEWAY):
        if kind in named:
            its = named[kind]["zone"]["name"]
            if zone not in (None, its):
                raise ConfigError(
                    f"ibm_vpc.{_NAMED[kind]}: {named[kind]['name']} is in the zone {its}, and not in {zone}"
                )
            zone = its
    if zone is not None and not section.verify_resources:
        return zone
    zones = api.ask("list_region_zones", section.region)["zones"]
    if zone is None:
        free = [each["name"] for each in zones if each["status"] == "available"]
        if not free:
            raise CloudError(f"no zone of the region {section.region} is available", operation="list zones")
        return str(min(free))
    if zone not in [each["name"] for each in zones]:
        there = ", ".join(each["name"] for each in zones)
        raise ConfigError(f"ibm_vpc.zone: the region {section.region} has no zone {zone}; it has {there}")
    return zone
