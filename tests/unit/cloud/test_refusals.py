"""What the service refuses is refused by the fake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
from ibm_vpc import VpcV1

from tests.cloud import DROPPED, LOST_REPLY, TOO_MANY, Fault

from .conftest import PUBLIC_KEY, Site


def refused(act: Callable[[], Any]) -> dict[str, Any]:
    """The error of a refused request, with its status."""
    with pytest.raises(ApiException) as raised:
        act()
    answer = raised.value.http_response.json()
    (error,) = answer["errors"]
    assert answer["trace"]
    assert error["message"]
    return {"status": raised.value.status_code, **error}


BAD_INSTANCES: list[tuple[str, dict[str, Any], str, str]] = [
    ("an unknown field", {"colour": "red"}, "unknown_field", "colour"),
    ("no network", {"primary_network_interface": None}, "bad_field", "body"),
    ("a name with capitals", {"name": "Worker"}, "bad_field", "name"),
    ("a name that is too long", {"name": "w" * 64}, "bad_field", "name"),
    ("a zone as text", {"zone": "us-south-1"}, "bad_field", "zone"),
    ("two names for an image", {"image": {"id": "a", "crn": "b"}}, "bad_field", "image"),
    ("a small boot volume",
     {"boot_volume_attachment": {"volume": {"capacity": 20, "profile": {"name": "general-purpose"}}}},
     "bad_field", "boot_volume_attachment.volume.capacity"),
    ("a boot volume that is too large",
     {"boot_volume_attachment": {"volume": {"capacity": 251, "profile": {"name": "general-purpose"}}}},
     "bad_field", "boot_volume_attachment.volume.capacity"),
    ("a zone of elsewhere", {"zone": {"name": "eu-de-1"}}, "bad_field", "zone"),
    ("user data that is too large", {"user_data": "x" * 65537}, "bad_field", "user_data"),
    ("a resource group of nobody", {"resource_group": {"id": "x"}}, "bad_field", "resource_group.id"),
    ("a profile that is not there", {"profile": {"name": "cx2-3x3"}}, "not_found", "profile.name"),
    ("a key that is not there", {"keys": [{"id": "r006-1"}]}, "not_found", "keys"),
    ("an image that is not there", {"image": {"id": "r006-1"}}, "not_found", "image"),
    ("a trusted profile that is not there",
     {"default_trusted_profile": {"target": {"id": "Profile-1"}}}, "not_found",
     "default_trusted_profile.target"),
]  # fmt: skip


def test_bodies_that_are_wrong_are_refused(site: Site) -> None:
    subnet = site.subnet(site.vpc())
    for what, change, code, target in BAD_INSTANCES:
        body = {**site.prototype(subnet), **change}
        body = {key: value for key, value in body.items() if value is not None}
        error = refused(lambda body=body: site.client.create_instance(body))  # type: ignore[misc]
        assert (error["code"], error["target"]["name"]) == (code, target), what
        assert error["status"] == (404 if code == "not_found" else 400), what
    missing = site.prototype(subnet)
    del missing["image"]
    assert refused(lambda: site.client.create_instance(missing))["code"] == "missing_field"
    assert "instances" not in site.cloud.resources()
    assert "volumes" not in site.cloud.resources()


def test_names_are_unique(site: Site) -> None:
    vpc = site.vpc()
    subnet = site.subnet(vpc)
    site.instance(subnet)
    zone = {"name": site.cloud.zone}
    site.client.create_key(PUBLIC_KEY, type="ed25519", name="login")
    site.client.create_floating_ip({"name": "door", "zone": zone})
    for act in (
        lambda: site.client.create_vpc(name="net"),
        lambda: site.subnet(vpc),
        lambda: site.client.create_instance(site.prototype(subnet)),
        lambda: site.client.create_floating_ip({"name": "door", "zone": zone}),
        lambda: site.client.create_key(PUBLIC_KEY, type="ed25519", name="other"),
        lambda: site.client.update_instance(site.instance(subnet, "b")["id"], {"name": "worker"}),
    ):
        error = refused(act)
        assert (error["status"], error["code"]) == (400, "validation_unique_failed")


def test_what_is_in_use_can_not_be_deleted(site: Site) -> None:
    client = site.client
    vpc = site.vpc()
    subnet = site.subnet(vpc)
    group = client.create_security_group(vpc={"id": vpc["id"]}, name="wall").get_result()
    rule = {"direction": "inbound", "protocol": "any", "remote": {"id": group["id"]}}
    other = client.create_security_group(vpc={"id": vpc["id"]}, name="other").get_result()
    made = client.create_security_group_rule(other["id"], rule).get_result()
    zone = {"name": site.cloud.zone}
    gateway = client.create_public_gateway(vpc={"id": vpc["id"]}, zone=zone, name="way").get_result()
    site.later()
    client.set_subnet_public_gateway(subnet["id"], {"id": gateway["id"]})
    nic = {"subnet": {"id": subnet["id"]}, "security_groups": [{"id": group["id"]}]}
    instance = site.instance(subnet, primary_network_interface=nic)
    boot = instance["boot_volume_attachment"]["volume"]["id"]

    def conflict(act: Callable[[], Any]) -> None:
        assert refused(act)["status"] == 409

    conflict(lambda: client.delete_vpc(vpc["id"]))
    conflict(lambda: client.delete_subnet(subnet["id"]))
    conflict(lambda: client.delete_security_group(group["id"]))
    conflict(lambda: client.delete_security_group(vpc["default_security_group"]["id"]))
    conflict(lambda: client.delete_public_gateway(gateway["id"]))
    conflict(lambda: client.delete_floating_ip(gateway["floating_ip"]["id"]))
    conflict(lambda: client.delete_volume(boot))
    conflict(lambda: client.create_public_gateway(vpc={"id": vpc["id"]}, zone=zone))
    client.delete_instance(instance["id"])
    # It is on its way out, and still there.
    conflict(lambda: client.delete_instance(instance["id"]))
    conflict(lambda: client.delete_subnet(subnet["id"]))
    site.later()
    conflict(lambda: client.delete_security_group(group["id"]))
    client.delete_security_group_rule(other["id"], made["id"])
    client.delete_security_group(group["id"])
    client.delete_subnet(subnet["id"])
    conflict(lambda: client.delete_vpc(vpc["id"]))
    site.later()
    client.delete_public_gateway(gateway["id"])
    site.later()
    client.delete_vpc(vpc["id"])
    site.later()
    assert site.cloud.resources() == {}


def test_a_boot_volume_stays_when_that_was_asked_for(site: Site) -> None:
    boot = {"delete_volume_on_instance_delete": False, "volume": {"profile": {"name": "general-purpose"}}}
    instance = site.instance(site.subnet(site.vpc()), boot_volume_attachment=boot)
    site.client.delete_instance(instance["id"])
    site.later()
    site.cloud.resources()
    site.later()
    assert site.cloud.resources()["volumes"] == ["worker-boot"]


def test_instances_do_only_what_their_state_allows(site: Site) -> None:
    subnet = site.subnet(site.vpc())
    made = site.client.create_instance(site.prototype(subnet)).get_result()
    assert made["status"] == "pending"

    def act(kind: str) -> Any:
        return site.client.create_instance_action(made["id"], kind)

    for kind in ("start", "stop", "reboot"):
        assert refused(lambda kind=kind: act(kind))["status"] == 409  # type: ignore[misc]
    site.later(1)
    assert site.status(made) == "starting"
    site.later(2)
    assert site.status(made) == "running"
    assert refused(lambda: act("start"))["status"] == 409
    act("stop")
    assert site.status(made) == "stopping"
    site.later(2)
    assert site.status(made) == "stopped"
    act("start")
    assert site.status(made) == "starting"
    site.later(2)
    act("reboot")
    assert site.status(made) == "restarting"
    site.client.delete_instance(made["id"])
    assert site.status(made) == "deleting"
    site.later(2)
    assert refused(lambda: site.client.get_instance(made["id"]))["status"] == 404


def test_quotas_hold(site: Site) -> None:
    site.cloud.quota.instances = 1
    subnet = site.subnet(site.vpc())
    site.instance(subnet)
    error = refused(lambda: site.client.create_instance(site.prototype(subnet, "b")))
    assert error["code"] == "over_quota"
    assert "Quota: 1" in error["message"]


def test_lists_come_in_small_pages(site: Site) -> None:
    subnet = site.subnet(site.vpc())
    for number in range(7):
        site.client.create_instance(site.prototype(subnet, f"w{number}"))
    found, start, pages = [], None, 0
    while True:
        page = site.client.list_instances(start=start, limit=100).get_result()
        found += [instance["name"] for instance in page["instances"]]
        pages += 1
        if "next" not in page:
            break
        start = page["next"]["href"].partition("start=")[2]
    assert sorted(found) == [f"w{number}" for number in range(7)]
    assert pages == 3


def test_requests_need_a_token_a_version_and_the_generation(site: Site) -> None:
    url = f"{site.cloud.vpc_endpoint}/vpcs"
    token = site.cloud.iam.exchange(
        {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": site.cloud.api_key}
    )[1]["access_token"]
    good = {"version": "2025-01-01", "generation": "2"}
    bearer = {"Authorization": f"Bearer {token}"}

    def status(headers: dict[str, str], query: dict[str, str]) -> int:
        return requests.get(url, params=query, headers=headers, timeout=10).status_code

    assert status(bearer, good) == 200
    assert status({}, good) == 401
    assert status({"Authorization": f"Bearer {token}x"}, good) == 401
    assert status(bearer, {**good, "generation": "1"}) == 400
    assert status(bearer, {**good, "version": "2999-01-01"}) == 400
    assert status(bearer, {"generation": "2"}) == 400
    assert status(bearer, {**good, "colour": "red"}) == 400
    site.later(3600)
    assert status(bearer, good) == 401


def test_a_wrong_key_gets_no_token(site: Site) -> None:
    client = VpcV1(authenticator=IAMAuthenticator("wrong", url=site.cloud.iam_endpoint))
    client.set_service_url(site.cloud.vpc_endpoint)
    with pytest.raises(ApiException) as raised:
        client.list_vpcs()
    assert raised.value.status_code == 400
    assert raised.value.http_response.json()["errorCode"] == "BXNIM0415E"


def test_tokens_of_a_trusted_profile_do_what_it_may(site: Site) -> None:
    from tests.cloud.iam import Subject

    profile = site.cloud.trusted_profile(may=(("GET", r"/instances/[^/]+"),))
    token = site.cloud.iam.grant(Subject(id="crn", profile=profile, instance="i"))["access_token"]

    def status(path: str) -> int:
        query = {"version": "2025-01-01", "generation": "2"}
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{site.cloud.vpc_endpoint}{path}"
        return requests.get(url, params=query, headers=headers, timeout=10).status_code

    assert status("/instances") == 403
    assert status("/instances/none") == 404


def test_injected_faults_come_as_often_as_wanted(site: Site) -> None:
    site.client.list_vpcs()
    site.cloud.inject("GET", "/vpcs", 500, times=2, skip=1)
    site.client.list_vpcs()
    for _ in range(2):
        assert refused(site.client.list_vpcs)["status"] == 500
    site.client.list_vpcs()
    site.cloud.inject("*", "/subnets.*", TOO_MANY)
    with pytest.raises(ApiException) as raised:
        site.client.list_subnets()
    assert raised.value.http_response.headers["Retry-After"] == "1"
    site.cloud.inject_call(2, Fault(status=409, code="odd"))
    site.client.list_vpcs()
    assert refused(site.client.list_keys)["code"] == "odd"
    assert [call.status for call in site.cloud.calls][-2:] == [200, 409]


def test_connections_are_dropped_before_or_after_the_act(site: Site) -> None:
    site.cloud.inject("POST", "/vpcs", DROPPED)
    with pytest.raises(requests.exceptions.ConnectionError):
        site.client.create_vpc(name="a")
    assert site.cloud.resources() == {}
    site.cloud.inject("POST", "/vpcs", LOST_REPLY)
    with pytest.raises(requests.exceptions.ConnectionError):
        site.client.create_vpc(name="a")
    assert site.cloud.resources() == {"vpcs": ["a"]}


def test_instances_fail_or_hang_when_told_to(site: Site) -> None:
    site.cloud.next_instances("failed", "stuck")
    subnet = site.subnet(site.vpc())
    made = [
        site.client.create_instance(site.prototype(subnet, name)).get_result() for name in ("a", "b", "c")
    ]
    site.later()
    site.cloud.resources()
    site.later(1000)
    assert [site.status(one) for one in made] == ["failed", "starting", "running"]
    failed = site.client.get_instance(made[0]["id"]).get_result()
    assert failed["status_reasons"][0]["code"] == "cannot_start_capacity"
