"""The operations on instances and volumes, and the lives of instances."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from . import catalogue
from .bodies import (
    ActionPrototype,
    AttachmentPrototype,
    BootAttachment,
    BootVolume,
    InstancePatch,
    InstancePrototype,
    NameIdentity,
    PrimaryIp,
    VolumePatch,
    VolumePrototype,
)
from .problems import Refused, bad_field, in_use, not_found, wrong_state
from .region import Region
from .resources import Attachment, Instance, Interface, Subnet, Volume

_DEFAULT_BOOT = BootAttachment(volume=BootVolume(profile=NameIdentity(name="general-purpose")))
NO_CAPACITY = {
    "code": "cannot_start_capacity",
    "message": "The instance could not be started because the zone has not enough capacity.",
}


class Instances:
    """What can be done with instances and volumes."""

    def __init__(self, region: Region) -> None:
        self.region = region

    # Creation.

    def create(self, body: InstancePrototype) -> Instance:
        """Make an instance with its interface and its boot volume, and let it boot."""
        region = self.region
        region.check_group(body.resource_group)
        zone = region.meant_zone(body.zone)
        image = self._image(body)
        profile = self._profile(body.profile)
        keys = [region.meant("keys", key, "keys").id for key in body.keys]
        trusted = self._trusted_profile(body)
        subnet, network = self._network(body, zone)
        attachment = body.boot_volume_attachment or _DEFAULT_BOOT
        if attachment.volume.capacity < image.minimum:
            field = "boot_volume_attachment.volume.capacity"
            raise bad_field(field, f"The image needs {image.minimum} GB.")
        common = region.common("instances", body.name, zone)
        volume = self._boot_volume(attachment, zone, image.id, common["name"])
        groups = self._security_groups(network.security_groups, subnet.vpc)
        interface = self._interface(body, subnet, network.primary_ip, groups)
        boot = Attachment(
            id=region.new_id(zone), name=attachment.name or f"{common['name']}-attachment",
            created_at=common["created_at"], volume=volume.id, boot=True,
            delete_volume=attachment.delete_volume_on_instance_delete,
        )  # fmt: skip
        instance = Instance(
            **common, vpc=subnet.vpc, zone=zone, profile=profile, image=image.id, keys=keys,
            user_data=body.user_data or "", interface=interface, attachments=[boot],
            metadata_enabled=body.metadata_service.enabled, trusted_profile=trusted,
            linked=bool(body.default_trusted_profile and body.default_trusted_profile.auto_link),
            host_failure=body.availability_policy.host_failure,
            fate=region.fates.pop(0) if region.fates else "",
        )  # fmt: skip
        region.store["instances"][instance.id] = instance
        self._later(instance, region.delays.pending, lambda: self._boot(instance))
        return instance

    def _image(self, body: InstancePrototype) -> catalogue.Image:
        wanted = body.image.id or (body.image.href or body.image.crn or "").rpartition("/")[2]
        image = self.region.images.get(wanted.rpartition(":")[2])
        if image is None:
            raise Refused(404, "not_found", f"The image {wanted} was not found.", target="image")
        if image.status not in ("available", "deprecated") or image.architecture != "amd64":
            raise bad_field("image", f"The image {image.name} can't be used with this profile.")
        return image

    def _profile(self, identity: NameIdentity) -> str:
        name = identity.name or (identity.href or "").rpartition("/")[2]
        if name not in catalogue.INSTANCE_PROFILES:
            raise Refused(404, "not_found", f"The profile {name} was not found.", target="profile.name")
        return name

    def _trusted_profile(self, body: InstancePrototype) -> str | None:
        if body.default_trusted_profile is None:
            return None
        target = body.default_trusted_profile.target
        profile = self.region.iam.find_profile(id=target.id, crn=target.crn)
        if profile is None:
            message = f"The trusted profile {target.id or target.crn} was not found."
            raise Refused(404, "not_found", message, target="default_trusted_profile.target")
        return profile.id

    def _network(self, body: InstancePrototype, zone: str) -> tuple[Subnet, Any]:
        """The subnet, and what the body says of the interface."""
        network: Any = body.primary_network_interface
        if body.primary_network_attachment:
            network = body.primary_network_attachment.virtual_network_interface
        subnet: Subnet = self.region.meant("subnets", network.subnet, "subnet")
        if not subnet.available:
            raise wrong_state("The subnet is not available yet.", subnet.id)
        if subnet.zone != zone:
            raise bad_field("zone", f"The subnet is in {subnet.zone}.")
        if body.vpc and self.region.meant("vpcs", body.vpc, "vpc").id != subnet.vpc:
            raise bad_field("vpc", "The subnet is in another VPC.")
        return subnet, network

    def _security_groups(self, wanted: list[Any] | None, vpc: str) -> list[str]:
        if wanted is None:
            return [self.region.store["vpcs"][vpc].default_group]
        groups = [self.region.meant("security_groups", one, "security_groups") for one in wanted]
        if any(group.vpc != vpc for group in groups):
            raise bad_field("security_groups", "A security group is in another VPC.")
        return [group.id for group in groups]

    def _interface(
        self, body: InstancePrototype, subnet: Subnet, wanted: PrimaryIp | None, groups: list[str]
    ) -> Interface:
        region = self.region
        address = (wanted and wanted.address) or subnet.free_address()
        if address is None:
            raise Refused(409, "subnet_full", "The subnet has no free address.", target="subnet")
        if address in subnet.taken or ipaddress.IPv4Address(address) not in ipaddress.IPv4Network(
            subnet.cidr
        ):
            raise bad_field("primary_ip.address", f"{address} is taken, or not in the subnet.")
        id = region.new_id(subnet.zone)
        network: Any = body.primary_network_interface
        virtual = attachment = None
        attachment_name = ""
        if body.primary_network_attachment:
            network = body.primary_network_attachment.virtual_network_interface
            virtual, attachment = region.new_id(subnet.zone), region.new_id(subnet.zone)
            attachment_name = body.primary_network_attachment.name or "eth0"
        subnet.taken[address] = id
        return Interface(
            id=id, name=network.name or "eth0", created_at=region.clock.now(), subnet=subnet.id,
            address=address, groups=groups, virtual=virtual, attachment=attachment,
            attachment_name=attachment_name,
        )  # fmt: skip

    def _boot_volume(self, attachment: BootAttachment, zone: str, image: str, instance: str) -> Volume:
        wanted = attachment.volume
        profile = self._volume_profile(wanted.profile)
        common = self.region.common("volumes", wanted.name or f"{instance}-boot"[:63], zone)
        return self.region.add(
            Volume(
                **common, zone=zone, profile=profile, capacity=wanted.capacity, image=image,
                tags=list(wanted.user_tags),
            ),
            self.region.delays.volume,
        )  # fmt: skip

    # The life of an instance.

    def _later(self, instance: Instance, seconds: float, action: Callable[[], None]) -> None:
        """Do it in a while, unless something else is wanted of the instance by then."""
        self.region.schedule.after(seconds, self._unless_void(instance, action))

    def _unless_void(self, instance: Instance, action: Callable[[], None]) -> Callable[[], None]:
        turn = instance.turn

        def act() -> None:
            if instance.turn == turn:
                action()

        return lambda: self.region.soon(act)

    def _boot(self, instance: Instance) -> None:
        instance.status = "starting"
        if instance.fate == "failed":
            instance.status = "failed"
            instance.reasons = [NO_CAPACITY]
        elif instance.fate != "stuck":
            self.region.hypervisor.boot(
                instance, self._unless_void(instance, self._becomes(instance, "running"))
            )

    def _becomes(self, instance: Instance, status: str) -> Callable[[], None]:
        def become() -> None:
            instance.status = status

        return become

    def act(self, instance: Instance, body: ActionPrototype) -> None:
        """Start, stop or reboot."""
        allowed = {"start": ("stopped",), "stop": ("running", "starting"), "reboot": ("running",)}[body.type]
        if instance.status not in allowed:
            message = f"The instance is {instance.status}; {body.type} needs it {' or '.join(allowed)}."
            raise wrong_state(message, instance.id)
        instance.actions += 1
        instance.turn += 1
        hypervisor = self.region.hypervisor
        if body.type == "start":
            self._boot(instance)
        elif body.type == "stop":
            instance.status = "stopping"
            done = self._unless_void(instance, self._becomes(instance, "stopped"))
            hypervisor.shut_down(instance, body.force, done)
        else:
            instance.status = "restarting"
            done = self._unless_void(instance, self._becomes(instance, "running"))
            hypervisor.reboot(instance, body.force, done)

    def powered_off(self, instance: Instance) -> None:
        """An instance has switched itself off, or its power was cut."""
        if instance.status in ("running", "starting"):
            instance.turn += 1
            instance.status = "stopped"

    def delete(self, instance: Instance) -> None:
        """Delete an instance; what goes with it goes when it is gone."""
        if instance.deleting:
            raise wrong_state("The instance is being deleted.", instance.id)
        instance.deleting = True
        instance.turn += 1
        instance.status = "deleting"
        for ip in self.region.bound_to(instance.interface):
            ip.target = None
        gone = self._unless_void(instance, lambda: self._gone(instance))
        self.region.hypervisor.destroy(instance, gone)

    def _gone(self, instance: Instance) -> None:
        store = self.region.store
        del store["instances"][instance.id]
        store["subnets"][instance.interface.subnet].taken.pop(instance.interface.address, None)
        for attachment in instance.attachments:
            if attachment.delete_volume:
                self.region.drop(store["volumes"][attachment.volume])

    def change(self, instance: Instance, body: InstancePatch) -> None:
        """Rename an instance, or change what can be changed of it."""
        if body.profile and instance.status != "stopped":
            raise wrong_state("The instance must be stopped for another profile.", instance.id)
        if body.name and body.name != instance.name:
            self.region.unique("instances", body.name)
            instance.name = body.name
        if body.metadata_service:
            instance.metadata_enabled = body.metadata_service.enabled
        if body.profile:
            instance.profile = self._profile(body.profile)

    def interface(self, instance: Instance, id: str) -> Instance:
        """The instance itself, when the interface is its own. Raises Refused."""
        if id not in (instance.interface.id, instance.interface.virtual):
            raise not_found("network interface", id)
        return instance

    # Volumes.

    def _volume_profile(self, identity: NameIdentity) -> str:
        name = identity.name or (identity.href or "").rpartition("/")[2]
        if name not in catalogue.VOLUME_PROFILES:
            raise Refused(
                404, "not_found", f"The volume profile {name} was not found.", target="profile.name"
            )
        return name

    def create_volume(self, body: VolumePrototype) -> Volume:
        """Make a volume."""
        region = self.region
        region.check_group(body.resource_group)
        zone = region.meant_zone(body.zone)
        volume = Volume(
            **region.common("volumes", body.name, zone), zone=zone, capacity=body.capacity,
            profile=self._volume_profile(body.profile), tags=list(body.user_tags),
        )  # fmt: skip
        return region.add(volume, region.delays.volume)

    def change_volume(self, volume: Volume, body: VolumePatch) -> None:
        """Rename or enlarge a volume."""
        if body.name and body.name != volume.name:
            self.region.unique("volumes", body.name)
            volume.name = body.name
        if body.capacity is not None:
            if body.capacity < volume.capacity:
                raise bad_field("capacity", "A volume can't become smaller.")
            volume.capacity = body.capacity
        if body.user_tags is not None:
            volume.tags = list(body.user_tags)

    def delete_volume(self, volume: Volume) -> None:
        """Delete a volume that is attached to nothing."""
        if volume.deleting:
            raise wrong_state("The volume is being deleted.", volume.id)
        for instance, _ in self.region.attachments_of(volume):
            raise in_use(f"The volume is attached to the instance {instance.name}.", volume.id)
        self.region.drop(volume)

    def attach(self, instance: Instance, body: AttachmentPrototype) -> Attachment:
        """Attach a volume."""
        volume: Volume = self.region.meant("volumes", body.volume, "volume")
        if self.region.attachments_of(volume):
            raise in_use("The volume is attached already.", volume.id)
        if volume.zone != instance.zone:
            raise bad_field("volume", "The volume is in another zone.")
        attachment = Attachment(
            id=self.region.new_id(instance.zone), name=body.name or f"{volume.name}-attachment",
            created_at=self.region.clock.now(), volume=volume.id, boot=False,
            delete_volume=body.delete_volume_on_instance_delete,
        )  # fmt: skip
        instance.attachments.append(attachment)
        return attachment

    def attachment(self, instance: Instance, id: str) -> Attachment:
        """An attachment of an instance. Raises Refused."""
        for attachment in instance.attachments:
            if attachment.id == id:
                return attachment
        raise not_found("volume attachment", id)

    def detach(self, instance: Instance, attachment: Attachment) -> None:
        """Detach a volume, which may go with it."""
        if attachment.boot:
            raise in_use("The boot volume can't be detached.", attachment.id)
        instance.attachments.remove(attachment)
        if attachment.delete_volume:
            self.region.drop(self.region.store["volumes"][attachment.volume])
