"""Instances, volumes and keys, as the service shows them."""

from __future__ import annotations

from . import catalogue
from .references import Answer, References, moment, status_of
from .resources import Attachment, Instance, Key, Volume


class InstanceView(References):
    """Shows instances and what they have."""

    def instance(self, instance: Instance) -> Answer:
        """An instance."""
        profile = catalogue.INSTANCE_PROFILES[instance.profile]
        image = self.region.images[instance.image]
        boot = [each for each in instance.attachments if each.boot]
        interface = self._interface(instance)
        answer = {
            **self.reference(instance, "instance", resource_type="instance"),
            "availability": {"class": "standard"},
            "availability_policy": {"host_failure": instance.host_failure, "preemption": "stop"},
            "bandwidth": 4000,
            "boot_volume_attachment": self._instance_attachment(instance, boot[0]),
            "cluster_network_attachments": [],
            "confidential_compute_mode": "disabled",
            "created_at": moment(instance.created_at),
            "disks": [],
            "enable_secure_boot": False,
            "health_reasons": [],
            "health_state": "ok",
            "image": {**self.image_reference(image), "resource_type": "image"},
            "lifecycle_reasons": [],
            "lifecycle_state": _lifecycle(instance),
            "memory": profile.memory,
            "metadata_service": {
                "enabled": instance.metadata_enabled, "protocol": "http", "response_hop_limit": 1,
            },
            "network_attachments": self._network_attachments(instance),
            "network_interfaces": [interface],
            "numa_count": 1,
            "primary_network_interface": interface,
            "profile": {
                "href": f"{self.base}/instance/profiles/{profile.name}",
                "name": profile.name,
                "resource_type": "instance_profile",
            },
            "reservation_affinity": {"policy": "disabled", "pool": []},
            "resource_group": self.resource_group(),
            "software_attachments": [],
            "startable": instance.status != "failed",
            "status": instance.status,
            "status_reasons": instance.reasons,
            "threads_per_core": 2,
            "total_network_bandwidth": 3000,
            "total_volume_bandwidth": 1000,
            "vcpu": {
                "architecture": "amd64", "count": profile.cpus, "manufacturer": "intel", "percentage": 100,
            },
            "volume_attachments": [self._instance_attachment(instance, a) for a in instance.attachments],
            "volume_bandwidth_qos_mode": "weighted",
            "vpc": self.vpc_reference(instance.vpc),
            "zone": self.zone_reference(instance.zone),
        }  # fmt: skip
        if instance.interface.virtual:
            answer["primary_network_attachment"] = answer["network_attachments"][0]
        return answer

    def _interface(self, instance: Instance) -> Answer:
        interface = instance.interface
        return {
            "href": f"{self.base}/instances/{instance.id}/network_interfaces/{interface.id}",
            "id": interface.id,
            "name": interface.name,
            "primary_ip": self.reserved_ip(interface),
            "resource_type": "network_interface",
            "subnet": self.subnet_reference(interface.subnet),
        }

    def _network_attachments(self, instance: Instance) -> list[Answer]:
        interface = instance.interface
        if not interface.virtual:
            return []
        return [
            {
                "href": f"{self.base}/instances/{instance.id}/network_attachments/{interface.attachment}",
                "id": interface.attachment,
                "name": interface.attachment_name,
                "primary_ip": self.reserved_ip(interface),
                "resource_type": "instance_network_attachment",
                "subnet": self.subnet_reference(interface.subnet),
                "virtual_network_interface": self.virtual(interface),
            }
        ]

    def network_attachments(self, instance: Instance) -> list[Answer]:
        """The network attachments of an instance; none of one that was made with an interface."""
        return [
            {
                **attachment,
                "created_at": moment(instance.interface.created_at),
                "lifecycle_state": "stable",
                "port_speed": 1000,
                "type": "primary",
            }
            for attachment in self._network_attachments(instance)
        ]

    def interface(self, instance: Instance) -> Answer:
        """The network interface of an instance, with all that it has."""
        interface = instance.interface
        ips = self.region.bound_to(interface)
        return {
            **self._interface(instance),
            "allow_ip_spoofing": False,
            "created_at": moment(interface.created_at),
            "floating_ips": [self.ip_reference(ip) for ip in ips],
            "port_speed": 1000,
            "security_groups": [self.group_reference(id) for id in interface.groups],
            "status": "available",
            "type": "primary",
        }

    def initialization(self, instance: Instance) -> Answer:
        """What an instance began with."""
        answer: Answer = {
            "keys": [self._key(self.region.store["keys"][id]) for id in instance.keys
                     if id in self.region.store["keys"]],
        }  # fmt: skip
        profile = self.region.iam.profiles.get(instance.trusted_profile or "")
        if profile:
            target = {"crn": profile.crn, "id": profile.id, "resource_type": "trusted_profile"}
            answer["default_trusted_profile"] = {"auto_link": instance.linked, "target": target}
        return answer

    def action(self, instance: Instance, kind: str, force: bool) -> Answer:
        """An action that was asked for."""
        return {
            "created_at": moment(self.region.clock.now()),
            "force": force,
            "href": f"{self.base}/instances/{instance.id}/actions/{instance.actions}",
            "id": f"{instance.id}-{instance.actions}",
            "status": "pending",
            "type": kind,
        }

    # Volumes, keys.

    def _instance_attachment(self, instance: Instance, attachment: Attachment) -> Answer:
        """An attachment as its instance shows it."""
        volume = self.region.store["volumes"][attachment.volume]
        return {
            "device": {"id": f"{attachment.id}-device"},
            "href": f"{self.base}/instances/{instance.id}/volume_attachments/{attachment.id}",
            "id": attachment.id,
            "name": attachment.name,
            "volume": self.reference(volume, "volume", resource_type="volume"),
        }

    def attachment(self, instance: Instance, attachment: Attachment) -> Answer:
        """A volume attachment."""
        return {
            **self._instance_attachment(instance, attachment),
            "bandwidth": 393,
            "created_at": moment(attachment.created_at),
            "delete_volume_on_instance_delete": attachment.delete_volume,
            "status": "attached",
            "type": "boot" if attachment.boot else "data",
        }

    def volume(self, volume: Volume) -> Answer:
        """A volume."""
        attached = [
            {
                "delete_volume_on_instance_delete": attachment.delete_volume,
                "href": f"{self.base}/instances/{instance.id}/volume_attachments/{attachment.id}",
                "id": attachment.id,
                "instance": self.reference(instance, "instance", resource_type="instance"),
                "name": attachment.name,
                "type": "boot" if attachment.boot else "data",
            }
            for instance, attachment in self.region.attachments_of(volume)
        ]
        return {
            **self.reference(volume, "volume", resource_type="volume"),
            "active": bool(attached),
            "adjustable_capacity_states": ["attached"],
            "adjustable_iops_states": [],
            "attachment_state": "attached" if attached else "unattached",
            "bandwidth": 393,
            "busy": False,
            "capacity": volume.capacity,
            "created_at": moment(volume.created_at),
            "encryption": "provider_managed",
            "health_reasons": [],
            "health_state": "ok",
            "iops": 3000,
            "profile": {"href": f"{self.base}/volume/profiles/{volume.profile}", "name": volume.profile},
            "resource_group": self.resource_group(),
            "software_attachments": [],
            "status": "pending_deletion" if volume.deleting else status_of(False, volume.available),
            "status_reasons": [],
            "storage_generation": 1,
            "user_tags": volume.tags,
            "volume_attachments": attached,
            "zone": self.zone_reference(volume.zone),
        }

    def _key(self, key: Key) -> Answer:
        return self.reference(key, "key", fingerprint=key.fingerprint)

    def key(self, key: Key) -> Answer:
        """A public key."""
        return {
            **self._key(key),
            "created_at": moment(key.created_at),
            "length": key.length,
            "public_key": key.public_key,
            "resource_group": self.resource_group(),
            "type": key.type,
        }


def _lifecycle(instance: Instance) -> str:
    return {"pending": "pending", "deleting": "deleting", "failed": "failed"}.get(instance.status, "stable")
