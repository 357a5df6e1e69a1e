"""``python -m tests.faults``: inject every fault into hosts of the testbed, and print what came of it."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback

from tests.faults import links, losses, processes, sharing, soak  # noqa: F401 - they register themselves
from tests.faults.report import table
from tests.faults.scenario import SCENARIOS, Row, Scenario, staged
from tests.testbed import Testbed, TestbedUnavailable


def main() -> int:
    """Play what the arguments name, or everything; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="scenario", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--seed", type=int, default=None, help="of what is random in the soak")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    os.environ.setdefault("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    chosen = [SCENARIOS[name] for name in options.names or SCENARIOS]
    rows: list[tuple[Scenario, Row]] = []
    problems: list[str] = []
    try:
        with Testbed() as bed:
            for each in chosen:
                _play(bed, each, seed, rows, problems)
    except TestbedUnavailable as exc:
        print(exc, file=sys.stderr)
        return 2
    print(table(rows))
    print("\n".join(problems) or "nothing was lost, and nothing was recorded twice", file=sys.stderr)
    return 1 if problems else 0


def _play(
    bed: Testbed, each: Scenario, seed: int, rows: list[tuple[Scenario, Row]], problems: list[str]
) -> None:
    began_at = time.monotonic()
    try:
        with staged(bed, seed) as stage:
            row = each.play(stage)
    except Exception:  # noqa: BLE001 - one scenario that fails must not hide what the others show
        problems.append(f"{each.fault} ({each.name}):\n{traceback.format_exc()}")
        outcome = "failed"
    else:
        rows.append((each, row))
        problems += [f"{each.fault} ({each.name}): {problem}" for problem in each.problems(row)]
        outcome = "done"
    took = time.monotonic() - began_at
    print(f"{each.name}: {outcome} in {took:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
