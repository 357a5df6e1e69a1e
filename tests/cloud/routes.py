"""The operations of the service: method, path and function of each."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from . import bodies, catalogue
from .answers import View
from .groups import Groups
from .instances import Instances
from .networks import Networks
from .problems import Refused, not_found
from .region import Region

Answer = tuple[int, Any]
AnyBody = TypeVar("AnyBody", bound=bodies.Body)
Operation = Callable[..., Answer]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that may go on."""

    query: dict[str, str]
    data: bytes
    view: View

    def body(self, model: type[AnyBody]) -> AnyBody:
        """What was sent. Raises Refused."""
        return bodies.parse(model, self.data)


def _done(act: Callable[..., None], *what: Any) -> Answer:
    """Carry out what has no answer but that it was done."""
    act(*what)
    return 204, None


def _page(
    request: Request, path: str, key: str, items: Iterable[Any], show: Callable[[Any], Any],
    filters: dict[str, Callable[[Any], Any]] | None = None,
) -> Answer:  # fmt: skip
    """A page of a list: small, so that clients which forget that there are more are found out."""
    filters = filters or {}
    for name in request.query:
        if name not in (*filters, "start", "limit"):
            message = f"The query parameter {name} is not known here."
            raise Refused(400, "bad_field", message, target=name, kind="parameter")
    limit = request.query.get("limit", "50")
    if not limit.isdigit() or not 1 <= int(limit) <= 100:
        raise Refused(400, "bad_field", "limit is from 1 to 100", target="limit", kind="parameter")
    found = list(items)
    for name, of in filters.items():
        if name in request.query:
            found = [item for item in found if str(of(item)) == request.query[name]]
    size = min(int(limit), request.view.region.page_size)
    begin = _begin(found, request.query.get("start"))
    base = f"{request.view.base}{path}"
    answer: dict[str, Any] = {
        "first": {"href": f"{base}?limit={size}"},
        "limit": size,
        "total_count": len(found),
        key: [show(item) for item in found[begin : begin + size]],
    }
    if begin + size < len(found):
        text = f"after{_order(found[begin + size - 1], begin + size - 1)}"
        token = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        answer["next"] = {"href": f"{base}?limit={size}&start={token}"}
    return 200, answer


def _order(item: Any, index: int) -> int:
    """What lists are ordered by: the newest resources come first, and other things as they stand."""
    return -item.number if hasattr(item, "number") else index


def _begin(found: list[Any], start: str | None) -> int:
    """Where a page begins: after the last item of the one before, whether that is there still or not."""
    if start is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(start + "=" * (-len(start) % 4)).decode()
        last = int(text.removeprefix("after"))
    except ValueError:
        raise Refused(400, "bad_field", "start is no token", target="start", kind="parameter") from None
    return sum(_order(item, index) <= last for index, item in enumerate(found))


def routes(region: Region) -> list[tuple[str, str, Operation]]:
    """Method, path and function of each operation."""
    networks, groups, instances = Networks(region), Groups(region), Instances(region)
    return [
        *_network_routes(region, networks),
        *_group_routes(region, networks, groups),
        *_instance_routes(region, networks, instances),
        *_volume_routes(region, networks, instances),
        *_catalogue_routes(region),
    ]


