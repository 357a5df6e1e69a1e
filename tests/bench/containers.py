"""What a Docker image costs: each figure beside the same without one, on the same host, in turns."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.measure import Client
from tests.bench.report import Figure
from tests.testbed import Host, Testbed
from tests.testbed.engine import Engine

_IMAGE = "lithops-bench/python:3.11"
_RUNS = 5
_BLOCKS, _WARM_CALLS = 40, 20
_MAPS, _MAP_CALLS = 16, 10_000


def in_an_image(bed: Testbed, home: Path) -> list[Figure]:
    """The first result, one warm call, and a map of calls that do nothing."""
    if sys.version_info[:2] != (3, 11):
        raise RuntimeError("the host and the image have Debian's Python 3.11: measure with 3.11")
    host = bed.host("bench-engine", release="engine")
    engine = Engine(host)
    engine.start()
    engine.allow()
    engine.make_debian_image(_IMAGE)
    plain, image = Client(host, home), Client(host, home, runtime=_IMAGE)
    plain.run("first")
    return [*_first_results(host, plain, image), *_calls(plain)]


def _first_results(host: Host, plain: Client, image: Client) -> list[Figure]:
    def bare(client: Client) -> float:
        host.clean_home()
        return again(client)

    def again(client: Client) -> float:
        return float(client.run("first")["total"])

    return [
        _first("bare host", *_in_turns(bare, image, plain)),
        _first("agent there", *_in_turns(again, image, plain)),
    ]


def _first(what: str, with_it: list[float], without: list[float]) -> Figure:
    reference = statistics.median(without)
    return Figure(
        what=f"first result in an image, {what}", values=with_it, unit="s", must=reference + 1.0,
        reference=f"with python3: {reference:.2f} s",
    )  # fmt: skip


def _calls(plain: Client) -> list[Figure]:
    """Warm calls and maps, as pairs that were measured one right after the other."""
    found = plain.run("in_turns", _IMAGE, _BLOCKS, _WARM_CALLS, _MAPS, _MAP_CALLS)
    warm, rates = found["warm"], found["map"]
    warm_plain, map_plain = (statistics.median(plain for plain, _ in pairs) for pairs in (warm, rates))
    return [
        Figure(
            what="a warm call in an image, of one without", values=[image / plain for plain, image in warm],
            unit="", must=1.2, reference=f"with python3: {1000 * warm_plain:.2f} ms",
        ),
        Figure(
            what="map of 10,000 no-ops in an image, of one without",
            values=[plain / image for plain, image in rates],
            unit="", must=1.1, reference=f"with python3: {map_plain:,.0f} calls/s",
        ),
    ]  # fmt: skip


def _in_turns(
    measure: Callable[[Client], float], one: Client, other: Client
) -> tuple[list[float], list[float]]:
    """Both are measured several times, so that whatever else the machine does meets both."""
    pairs = [(measure(one), measure(other)) for _ in range(_RUNS)]
    return [a for a, _ in pairs], [b for _, b in pairs]
