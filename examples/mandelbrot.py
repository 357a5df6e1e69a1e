"""Render a picture of the Mandelbrot set by ``map`` over its tiles, and write it as a PNG.

Runs on two test hosts that it boots, where this machine can boot them (root, systemd-nspawn), and on this
machine otherwise; with ``--on configured``, on the hosts of your own configuration.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from fractal import Tile, View, render

import lithops

ROOT = Path(__file__).resolve().parent.parent
TILES = 16
"""How many tiles there are beside and below each other."""
HERE: dict[str, Any] = {"lithops": {"backend": "localhost"}}

Config = Optional[dict[str, Any]]


def main() -> None:
    """Render the picture, write it, and say how long each part took."""
    options = parse()
    width, height = options.size
    with configuration(options.on) as config:
        began = time.monotonic()
        with lithops.FunctionExecutor(config=config) as fexec:
            fexec.call_async(python_version, ()).result()
            ready = time.monotonic()
            say(f"The first host is ready. Rendering {width}x{height} pixels in {TILES * TILES} tiles.")

            view = View(width, height)
            futures = fexec.map(render, [(view, tile) for tile in tiles(width, height)])
            fexec.wait(futures)
            ended = time.monotonic()

            write_png(options.output, width, height, fexec.get_result(futures))
            written = time.monotonic()
    counts = Counter(future.stats["worker_host"] for future in futures)
    say(f"Wrote {options.output} ({os.path.getsize(options.output) / 1e6:.1f} MB).")
    say(f"  bootstrap   {ready - began:6.1f} s   until the first host had run a first call")
    say(f"  running     {ended - ready:6.1f} s   until the last tile was here")
    say(f"  collecting  {written - ended:6.1f} s   putting the tiles together and writing the file")
    say("  tiles       " + ", ".join(f"{counts[host]} on {host}" for host in sorted(counts)))


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=size, default=(3840, 2160), metavar="WIDTHxHEIGHT", help="in pixels")
    parser.add_argument("--output", default="mandelbrot.png", metavar="FILE")
    parser.add_argument(
        "--on",
        choices=("auto", "hosts", "here", "configured"),
        default="auto",
        help="two booted test hosts, this machine, or your configuration; auto: hosts, else here",
    )
    return parser.parse_args()


def size(text: str) -> tuple[int, int]:
    """The width and the height that '3840x2160' means."""
    width, height = map(int, text.split("x"))
    if min(width, height) < TILES:
        raise ValueError(text)
    return width, height


def say(line: str) -> None:
    """Print a line at once, even into a pipe."""
    print(line, flush=True)


# ---- what runs on the hosts: this, and `fractal.render` ---------------------------------------------


def python_version() -> str:
    """A first call, which is answered as soon as a host is ready."""
    return sys.version


# ---- where it runs ----------------------------------------------------------------------------------


@contextmanager
def configuration(where: str) -> Iterator[Config]:
    """The configuration to run with (None: the user's own), for as long as its hosts are up."""
    if where in ("here", "configured"):
        yield HERE if where == "here" else None
        return
    sys.path.insert(0, str(ROOT))
    from tests.testbed import CommandFailed, Testbed, TestbedUnavailable

    bed = Testbed()
    try:
        bed.__enter__()
    except (TestbedUnavailable, CommandFailed) as exc:
        yield instead_of_hosts(where, exc)
        return
    try:
        try:
            config: Config = boot(bed)
        except (TestbedUnavailable, CommandFailed) as exc:
            config = instead_of_hosts(where, exc)
        yield config
    finally:
        bed.__exit__(None, None, None)


def instead_of_hosts(where: str, why: Exception) -> dict[str, Any]:
    """The configuration of this machine, unless hosts were asked for."""
    if where == "hosts":
        raise SystemExit(str(why))
    say(f"Running on this machine alone: {str(why).splitlines()[0]}")
    return HERE


def boot(bed: Any) -> dict[str, Any]:
    """Boot two hosts that share this machine's CPUs, and give the configuration that uses them."""
    from tests.testbed import image

    with signs_of_life():
        image.ensure("bookworm", lambda line: say(f"Making the image of the test hosts, once: {line} ..."))
    began = time.monotonic()
    hosts = bed.hosts(["one", "two"])
    say(f"Two test hosts are up after {time.monotonic() - began:.1f} s. They have sshd and python3 only.")
    processes = max(1, len(os.sched_getaffinity(0)) // len(hosts))
    config: dict[str, Any] = bed.lithops_config(hosts, worker_processes=processes)
    return config


@contextmanager
def signs_of_life() -> Iterator[None]:
    """Print the time now and then, for as long as the block takes."""
    over = threading.Event()
    began = time.monotonic()

    def tell() -> None:
        while not over.wait(10):
            say(f"  ... {time.monotonic() - began:.0f} s")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# ---- the picture ------------------------------------------------------------------------------------


def tiles(width: int, height: int) -> list[Tile]:
    """The tiles of a picture, row by row."""
    across = [width * number // TILES for number in range(TILES + 1)]
    down = [height * number // TILES for number in range(TILES + 1)]
    return [
        Tile(left, top, right - left, bottom - top)
        for top, bottom in zip(down, down[1:])
        for left, right in zip(across, across[1:])
    ]


def write_png(path: str, width: int, height: int, parts: list[bytes]) -> None:
    """Put tiles together and write them: eight bits a channel, no filter before the compression."""
    rows = []
    for first in range(0, len(parts), TILES):
        beside = parts[first : first + TILES]
        shapes = tiles(width, height)[first : first + TILES]
        for y in range(shapes[0].height):
            pieces = [part[3 * t.width * y : 3 * t.width * (y + 1)] for part, t in zip(beside, shapes)]
            rows.append(b"\0" + b"".join(pieces))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")):
            file.write(
                struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            )


if __name__ == "__main__":
    main()
