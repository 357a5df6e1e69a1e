"""The address that the cloud sees this machine by, from which SSH is let in."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from lithops.errors import ConfigError

_TIMEOUT = 5.0
_TRACE = "/cdn-cgi/trace"
"""What answers for IBM's public endpoints tells there, among other things, who asks: ``ip=192.0.2.7``."""
_LIMIT = 4096


def own_source(endpoint: str, fetch: Callable[[str], str] | None = None) -> str:
    """The address of this machine as the ``endpoint`` of the API sees it; no one else is asked.

    Raises:
        ConfigError: it does not tell, or it is not an IPv4 address.
    """
    local = _local_address(endpoint)
    if local is not None and local.is_global:
        return str(local)
    parts = urlsplit(endpoint)
    try:
        text = (fetch or _fetch)(f"{parts.scheme}://{parts.netloc}{_TRACE}")
        lines = dict(line.partition("=")[::2] for line in text.splitlines())
        return str(ipaddress.IPv4Address(lines["ip"].strip()))
    except (OSError, KeyError, ValueError) as exc:
        raise ConfigError(
            f"ibm_vpc.ssh_source: missing: the networks that SSH is let in from, such as the address that "
            f"this machine has on the internet, with /32; {parts.netloc} does not tell it "
            f"({type(exc).__name__})"
        ) from exc


def _local_address(endpoint: str) -> ipaddress.IPv4Address | None:
    """The address that packets to the endpoint leave with, when that is one of the internet's."""
    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # Nothing is sent: it only makes the kernel choose a route.
            probe.connect((parts.hostname, port))
            return ipaddress.IPv4Address(probe.getsockname()[0])
    except (OSError, ValueError):
        return None


def _fetch(url: str) -> str:
    import urllib.request

    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
        text: str = answer.read(_LIMIT).decode("ascii", "replace")
        return text
