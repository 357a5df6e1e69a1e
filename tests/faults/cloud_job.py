"""Runs calls on machines of IBM VPC: ``python -m tests.faults.cloud_job CONFIG COUNT``. It is interrupted.

As in `tests.faults.cloud_scenario`, no host is behind them.
"""

from __future__ import annotations

import json
import sys

import pytest

import lithops
from tests.faults.cloud_client import ANSWER_TIMEOUT_OF_PROGRAMS
from tests.faults.cloud_scenario import without_ssh


def main(config: str, count: int) -> None:
    """Wait for the results of so many calls."""
    # Until its very end.
    without_ssh(pytest.MonkeyPatch(), ANSWER_TIMEOUT_OF_PROGRAMS)
    fexec = lithops.FunctionExecutor(config=json.loads(config))
    fexec.get_result(fexec.map(abs, range(count)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