def _network_routes(region: Region, networks: Networks) -> list[tuple[str, str, Operation]]:
    get = region.get

    def list_vpcs(r: Request) -> Answer:
        return _page(
            r, "/vpcs", "vpcs", networks.describe("vpcs"), r.view.vpc, {"classic_access": lambda v: "false"}
        )

    def rename_vpc(r: Request, id: str) -> Answer:
        networks.rename_vpc(get("vpcs", id), r.body(bodies.NamePatch))
        return 200, r.view.vpc(get("vpcs", id))

    def prefixes(r: Request, id: str) -> Answer:
        vpc = get("vpcs", id)
        path = f"/vpcs/{id}/address_prefixes"
        return _page(r, path, "address_prefixes", vpc.prefixes.values(), lambda p: r.view.prefix(vpc, p))

    def create_prefix(r: Request, id: str) -> Answer:
        vpc = get("vpcs", id)
        return 201, r.view.prefix(vpc, networks.create_prefix(vpc, r.body(bodies.AddressPrefixPrototype)))

    def list_subnets(r: Request) -> Answer:
        filters = {"vpc.id": lambda s: s.vpc, "zone.name": lambda s: s.zone}
        return _page(r, "/subnets", "subnets", networks.describe("subnets"), r.view.subnet, filters)

    def rename_subnet(r: Request, id: str) -> Answer:
        networks.rename_subnet(get("subnets", id), r.body(bodies.NamePatch))
        return 200, r.view.subnet(get("subnets", id))

    def attach_gateway(r: Request, id: str) -> Answer:
        return 201, r.view.gateway(networks.attach_gateway(get("subnets", id), r.body(bodies.Identity)))

    def list_gateways(r: Request) -> Answer:
        found = networks.describe("public_gateways")
        return _page(r, "/public_gateways", "public_gateways", found, r.view.gateway)

    def list_ips(r: Request) -> Answer:
        filters = {"target.id": lambda ip: ip.target}
        found = networks.describe("floating_ips")
        return _page(r, "/floating_ips", "floating_ips", found, r.view.floating_ip, filters)

    def change_ip(r: Request, id: str) -> Answer:
        networks.change_ip(get("floating_ips", id), r.body(bodies.FloatingIpPatch))
        return 200, r.view.floating_ip(get("floating_ips", id))

    return [
        ("GET", "/vpcs", list_vpcs),
        ("POST", "/vpcs", lambda r: (201, r.view.vpc(networks.create_vpc(r.body(bodies.VpcPrototype))))),
        ("GET", "/vpcs/<id>", lambda r, id: (200, r.view.vpc(get("vpcs", id)))),
        ("PATCH", "/vpcs/<id>", rename_vpc),
        ("DELETE", "/vpcs/<id>", lambda r, id: _done(networks.delete_vpc, get("vpcs", id))),
        ("GET", "/vpcs/<id>/address_prefixes", prefixes),
        ("POST", "/vpcs/<id>/address_prefixes", create_prefix),
        ("GET", "/subnets", list_subnets),
        ("POST", "/subnets",
         lambda r: (201, r.view.subnet(networks.create_subnet(r.body(bodies.SubnetPrototype))))),
        ("GET", "/subnets/<id>", lambda r, id: (200, r.view.subnet(get("subnets", id)))),
        ("PATCH", "/subnets/<id>", rename_subnet),
        ("DELETE", "/subnets/<id>", lambda r, id: _done(networks.delete_subnet, get("subnets", id))),
        ("PUT", "/subnets/<id>/public_gateway", attach_gateway),
        ("GET", "/subnets/<id>/public_gateway",
         lambda r, id: (200, r.view.gateway(networks.gateway_of(get("subnets", id))))),
        ("DELETE", "/subnets/<id>/public_gateway",
         lambda r, id: _done(networks.detach_gateway, get("subnets", id))),
        ("GET", "/public_gateways", list_gateways),
        ("POST", "/public_gateways",
         lambda r: (201, r.view.gateway(networks.create_gateway(r.body(bodies.GatewayPrototype))))),
        ("GET", "/public_gateways/<id>", lambda r, id: (200, r.view.gateway(get("public_gateways", id)))),
        ("DELETE", "/public_gateways/<id>",
         lambda r, id: _done(networks.delete_gateway, get("public_gateways", id))),
        ("GET", "/floating_ips", list_ips),
        ("POST", "/floating_ips",
         lambda r: (201, r.view.floating_ip(networks.create_ip(r.body(bodies.FloatingIpPrototype))))),
        ("GET", "/floating_ips/<id>", lambda r, id: (200, r.view.floating_ip(get("floating_ips", id)))),
        ("PATCH", "/floating_ips/<id>", change_ip),
        ("DELETE", "/floating_ips/<id>", lambda r, id: _done(networks.delete_ip, get("floating_ips", id))),
    ]  # fmt: skip


