"""What the region offers, as the service shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import catalogue
from .references import Answer, References


class OfferView(References):
    """Shows images, profiles and zones."""

    def image(self, image: catalogue.Image) -> Answer:
        """An image."""
        family = "Windows Server" if "windows" in image.system else f"{image.vendor} Linux"
        return {
            **self.image_reference(image),
            "allowed_use": {"api_version": "2024-11-01", "bare_metal_server": "true", "instance": "true"},
            "catalog_offering": {"managed": False},
            "created_at": "2025-06-01T00:00:00Z",
            "encryption": "none",
            "file": {"size": 2},
            "minimum_provisioned_size": image.minimum,
            "operating_system": {
                "allow_user_image_creation": True,
                "architecture": image.architecture,
                "dedicated_host_only": False,
                "display_name": f"{image.vendor} {image.version} ({image.architecture})",
                "family": family,
                "href": f"{self.base}/operating_systems/{image.system}",
                "name": image.system,
                "user_data_format": "cloud_init",
                "vendor": image.vendor,
                "version": image.version,
            },
            "resource_group": self.resource_group(),
            "resource_type": "image",
            "status": image.status,
            "status_reasons": [],
            "user_data_format": "cloud_init",
            "visibility": image.visibility,
            "zones": [self.zone_reference(zone) for zone in self.region.zones],
        }

    def instance_profile(self, profile: catalogue.InstanceProfile) -> Answer:
        """A size of instances."""

        def fixed(value: Any) -> Answer:
            return {"type": "fixed", "value": value}

        def choice(default: Any, values: Iterable[Any]) -> Answer:
            return {"type": "enum", "default": default, "values": list(values)}

        return {
            "availability_class": fixed("standard"),
            "bandwidth": fixed(profile.cpus * 2000),
            "cluster_network_attachment_count": {"type": "enum", "values": []},
            "confidential_compute_modes": choice("disabled", ["disabled"]),
            "disks": [],
            "family": profile.family,
            "href": f"{self.base}/instance/profiles/{profile.name}",
            "memory": fixed(profile.memory),
            "name": profile.name,
            "network_attachment_count": {"type": "range", "min": 1, "max": 5},
            "network_bandwidth_mode": fixed("split"),
            "network_interface_count": {"type": "range", "min": 1, "max": 5},
            "os_architecture": choice("amd64", ["amd64"]),
            "port_speed": fixed(16000),
            "reservation_terms": {"type": "enum", "values": ["one_year", "three_year"]},
            "resource_type": "instance_profile",
            "secure_boot_modes": choice(False, [False]),
            "status": "current",
            "supported_cluster_network_profiles": [],
            "threads_per_core": choice(2, [1, 2]),
            "total_volume_bandwidth": fixed(profile.cpus * 500),
            "vcpu_architecture": {"type": "fixed", "value": "amd64", "default": "amd64"},
            "vcpu_burst_limit": fixed(100),
            "vcpu_count": fixed(profile.cpus),
            "vcpu_manufacturer": fixed("intel"),
            "vcpu_percentage": choice(100, [100]),
            "volume_bandwidth_qos_modes": choice("weighted", ["weighted"]),
            "zones": [self.zone_reference(zone) for zone in self.region.zones],
        }

    def volume_profile(self, name: str) -> Answer:
        """A kind of volumes."""
        family = {"custom": "custom", "sdp": "defined_performance"}.get(name, "tiered")
        return {
            "adjustable_capacity_states": {"type": "enum", "values": ["attached"]},
            "adjustable_iops_states": {"type": "enum", "values": []},
            "bandwidth": {"type": "fixed", "value": 393},
            "boot_capacity": {"type": "range", "min": 10, "max": 250, "step": 1, "default": 100},
            "capacity": {"type": "range", "min": 10, "max": 16000, "step": 1, "default": 100},
            "family": family,
            "href": f"{self.base}/volume/profiles/{name}",
            "iops": {"type": "range", "min": 100, "max": 48000, "step": 1, "default": 3000},
            "name": name,
            "storage_generation": {"type": "fixed", "value": 1},
        }

    def region_(self) -> Answer:
        """The region itself."""
        name = self.region.name
        return {
            "endpoint": self.base.removesuffix("/v1"),
            "href": f"{self.base}/regions/{name}",
            "name": name,
            "status": "available",
        }

    def zone(self, name: str) -> Answer:
        """A zone."""
        region = {"href": f"{self.base}/regions/{self.region.name}", "name": self.region.name}
        return {**self.zone_reference(name), "region": region, "status": "available", "data_center": name}
