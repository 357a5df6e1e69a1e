"""The configuration: found, checked and completed with defaults, from one schema.

>>> from lithops.config import default_config, resolve
>>> config = default_config(config_data={"lithops": {"backend": "localhost"}})
>>> config["lithops"]["execution_timeout"]
1800
>>> resolve(config).backend_name
'localhost'
"""

from lithops.config.expand import arguments_overwrite, default_config
from lithops.config.host import HostSettings
from lithops.config.settings import (
    LithopsSettings,
    LocalhostSettings,
    Settings,
    StandaloneSettings,
    VmSettings,
    resolve,
)
from lithops.config.sources import load_yaml_config

__all__ = [
    "default_config",
    "load_yaml_config",
    "arguments_overwrite",
    "resolve",
    "HostSettings",
    "LithopsSettings",
    "LocalhostSettings",
    "Settings",
    "StandaloneSettings",
    "VmSettings",
]
