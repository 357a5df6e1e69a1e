"""What all unit tests begin with."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """The logs of the package, as in a program that has set nothing up; as before when the test has ended."""
    logger = logging.getLogger("lithops")
    before = (logger.handlers, logger.level, logger.propagate)
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)
    yield
    logger.handlers, level, logger.propagate = before
    logger.setLevel(level)