def _group_routes(region: Region, networks: Networks, groups: Groups) -> list[tuple[str, str, Operation]]:
    get = region.get

    def default_group(r: Request, id: str) -> Answer:
        group = get("security_groups", get("vpcs", id).default_group)
        return 200, r.view.security_group(group)

    def list_groups(r: Request) -> Answer:
        filters = {"vpc.id": lambda group: group.vpc}
        found = networks.describe("security_groups")
        return _page(r, "/security_groups", "security_groups", found, r.view.security_group, filters)

    def rename(r: Request, id: str) -> Answer:
        groups.rename(get("security_groups", id), r.body(bodies.NamePatch))
        return 200, r.view.security_group(get("security_groups", id))

    def create(r: Request) -> Answer:
        group = groups.create(r.body(bodies.SecurityGroupPrototype), r.view.version)
        return 201, r.view.security_group(group)

    def rules(r: Request, id: str) -> Answer:
        group = get("security_groups", id)
        return 200, {"rules": [r.view.rule(group, rule) for rule in group.rules.values()]}

    def create_rule(r: Request, id: str) -> Answer:
        group = get("security_groups", id)
        rule = groups.create_rule(group, r.body(bodies.RulePrototype), r.view.version)
        return 201, r.view.rule(group, rule)

    def rule(r: Request, id: str, rule: str) -> Answer:
        group = get("security_groups", id)
        return 200, r.view.rule(group, groups.rule(group, rule))

    def change_rule(r: Request, id: str, rule: str) -> Answer:
        group = get("security_groups", id)
        groups.change_rule(groups.rule(group, rule), r.body(bodies.RulePatch))
        return 200, r.view.rule(group, groups.rule(group, rule))

    def delete_rule(r: Request, id: str, rule: str) -> Answer:
        group = get("security_groups", id)
        return _done(groups.delete_rule, group, groups.rule(group, rule))

    def targets(r: Request, id: str) -> Answer:
        shown = r.view.security_group(get("security_groups", id))["targets"]
        return _page(r, f"/security_groups/{id}/targets", "targets", shown, lambda target: target)

    def add_target(r: Request, id: str, target: str) -> Answer:
        instance = groups.target(target)
        groups.add_target(get("security_groups", id), instance)
        return 200, r.view.interface(instance)

    def remove_target(r: Request, id: str, target: str) -> Answer:
        return _done(groups.remove_target, get("security_groups", id), groups.target(target))

    def rename_key(r: Request, id: str) -> Answer:
        groups.rename_key(get("keys", id), r.body(bodies.NamePatch))
        return 200, r.view.key(get("keys", id))

    base = "/security_groups"
    return [
        ("GET", "/vpcs/<id>/default_security_group", default_group),
        ("GET", base, list_groups),
        ("POST", base, create),
        ("GET", f"{base}/<id>", lambda r, id: (200, r.view.security_group(get("security_groups", id)))),
        ("PATCH", f"{base}/<id>", rename),
        ("DELETE", f"{base}/<id>", lambda r, id: _done(groups.delete, get("security_groups", id))),
        ("GET", f"{base}/<id>/rules", rules),
        ("POST", f"{base}/<id>/rules", create_rule),
        ("GET", f"{base}/<id>/rules/<rule>", rule),
        ("PATCH", f"{base}/<id>/rules/<rule>", change_rule),
        ("DELETE", f"{base}/<id>/rules/<rule>", delete_rule),
        ("GET", f"{base}/<id>/targets", targets),
        ("PUT", f"{base}/<id>/targets/<target>", add_target),
        ("DELETE", f"{base}/<id>/targets/<target>", remove_target),
        ("GET", "/keys", lambda r: _page(r, "/keys", "keys", networks.describe("keys"), r.view.key)),
        ("POST", "/keys", lambda r: (201, r.view.key(groups.create_key(r.body(bodies.KeyPrototype))))),
        ("GET", "/keys/<id>", lambda r, id: (200, r.view.key(get("keys", id)))),
        ("PATCH", "/keys/<id>", rename_key),
        ("DELETE", "/keys/<id>", lambda r, id: _done(groups.delete_key, get("keys", id))),
    ]


