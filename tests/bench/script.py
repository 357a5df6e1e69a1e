"""The script that is measured: one process of a user's, told by its arguments what to do.

It prints a line of JSON a measurement. Its configuration comes by LITHOPS_CONFIG, as a user's may.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

import lithops


def nothing(x: Any) -> None:
    """The least that a call can do."""


def tell(**measured: Any) -> None:
    """Print a measurement; whoever measures waits for the line."""
    print(json.dumps(measured), flush=True)


def first() -> None:
    """The first result: the reader's clock, which started before this interpreter, takes the time."""
    fexec = lithops.FunctionExecutor(log_level=None)
    fexec.call_async(nothing, 1).result()
    tell(first=True)


def warm(calls: int) -> None:
    """Single calls, one after the other."""
    fexec = lithops.FunctionExecutor(log_level=None)
    times = []
    for _ in range(calls + 10):
        began = time.perf_counter()
        fexec.call_async(nothing, 1).result()
        times.append(time.perf_counter() - began)
    tell(seconds=times[10:])


def many(calls: int) -> None:
    """A map of small calls, on workers that are up."""
    fexec = lithops.FunctionExecutor(log_level=None)
    fexec.map(nothing, range(100)).get_result()
    began = time.perf_counter()
    fexec.get_result(fexec.map(nothing, range(calls)), show_progressbar=False)
    tell(seconds=time.perf_counter() - began)


def memory(calls: int, size: int) -> None:
    """The memory that a map needs beyond its data, at its peak, and at its end."""
    fexec = lithops.FunctionExecutor(log_level=None)
    fexec.call_async(nothing, 1).result()
    data = [os.urandom(size) for _ in range(calls)]
    before, peak_before = _rss(), _peak()
    began = time.perf_counter()
    futures = fexec.map(nothing, data)
    fexec.get_result(futures, show_progressbar=False)
    took = time.perf_counter() - began
    tell(seconds=took, peak=max(_peak() - max(before, peak_before), 0), end=_rss() - before, before=before)


def _rss() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Do what the first argument names, with the numbers that follow it."""
    what, *numbers = sys.argv[1:]
    globals()[what](*map(int, numbers))


if __name__ == "__main__":
    main()
