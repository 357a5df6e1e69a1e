"""Functions that need packages. They go by the name of this module, which needs nothing a host lacks."""

from __future__ import annotations

import importlib
import sys


def where_six_is() -> tuple[str, str]:
    six = importlib.import_module("six")
    return six.__version__, sys.executable


def own_and_six() -> tuple[str, str]:
    own, six = importlib.import_module("mine_only"), importlib.import_module("six")
    return own.value, six.__version__


def mean(count: int) -> float:
    import numpy

    return float(numpy.arange(count).mean())
