"""``python -m tests.bench``: measure on one bare host of the testbed, which shares this machine's CPUs."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import containers, measure
from tests.bench.environments import environments
from tests.bench.report import Figure, table
from tests.testbed import Testbed, TestbedUnavailable

_MEASURES: dict[str, Callable[[measure.Client], Sequence[Figure]]] = {
    "first": measure.first_results,
    "import": lambda client: [measure.import_time()],
    "warm": lambda client: [measure.warm_call(client)],
    "map": lambda client: [measure.map_of_nothing(client)],
    "idle": measure.idle_memory,
    "memory": lambda client: [measure.client_memory(client)],
}
_LONG: dict[str, Callable[[measure.Client], Sequence[Figure]]] = {
    "million": measure.million,
    "environments": environments,
}
"""Measured only when they are asked for by name."""
_ELSEWHERE: dict[str, Callable[[Testbed, Path], Sequence[Figure]]] = {"docker": containers.in_an_image}
"""Measured only when they are asked for by name, on hosts of their own."""


def main() -> int:
    """Measure what the arguments name, or all that is short; the exit code is 1 when a bound is missed."""
    known = {**_MEASURES, **_LONG, **_ELSEWHERE}
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"of {', '.join(known)}")
    chosen = parser.parse_args().measures or list(_MEASURES)
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"no such measure: {', '.join(unknown)}")
    figures: list[Figure] = []
    try:
        with Testbed() as bed, tempfile.TemporaryDirectory() as home:
            client = measure.Client(bed.host("bench"), Path(home))
            for name in chosen:
                print(f"measuring: {name} ...", file=sys.stderr, flush=True)
                if name in _ELSEWHERE:
                    figures += _ELSEWHERE[name](bed, Path(home))
                else:
                    figures += {**_MEASURES, **_LONG}[name](client)
    except TestbedUnavailable as exc:
        print(exc, file=sys.stderr)
        return 2
    print(table(figures))
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
