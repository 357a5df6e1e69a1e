"""A fake of IBM Cloud: the regional VPC API, the identity service and the metadata service.

It is strict: what the service refuses is refused here, with its shape of errors. Behind an instance is
nothing, or, with `tests.cloud.bed`, a real host that was booted by cloud-init.
"""

from .cloud import Cloud
from .faults import (
    CONFLICT,
    DROPPED,
    FORBIDDEN,
    LOST_REPLY,
    NOT_FOUND,
    SERVER_ERROR,
    SILENCE,
    SILENCE_AFTER,
    TOO_MANY,
    UNAUTHORIZED,
    UNAVAILABLE,
    Fault,
)
from .region import Delays
from .schedule import SetClock

__all__ = [
    "CONFLICT", "DROPPED", "FORBIDDEN", "LOST_REPLY", "NOT_FOUND", "SERVER_ERROR", "SILENCE", "SILENCE_AFTER",
    "TOO_MANY", "UNAUTHORIZED", "UNAVAILABLE", "Cloud", "Delays", "Fault", "SetClock",
]  # fmt: skip
