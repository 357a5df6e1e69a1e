"""Creates machines of IBM VPC and is killed: ``python -m tests.faults.cloud_client CONFIG COUNT``.

As in `tests.faults.cloud_scenario`, no host is behind them.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lithops.backends import ibm_vpc
from lithops.config.settings import resolve
from tests.faults.cloud_scenario import without_ssh


def main(config: str, count: int) -> None:
    """Have so many machines, and wait to be killed."""
    with pytest.MonkeyPatch.context() as patch:
        without_ssh(patch, ANSWER_TIMEOUT_OF_PROGRAMS)
        machines = ibm_vpc.supply(resolve(json.loads(config)), "killed-0").machines(count)
        with ThreadPoolExecutor() as pool:
            for link in pool.map(lambda machine: machine.open(), machines):
                print(link.host, flush=True)
        sys.stdin.read()


ANSWER_TIMEOUT_OF_PROGRAMS = 60.0
"""Seconds: a request that is not answered keeps the program where it is."""

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
