"""Run a few functions on VMs of IBM Cloud VPC that exist for this run only, and see that nothing is left.

    IBMCLOUD_API_KEY=... python examples/ibm_vpc_smoke.py --region eu-de --resource-group-id ID

It costs a few cents. Ctrl-C at any moment deletes what was created. See docs/ibm_vpc.md.
"""

from __future__ import annotations

import argparse
import signal
import socket
import time
from typing import Any

import yaml

import lithops


def where(number: int) -> tuple[int, str]:
    """Take a second, and tell which machine this is."""
    time.sleep(1)
    return number, socket.gethostname()


def main() -> int:
    """Run the calls; the exit code is 0 when all went well and nothing is left."""
    options = _options()
    config = configuration(options)
    fexec = lithops.FunctionExecutor(config=config, log_level="INFO")
    code = 1
    try:
        run(fexec, options.calls)
        code = 0
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        # A second Ctrl-C must not keep what costs money.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("deleting what was created ...", flush=True)
        code |= ended(fexec, config)
    return code


def run(fexec: lithops.FunctionExecutor, calls: int) -> None:
    """Run calls, and show where they ran."""
    began = time.monotonic()
    for number, host in fexec.get_result(fexec.map(where, range(calls))):
        print(f"call {number} ran on {host}")
    print(f"{calls} calls took {time.monotonic() - began:.0f} s, most of it the start of the VMs")


def ended(fexec: lithops.FunctionExecutor, config: dict[str, Any]) -> int:
    """Delete what was created, tell what it cost, and look for what is left; 1 when something is."""
    from lithops.backends.ibm_vpc import leftovers
    from lithops.config import resolve

    try:
        fexec.dismantle()
    except lithops.errors.HostError as exc:
        print(exc)
    print(fexec.job_summary())
    left = leftovers(resolve(config), everything=True)
    for thing in left:
        print(f"left: {thing.kind} {thing.name} ({thing.where})")
    print("something is left: run `lithops clean --all`" if left else "nothing is left", flush=True)
    return 1 if left else 0


def configuration(options: argparse.Namespace) -> dict[str, Any]:
    """A configuration of small machines, which end themselves soon even if this program is killed."""
    own = {name: yaml.safe_load(value) for name, value in (pair.split("=", 1) for pair in options.set)}
    return {
        "lithops": {"backend": "ibm_vpc"},
        "ibm": {"region": options.region, "resource_group_id": options.resource_group_id},
        "ibm_vpc": {"max_workers": options.vms, "worker_processes": 2, **own},
        "standalone": {
            "exec_mode": "create", "soft_dismantle_timeout": 120, "hard_dismantle_timeout": 1200,
            "start_timeout": 600,
        },
    }  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--region", required=True, help="such as eu-de")
    parser.add_argument("--resource-group-id", required=True, help="where VMs are created")
    parser.add_argument("--vms", type=int, default=2, help="how many VMs at most (2)")
    parser.add_argument("--calls", type=int, default=8, help="how many calls (8)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="a key of the section ibm_vpc, such as worker_profile_name=bx2-2x8; may be repeated",
    )  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
