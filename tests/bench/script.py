"""The script that is measured: one process of a user's, told by its arguments what to do.

It prints a line of JSON a measurement. Its configuration comes by LITHOPS_CONFIG, as a user's may.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
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


def in_turns(image: str, blocks: int, calls: int, maps: int, map_calls: int) -> None:
    """Warm calls and maps without an image and in one, in short blocks that take turns, so that whatever
    else the machine does meets both."""
    both = [lithops.FunctionExecutor(runtime=runtime, log_level=None) for runtime in ("python3", image)]
    for fexec in both:
        _block(fexec, 10)
        _rate(fexec, 100)
    tell(
        warm=[_pair(both, block, lambda fexec: _block(fexec, calls)) for block in range(blocks)],
        map=[_pair(both, block, lambda fexec: _rate(fexec, map_calls)) for block in range(maps)],
    )


def _pair(
    both: list[lithops.FunctionExecutor], block: int, measure: Callable[[lithops.FunctionExecutor], float]
) -> list[float]:
    """Measure both; every other time the second one goes first."""
    order = (0, 1) if block % 2 else (1, 0)
    found = {which: measure(both[which]) for which in order}
    return [found[0], found[1]]


def _block(fexec: lithops.FunctionExecutor, calls: int) -> float:
    """The median of a few warm calls, in seconds."""
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        fexec.call_async(nothing, 1).result()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _rate(fexec: lithops.FunctionExecutor, calls: int) -> float:
    """How many calls of a map are done in a second."""
    began = time.perf_counter()
    fexec.get_result(fexec.map(nothing, range(calls)), show_progressbar=False)
    return calls / (time.perf_counter() - began)


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
    """Do what the first argument names, with the numbers and names that follow it."""
    what, *given = sys.argv[1:]
    globals()[what](*(int(text) if text.isdigit() else text for text in given))


if __name__ == "__main__":
    main()
