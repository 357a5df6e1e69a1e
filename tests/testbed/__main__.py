"""``python -m tests.testbed``: build the images, boot hosts by hand, clean up, or say what is missing."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from . import Testbed, TestbedUnavailable, image, leftovers
from .machine import problems
from .network import unfence


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except TestbedUnavailable as exc:
        print(exc, file=sys.stderr)
        status = 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    commands = parser.add_subparsers(required=True)
    build = commands.add_parser("build", help="build base images that are not in the cache")
    build.add_argument("images", nargs="*", metavar="image", help=f"of {', '.join(image.IMAGES)}")
    build.set_defaults(command=_build)
    up = commands.add_parser("up", help="boot hosts and keep them until Ctrl-C")
    up.add_argument("-n", type=int, default=1, help="how many hosts")
    up.add_argument("--release", default="bookworm")
    up.add_argument("--until-eof", action="store_true", help="end at the end of standard input instead")
    up.set_defaults(command=_up)
    clean = commands.add_parser("clean", help="remove what killed runs left")
    clean.add_argument("--images", action="store_true", help="remove the base images, too")
    clean.set_defaults(command=_clean)
    doctor = commands.add_parser("doctor", help="say what this machine lacks")
    doctor.set_defaults(command=_doctor)
    return parser


def _build(options: argparse.Namespace) -> int:
    names = options.images or ["bookworm", "trixie", "bullseye"]

    def build(name: str) -> None:
        begun = time.monotonic()
        path = image.ensure(name, lambda line: print(line, flush=True))
        print(f"{name}: {path} ({time.monotonic() - begun:.1f} s)", flush=True)

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(build, names))
    return 0


def _up(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Ctrl-C may come as soon as the first line is read.
    with contextlib.suppress(KeyboardInterrupt), Testbed() as bed:
        _show(bed, options)
        if options.until_eof:
            sys.stdin.read()
        else:
            signal.pause()
    return 0


def _show(bed: Testbed, options: argparse.Namespace) -> None:
    """Boot the hosts, and say how they are reached."""
    begun = time.monotonic()
    hosts = bed.hosts([f"host{number}" for number in range(1, options.n + 1)], release=options.release)
    print(f"{len(hosts)} up after {time.monotonic() - begun:.2f} s; logins: user, user2, admin, root")
    for host in hosts:
        known = f"-o UserKnownHostsFile={bed.known_hosts}"
        print(f"ssh -i {host.key_filename} {known} {host.user}@{host.address}")
    print(f"password of user, user2 and admin: {hosts[0].password}")
    config = hosts[0].lithops_config() if len(hosts) == 1 else bed.lithops_config(hosts)
    print(json.dumps(config, indent=2), flush=True)


def _clean(options: argparse.Namespace) -> int:
    for run_id in leftovers.remove_leftovers():
        print(f"removed run {run_id}")
    unfence()
    if options.images:
        image.clean_cache()
    return 0


def _doctor(options: argparse.Namespace) -> int:
    found = problems()
    for reason, what_to_do in found:
        print(f"{reason}: {what_to_do}")
    if not found:
        print("hosts can boot on this machine")
    for name, recipe in image.IMAGES.items():
        print(f"image {name}: {'ready' if recipe.path.is_dir() else 'not built yet'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
