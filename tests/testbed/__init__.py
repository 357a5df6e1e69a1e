"""Real hosts on one machine, with a real systemd and a real sshd, for the integration tests.

A host is a Debian tree made once by debootstrap, an overlay of its own, a network namespace on a bridge, and
`systemd-nspawn --boot`. It needs root; what is missing on a machine, `python -m tests.testbed doctor` says.
"""

from .bed import Testbed
from .booted import BootedHost
from .commands import CommandFailed
from .host import Host
from .machine import TestbedUnavailable

__all__ = ["BootedHost", "CommandFailed", "Host", "Testbed", "TestbedUnavailable"]
