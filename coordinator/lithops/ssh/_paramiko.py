"""The one place that imports paramiko, in half of the time that it takes by itself.

paramiko imports ``invoke`` for ``Match exec`` of its reader of ``~/.ssh/config``, which is not used
here; that is half of its import time (60 of 115 ms). A stand-in is given to paramiko instead, which
imports the real one when it is asked for anything. ``sys.modules`` is left as it was.
"""

from __future__ import annotations

import importlib
import logging
import sys
from types import ModuleType
from typing import Any

from lithops import at_exit


class _Deferred(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def _load() -> ModuleType:
    if "paramiko" in sys.modules or "invoke" in sys.modules:
        return importlib.import_module("paramiko")
    sys.modules["invoke"] = _Deferred("invoke")
    try:
        return importlib.import_module("paramiko")
    finally:
        del sys.modules["invoke"]


_load()
at_exit.go_first()

# What paramiko logs, tracebacks of its threads among it, arrives at the caller as one of our errors.
LOG = logging.getLogger("paramiko.transport")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False