def _instance_routes(
    region: Region, networks: Networks, instances: Instances
) -> list[tuple[str, str, Operation]]:
    def get(id: str) -> Any:
        return region.get("instances", id)

    def list_instances(r: Request) -> Answer:
        filters = {"vpc.id": lambda i: i.vpc, "name": lambda i: i.name, "vpc.name": lambda i: get_vpc(i)}
        found = networks.describe("instances")
        return _page(r, "/instances", "instances", found, r.view.instance, filters)

    def get_vpc(instance: Any) -> Any:
        return region.store["vpcs"][instance.vpc].name

    def change(r: Request, id: str) -> Answer:
        instances.change(get(id), r.body(bodies.InstancePatch))
        return 200, r.view.instance(get(id))

    def act(r: Request, id: str) -> Answer:
        body = r.body(bodies.ActionPrototype)
        instances.act(get(id), body)
        return 201, r.view.action(get(id), body.type, body.force)

    def interface(r: Request, id: str, nic: str) -> Answer:
        return 200, r.view.interface(instances.interface(get(id), nic))

    def floating_ips(r: Request, id: str, nic: str) -> Answer:
        owner = instances.interface(get(id), nic)
        return 200, {"floating_ips": [r.view.floating_ip(ip) for ip in region.bound_to(owner.interface)]}

    def bind(r: Request, id: str, nic: str, ip: str) -> Answer:
        networks.bind_ip(region.get("floating_ips", ip), instances.interface(get(id), nic))
        return 201, r.view.floating_ip(region.get("floating_ips", ip))

    def unbind(r: Request, id: str, nic: str, ip: str) -> Answer:
        owner = instances.interface(get(id), nic)
        return _done(networks.unbind_ip, region.get("floating_ips", ip), owner)

    base, nics = "/instances/<id>", "/instances/<id>/network_interfaces"
    return [
        ("GET", "/instances", list_instances),
        ("POST", "/instances",
         lambda r: (201, r.view.instance(instances.create(r.body(bodies.InstancePrototype))))),
        ("GET", base, lambda r, id: (200, r.view.instance(get(id)))),
        ("PATCH", base, change),
        ("DELETE", base, lambda r, id: _done(instances.delete, get(id))),
        ("POST", f"{base}/actions", act),
        ("GET", f"{base}/initialization", lambda r, id: (200, r.view.initialization(get(id)))),
        ("GET", nics, lambda r, id: (200, {"network_interfaces": [r.view.interface(get(id))]})),
        ("GET", f"{nics}/<nic>", interface),
        ("GET", f"{nics}/<nic>/floating_ips", floating_ips),
        ("PUT", f"{nics}/<nic>/floating_ips/<ip>", bind),
        ("DELETE", f"{nics}/<nic>/floating_ips/<ip>", unbind),
        ("GET", f"{base}/network_attachments",
         lambda r, id: (200, {"network_attachments": r.view.network_attachments(get(id))})),
    ]  # fmt: skip


