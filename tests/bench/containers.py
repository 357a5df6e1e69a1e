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
_WARM_CALLS = 300
_MAP_CALLS = 10_000


def in_an_image(bed: Testbed, home: Path) -> list[Figure]:
    """The first result, one warm call, and a map of calls that do nothing."""
    if sys.version_info[:2] != (3, 11):
        raise RuntimeError("the image is made of Debian's Python 3.11: measure with the same")
    host = bed.host("bench-engine", release="engine")
    engine = Engine(host)
    engine.start()
    engine.allow()
    engine.make_python_image(_IMAGE)
    plain, image = Client(host, home), Client(host, home, runtime=_IMAGE)
    plain.run("first")
    return [*_first_results(host, plain, image), _warm_call(plain, image), _map(plain, image)]


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


def _warm_call(plain: Client, image: Client) -> Figure:
    def median(client: Client) -> float:
        return 1000 * float(statistics.median(client.run("warm", _WARM_CALLS)["seconds"]))

    with_it, without = _in_turns(median, image, plain)
    return Figure(
        what="one warm call in an image", values=with_it, unit="ms",
        must=1.2 * statistics.median(without), reference=f"with python3: {statistics.median(without):.2f} ms",
    )  # fmt: skip


def _map(plain: Client, image: Client) -> Figure:
    def rate(client: Client) -> float:
        return _MAP_CALLS / float(client.run("many", _MAP_CALLS)["seconds"])

    with_it, without = _in_turns(rate, image, plain)
    reference = statistics.median(without)
    return Figure(
        what="map of 10,000 no-ops in an image", values=with_it, unit="calls/s", at_least=True,
        must=reference / 1.1, reference=f"with python3: {reference:,.0f} calls/s",
    )  # fmt: skip


def _in_turns(
    measure: Callable[[Client], float], one: Client, other: Client
) -> tuple[list[float], list[float]]:
    """Both are measured several times, so that whatever else the machine does meets both."""
    pairs = [(measure(one), measure(other)) for _ in range(_RUNS)]
    return [a for a, _ in pairs], [b for _, b in pairs]