def _volume_routes(
    region: Region, networks: Networks, instances: Instances
) -> list[tuple[str, str, Operation]]:
    get = region.get

    def list_volumes(r: Request) -> Answer:
        filters = {
            "name": lambda v: v.name, "zone.name": lambda v: v.zone,
            "attachment_state": lambda v: "attached" if region.attachments_of(v) else "unattached",
        }  # fmt: skip
        return _page(r, "/volumes", "volumes", networks.describe("volumes"), r.view.volume, filters)

    def change(r: Request, id: str) -> Answer:
        instances.change_volume(get("volumes", id), r.body(bodies.VolumePatch))
        return 200, r.view.volume(get("volumes", id))

    def attachments(r: Request, id: str) -> Answer:
        instance = get("instances", id)
        return 200, {"volume_attachments": [r.view.attachment(instance, a) for a in instance.attachments]}

    def attach(r: Request, id: str) -> Answer:
        instance = get("instances", id)
        made = instances.attach(instance, r.body(bodies.AttachmentPrototype))
        return 201, r.view.attachment(instance, made)

    def attachment(r: Request, id: str, attachment: str) -> Answer:
        instance = get("instances", id)
        return 200, r.view.attachment(instance, instances.attachment(instance, attachment))

    def detach(r: Request, id: str, attachment: str) -> Answer:
        instance = get("instances", id)
        return _done(instances.detach, instance, instances.attachment(instance, attachment))

    base = "/instances/<id>/volume_attachments"
    return [
        ("GET", "/volumes", list_volumes),
        ("POST", "/volumes",
         lambda r: (201, r.view.volume(instances.create_volume(r.body(bodies.VolumePrototype))))),
        ("GET", "/volumes/<id>", lambda r, id: (200, r.view.volume(get("volumes", id)))),
        ("PATCH", "/volumes/<id>", change),
        ("DELETE", "/volumes/<id>", lambda r, id: _done(instances.delete_volume, get("volumes", id))),
        ("GET", base, attachments),
        ("POST", base, attach),
        ("GET", f"{base}/<attachment>", attachment),
        ("DELETE", f"{base}/<attachment>", detach),
    ]  # fmt: skip


def _catalogue_routes(region: Region) -> list[tuple[str, str, Operation]]:
    def list_images(r: Request) -> Answer:
        filters = {
            "name": lambda i: i.name,
            "status": lambda i: i.status,
            "visibility": lambda i: i.visibility,
        }
        return _page(r, "/images", "images", region.images.values(), r.view.image, filters)

    def image(r: Request, id: str) -> Answer:
        if id not in region.images:
            raise not_found("image", id)
        return 200, r.view.image(region.images[id])

    def list_profiles(r: Request) -> Answer:
        found = catalogue.INSTANCE_PROFILES.values()
        return _page(r, "/instance/profiles", "profiles", found, r.view.instance_profile)

    def profile(r: Request, name: str) -> Answer:
        if name not in catalogue.INSTANCE_PROFILES:
            raise not_found("instance profile", name)
        return 200, r.view.instance_profile(catalogue.INSTANCE_PROFILES[name])

    def list_volume_profiles(r: Request) -> Answer:
        found = catalogue.VOLUME_PROFILES
        return _page(r, "/volume/profiles", "profiles", found, r.view.volume_profile)

    def volume_profile(r: Request, name: str) -> Answer:
        if name not in catalogue.VOLUME_PROFILES:
            raise not_found("volume profile", name)
        return 200, r.view.volume_profile(name)

    def own(name: str) -> None:
        if name != region.name:
            raise not_found("region", name)

    def region_(r: Request, name: str) -> Answer:
        own(name)
        return 200, r.view.region_()

    def zones(r: Request, name: str) -> Answer:
        own(name)
        return 200, {"zones": [r.view.zone(zone) for zone in region.zones]}

    def zone(r: Request, name: str, zone: str) -> Answer:
        own(name)
        if zone not in region.zones:
            raise not_found("zone", zone)
        return 200, r.view.zone(zone)

    return [
        ("GET", "/images", list_images),
        ("GET", "/images/<id>", image),
        ("GET", "/instance/profiles", list_profiles),
        ("GET", "/instance/profiles/<name>", profile),
        ("GET", "/volume/profiles", list_volume_profiles),
        ("GET", "/volume/profiles/<name>", volume_profile),
        ("GET", "/regions", lambda r: (200, {"regions": [r.view.region_()]})),
        ("GET", "/regions/<name>", region_),
        ("GET", "/regions/<name>/zones", zones),
        ("GET", "/regions/<name>/zones/<zone>", zone),
    ]
